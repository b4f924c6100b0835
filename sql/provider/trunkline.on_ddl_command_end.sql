-- Function trunkline.on_ddl_command_end(): event trigger that keeps capture in step with schema changes.
--
-- The server names only the table that the command names, but ALTER TABLE of a parent changes its children
-- and partitions, and a child that comes or goes changes its parent. So the whole tree is looked at, up and
-- down, and whoever holds values of the table's row type. What was a child or a partition before the command
-- is known by what it was. Types, domains, schemas, collations and extensions name no table, so for them all
-- captured tables are compared. Never raises.
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
    -- A fence switches a trigger on each of a thousand tables. Nothing of that concerns capture, and to look at all
    -- captured tables after each of these commands made 18 seconds of half a one. No other transaction sees the row so.
    if to_regclass('trunkline.role') is not null then
        if exists (select from trunkline.role r where r.toggled_by = txid_current()) then
            return;
        end if;
    end if;
    for v_table in
        with command as (
            select e.classid, e.objid, e.command_tag, coalesce(i.indrelid, t.tgrelid, e.objid) as table_oid
              from pg_event_trigger_ddl_commands() e
              left join pg_index i on e.classid = 'pg_class'::regclass and i.indexrelid = e.objid
              left join pg_trigger t on e.classid = 'pg_trigger'::regclass and t.oid = e.objid)
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
                    select a from command e cross join lateral trunkline.ancestors(e.table_oid) a
                    union all
                    select d from command e cross join lateral trunkline.descendants(e.table_oid) d
                    union all
                    select k.root_oid from command e join trunkline.captured_part k on k.part_oid = e.objid
                     where e.classid = 'pg_class'::regclass)
                -- The captured table may have been the parent, or the partition, of the table that the command names.
                or (exists (select from command e where e.command_tag = 'ALTER TABLE')
                    and ((c.plan ->> 'rows')::bool or c.plan ->> 'problem' is not null)))
         order by c.table_oid
    loop
        perform trunkline.refresh_capture(v_table);
    end loop;
exception when others then
    raise warning 'capture could not look at this command: %', sqlerrm;
end
$$;
revoke all on function trunkline.on_ddl_command_end() from public;
