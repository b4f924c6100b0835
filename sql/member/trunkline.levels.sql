-- Function trunkline.levels(i_queue): the tables of a set on this node, each with all its partitions: what is captured
-- into the queue, and on a standby what replay writes.
-- Result: root_oid, table_oid (the root itself, or a partition below it), level (0: the root).
-- Tables: reads trunkline.captured, trunkline.table_state and the catalog.
create or replace function trunkline.levels(i_queue text, out root_oid oid, out table_oid oid, out level int4)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_roots oid[] := '{}';
begin
    if to_regclass('trunkline.captured') is not null then
        v_roots := array(select c.table_oid from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
                          where q.queue_name = i_queue and c.dropped_at is null);
    end if;
    if to_regclass('trunkline.table_state') is not null
       and exists (select from trunkline.role r where r.queue_name = i_queue and r.role = 'standby') then
        v_roots := v_roots || array(
            select to_regclass(format('%I.%I', coalesce(s.target_schema, s.schema_now, s.schema_name),
                                               coalesce(s.target_name, s.name_now, s.table_name)))::oid
              from trunkline.table_state s join trunkline.position p on p.consumer = s.consumer
             where p.queue = i_queue);
    end if;
    return query
        with root as (
            select distinct c.oid from unnest(v_roots) v (oid) join pg_class c on c.oid = v.oid
        )
        select r.oid, r.oid, 0 from root r
        union all
        select r.oid, p.part_oid, p.level
          from root r
          cross join lateral trunkline.parts(r.oid) p
          join pg_class c on c.oid = p.part_oid
           -- A foreign table takes no trigger of ours, and is none of a captured table's parts.
         where c.relkind in ('r', 'p')
         order by 1, 3, 2;
end
$$;
revoke all on function trunkline.levels(text) from public;

-- Function trunkline.set_size(i_queue): how many tables and partitions a fence of this node locks, and how many locks the
-- server's lock table is sure to hold, whoever else has some.
-- Tables: as trunkline.levels. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.set_size(i_queue text, out relations int4, out locks bigint) returns record
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select (select count(*) from trunkline.levels(i_queue))::int4,
           current_setting('max_locks_per_transaction')::bigint
           * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint);
$$;
revoke all on function trunkline.set_size(text) from public;
