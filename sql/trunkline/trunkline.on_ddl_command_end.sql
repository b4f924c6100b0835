-- Function trunkline.on_ddl_command_end(): event trigger that keeps capture in step with schema changes.
--
-- A command on tables and indexes concerns those alone, and whoever holds values of the table's row type. Types, domains, schemas, collations and extensions name no
-- table, so for them all captured tables are compared. Never raises.
-- Tables: reads trunkline.captured; see trunkline.refresh_capture. Users must not disable it: then no value is safe from
-- going to a wrong column.
create or replace function trunkline.on_ddl_command_end() returns event_trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_table oid;
begin
    for v_table in
        with command as (select e.classid, e.objid from pg_event_trigger_ddl_commands() e)
        select c.table_oid
          from trunkline.captured c
         where c.dropped_at is null
           and (exists (select from command e where e.classid not in ('pg_class'::regclass, 'pg_trigger'::regclass))
                or exists (
                    -- Something else holds values of this table's or composite type's rows.
                    select from command e
                      join pg_class r on e.classid = 'pg_class'::regclass and r.oid = e.objid
                      join pg_type y on y.oid = r.reltype
                      join pg_depend d on d.refclassid = 'pg_type'::regclass and d.refobjid in (y.oid, y.typarray)
                     where not (d.classid = 'pg_type'::regclass and d.objid = y.typarray))
                or c.table_oid in (
                    -- A partition or a child concerns the tables above it; what is detached is known by what it was.
                    select a from command e
                      left join pg_index i on e.classid = 'pg_class'::regclass and i.indexrelid = e.objid
                      left join pg_trigger t on e.classid = 'pg_trigger'::regclass and t.oid = e.objid
                      cross join lateral trunkline.ancestors(coalesce(i.indrelid, t.tgrelid, e.objid)) a
                    union all
                    select k.root_oid from command e join trunkline.captured_part k on k.part_oid = e.objid
                     where e.classid = 'pg_class'::regclass))
         order by c.table_oid
    loop
        perform trunkline.refresh_capture(v_table);
    end loop;
exception when others then
    raise warning 'capture could not look at this command: %', sqlerrm;
end
$$;
revoke all on function trunkline.on_ddl_command_end() from public;
