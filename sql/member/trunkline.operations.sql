-- Function trunkline.operations(i_queue): the operations of this node's sets, the running one first, then the latest.
-- Result: the columns of trunkline.operation; running; seconds since it began, and since the command that does it has said
-- something, which it does every few seconds while it waits. Tables: reads trunkline.operation.
-- Users: pgq_reader.
create or replace function trunkline.operations(
    i_queue text default null,
    out queue_name text, out operation_id bigint, out kind text, out old_node bigint, out old_name text,
    out new_node bigint, out new_name text, out was_fenced bool, out step text, out running bool, out started_by text,
    out seconds float8, out quiet_seconds float8, out final_epoch bigint, out final_tick_id bigint,
    out final_tick_tag bigint, out error text)
returns setof record
language plpgsql stable security definer rows 3
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select o.queue_name, o.operation_id, o.kind, o.old_node, o.old_name, o.new_node, o.new_name, o.was_fenced,
               o.step, o.step not in ('done', 'aborted'), o.started_by,
               greatest(0, extract(epoch from clock_timestamp() - o.started_at))::float8,
               greatest(0, extract(epoch from clock_timestamp() - o.changed_at))::float8,
               o.final_epoch, o.final_tick_id, o.final_tick_tag, o.error
          from trunkline.operation o
         where i_queue is null or o.queue_name = i_queue
         order by o.queue_name, o.step in ('done', 'aborted'), o.started_at desc;
end
$$;
revoke all on function trunkline.operations(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_reader') then
        grant execute on function trunkline.operations(text) to pgq_reader;
    end if;
end
$$;
