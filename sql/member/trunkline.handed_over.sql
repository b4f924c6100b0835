-- Function trunkline.handed_over(i_queue, i_wait, i_seconds): which other nodes have everything that a fenced node has taken, so
-- that one of them can become the provider and nothing is lost, should this node be switched off.
--
-- Arguments: i_wait: until one of them has it, this long is waited at most, and not at all if none is known; i_seconds: what a
--            standby has said earlier than so many seconds ago does not count: it may have been restored from a backup since.
-- Result: a row a standby that was heard of, and one for a node that has become the provider where this node's log ends.
--   name   the node's name, else its identity
--   has    it has applied all captured tables, whole, up to the final tick; or it began there
-- Errors: 42704 no such queue, or this node has no role; 55000 it is not fenced.
-- Tables: reads role, member, history, captured, pgq.queue, consumer and subscription. Holds the lock of
-- trunkline.wait_replicated, by which replay learns that somebody waits. Users: pgq_reader.
create or replace function trunkline.handed_over(
    i_queue text, i_wait interval, i_seconds float8, out name text, out has bool)
returns setof record
language plpgsql volatile security definer rows 3
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_role  trunkline.role;
    v_since timestamptz := clock_timestamp() - i_seconds * interval '1 s';
    v_end   timestamptz := clock_timestamp() + i_wait;
    v_queue int4 := (select q.queue_id from pgq.queue q where q.queue_name = i_queue);
begin
    select * into v_role from trunkline.role r where r.queue_name = i_queue;
    if not found or v_queue is null then
        raise exception 'this node has no role in a set of queue %', quote_literal(i_queue) using errcode = '42704';
    elsif v_role.role <> 'fenced' then
        raise exception 'this node is not fenced for queue %: it is a %', quote_literal(i_queue), v_role.role
            using errcode = '55000';
    end if;
    perform pg_try_advisory_xact_lock_shared(hashtext('trunkline.wait_replicated'), v_queue);
    while clock_timestamp() < v_end
          and (select count(*) > 0 and not bool_or(h.has) from trunkline.heirs_of_end(v_role, v_queue, v_since) h) loop
        perform pg_sleep(0.02);
    end loop;
    return query select h.name, h.has from trunkline.heirs_of_end(v_role, v_queue, v_since) h order by 1;
end
$$;
revoke all on function trunkline.handed_over(text, interval, float8) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_reader') then
        grant execute on function trunkline.handed_over(text, interval, float8) to pgq_reader;
    end if;
end
$$;

-- Function trunkline.heirs_of_end(i_role, i_queue, i_since): what trunkline.handed_over gives, at once. For that one only.
-- A node may have no schema pgq: so it is no function in SQL, whose tables must be there when it is made.
create or replace function trunkline.heirs_of_end(
    i_role trunkline.role, i_queue int4, i_since timestamptz, out name text, out has bool)
returns setof record
language plpgsql stable rows 3
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select coalesce(h.node_name, h.node_id::text), true
          from trunkline.history h
         where h.queue_name = i_role.queue_name and h.term > i_role.term and h.old_epoch = i_role.final_epoch
           and h.old_tick_id >= i_role.final_tick_id
        union all
        select coalesce(m.name, m.node_id::text),
               exists (select from pgq.subscription s
                         join pgq.consumer c on c.co_id = s.sub_consumer
                        where s.sub_queue = i_queue and c.co_name = m.consumer and s.sub_detached is null
                          and s.sub_last_tick >= i_role.final_tick_id and s.sub_active >= i_since
                          and s.sub_whole @> array(select t.table_oid from trunkline.captured t
                                                    where t.queue_id = i_queue and t.dropped_at is null))
          from trunkline.member m
         where m.queue_name = i_role.queue_name and m.role = 'standby';
end
$$;
revoke all on function trunkline.heirs_of_end(trunkline.role, int4, timestamptz) from public;
