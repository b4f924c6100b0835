-- Function trunkline.on_ddl_command_end(): event trigger that keeps capture in step with schema changes.
--
-- A command on tables and indexes concerns those alone. Types, domains, schemas, collations and extensions name no
-- table, so for them all captured tables are compared. Never raises.
-- Tables: reads trunkline.captured; see trunkline.refresh_capture. Users must not disable it: then no value is safe from
-- going to a wrong column.
create or replace function trunkline.on_ddl_command_end() returns event_trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
    v_table oid;
begin
    for v_table in
        with command as (select e.classid, e.objid from pg_event_trigger_ddl_commands() e)
        select c.table_oid
          from trunkline.captured c
         where c.dropped_at is null
           and (exists (select from command e
                         where e.classid = 'pg_class'::regclass
                           and (e.objid = c.table_oid
                                or exists (select from pg_index i where i.indexrelid = e.objid and i.indrelid = c.table_oid)
                                or exists (select from pg_inherits h where h.inhrelid = e.objid and h.inhparent = c.table_oid)))
                or exists (select from command e where e.classid not in ('pg_class'::regclass, 'pg_trigger'::regclass))
                or exists (select from command e join pg_trigger t on t.oid = e.objid
                            where e.classid = 'pg_trigger'::regclass and t.tgrelid = c.table_oid))
         order by c.table_oid
    loop
        perform trunkline.refresh_capture(v_table);
    end loop;
exception when others then
    raise warning 'capture could not look at this command: %', sqlerrm;
end
$$;
revoke all on function trunkline.on_ddl_command_end() from public;
-- Catalogs that were never analyzed look large to the planner: compiling the query cost a fifth of a second a command.
do $do$
begin
    if current_setting('jit', true) is not null then
        alter function trunkline.on_ddl_command_end() set jit = off;
    end if;
end
$do$;
