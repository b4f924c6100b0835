-- Function trunkline.on_sql_drop(): event trigger that notes dropped tables, and looks again at tables that lost a column, an
-- index, a partition, a child, a trigger or a constraint: a foreign key goes with the table that it names. Never raises.
-- Tables: reads and writes trunkline.captured; logs events; drops functions. Users must not disable it.
create or replace function trunkline.on_sql_drop() returns event_trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_captured trunkline.captured;
begin
    for v_captured in
        select c.* from trunkline.captured c
         where c.dropped_at is null
           and exists (select from pg_event_trigger_dropped_objects() d
                        where d.classid = 'pg_class'::regclass
                          and (d.objid in (c.table_oid, (c.plan ->> 'key_index')::oid)
                               or d.objid in (select k.part_oid from trunkline.captured_part k where k.root_oid = c.table_oid)
                               or (c.plan ->> 'rows')::bool)
                           or d.object_type = 'trigger'
                          or (d.object_type = 'table constraint' and not d.is_temporary
                              and to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) in (
                                  select c.table_oid union all
                                  select k.part_oid from trunkline.captured_part k where k.root_oid = c.table_oid)))
         order by c.table_oid
    loop
        if exists (select from pg_class c where c.oid = v_captured.table_oid) then
            perform trunkline.refresh_capture(v_captured.table_oid);
            continue;
        end if;
        perform trunkline.note_drop(v_captured);
    end loop;
exception when others then
    raise warning 'capture could not look at this command: %', sqlerrm;
end
$$;
revoke all on function trunkline.on_sql_drop() from public;
