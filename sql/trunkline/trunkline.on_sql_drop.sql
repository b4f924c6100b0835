-- Function trunkline.on_sql_drop(): event trigger that notes dropped tables, and looks again at tables that lost a column,
-- an index or a trigger. Never raises.
-- Tables: reads and writes trunkline.captured; logs events; drops functions. Users must not disable it.
create or replace function trunkline.on_sql_drop() returns event_trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
    v_captured  trunkline.captured;
    v_operation text;
    v_shape     bigint;
begin
    for v_captured in
        select c.* from trunkline.captured c
         where c.dropped_at is null
           and exists (select from pg_event_trigger_dropped_objects() d
                        where d.classid = 'pg_class'::regclass
                          and d.objid in (c.table_oid, (c.plan ->> 'key_index')::oid)
                           or d.object_type = 'trigger')
         order by c.table_oid
    loop
        if exists (select from pg_class c where c.oid = v_captured.table_oid) then
            perform trunkline.refresh_capture(v_captured.table_oid);
            continue;
        end if;
        v_shape := trunkline.log_shape(v_captured.queue_id, v_captured.plan, null, true);
        update trunkline.captured c set dropped_at = now(), shape_id = v_shape, problem = 'it was dropped'
         where c.table_oid = v_captured.table_oid;
        foreach v_operation in array array['insert', 'update', 'delete', 'truncate'] loop
            execute format('drop function if exists trunkline.capture_%s_%s()', v_captured.table_oid, v_operation);
        end loop;
    end loop;
exception when others then
    raise warning 'capture could not look at this command: %', sqlerrm;
end
$$;
revoke all on function trunkline.on_sql_drop() from public;
