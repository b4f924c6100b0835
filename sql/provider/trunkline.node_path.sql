-- Function trunkline.node_path(i_queue, i_rows bool): the nodes whose changes come out of a queue of this database: this
-- one, and those above it, where replay writes tables that are captured into the queue. A node that finds itself here
-- must not read the queue: its changes would come back to it.
-- Arguments: i_rows true: those whose rows the queue's tables may show now, in the statement's snapshot; false: also
-- those that replay is about to follow, which it stores before it asks them.
-- Result: node ids, this node first; null where the database has no id: its schema came with a dump.
-- Tables: reads node, captured, position. Users: pgq_admin.
create or replace function trunkline.node_path(i_queue text, i_rows bool) returns bigint[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_node    bigint := (select n.node_id from trunkline.node n);
    v_writers text[];
    v_above   bigint[];
begin
    select array_agg(distinct w) into v_writers
      from pgq.queue q
      join trunkline.captured c on c.queue_id = q.queue_id and c.writers <> '{}' and c.dropped_at is null
     cross join unnest(c.writers) w
     where q.queue_name = i_queue;
    if v_writers is not null then
        select array_agg(distinct n order by n) into v_above
          from trunkline.position p
         cross join unnest(p.path || case when not i_rows then p.followed end) n
         where p.consumer = any (v_writers) and (not i_rows or trunkline.holds_rows(p.consumer));
    end if;
    return case when v_node is not null then v_node || coalesce(v_above, '{}') end;
end
$$;
revoke all on function trunkline.node_path(text, bool) from public;
grant execute on function trunkline.node_path(text, bool) to pgq_admin;
