-- Function trunkline.keep_ddl(i_consumer, i_schema, i_table, i_on_schema, i_on_table)
--
-- Drops what makes loading a table slow, its indexes with the constraints on them and the
-- foreign keys that refer to those, and stores in trunkline.kept_ddl how each comes back as it
-- was: name, tablespace, storage parameters, comment, statistics targets, cluster mark,
-- replica identity. Takes an ACCESS EXCLUSIVE lock on the table and on those that refer to it.
--
-- Arguments: i_schema and i_table, the table's name on the provider, under which all of it is stored; i_on_schema and
-- i_on_table, its name here.
--
-- Left where they are: invalid indexes (they could not come back invalid), indexes of a
-- partitioned index, those that belong to an extension, keys whose own triggers were switched
-- off, and whatever something else depends on (a view grouped by the primary key).
--
-- Result: one row an object that was left, with the reason; object null: all of the table.
-- Tables: writes trunkline.kept_ddl, reads the catalog.
-- Users must not call it: what it takes away only a copy brings back.

create or replace function trunkline.keep_ddl(
    i_consumer text,
    i_schema text,
    i_table text,
    i_on_schema text,
    i_on_table text,
    out object text,
    out reason text)
returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table  text := format('%I.%I', i_on_schema, i_on_table);
    v_oid    oid;
    v_class  record;
    v_index  record;
    v_fk     record;
    v_build  text[];
    v_attach text[];
begin
    select c.relkind, c.relowner, c.relnamespace into v_class from pg_class c where c.oid = to_regclass(v_table);
    if v_class.relkind is distinct from 'r' then
        return;
    end if;
    if not pg_has_role(v_class.relowner, 'usage') then
        reason := format('role %I does not own the table', current_user);
        return next;
        return;
    end if;
    if not has_schema_privilege(v_class.relnamespace, 'create') then
        reason := format('role %I may not create in schema %I', current_user, i_on_schema);
        return next;
        return;
    end if;
    -- The lock first: who drops the table, or one of its indexes, meanwhile has ended before the catalog is read.
    execute format('lock table only %s in access exclusive mode', v_table);
    v_oid := to_regclass(v_table);
    for v_index in
        select i.indexrelid as oid, ic.relname as name, i.indisclustered, i.indisreplident, i.indisexclusion,
               pg_relation_size(i.indexrelid) as bytes, t.spcname,
               t.oid is null or has_tablespace_privilege(t.oid, 'create') as may_place,
               obj_description(i.indexrelid, 'pg_class') as comment,
               c.oid as con_oid, c.conname, c.contype, c.condeferrable, c.condeferred,
               obj_description(c.oid, 'pg_constraint') as con_comment
          from pg_index i
          join pg_class ic on ic.oid = i.indexrelid
          left join pg_tablespace t on t.oid = ic.reltablespace
          left join pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid
                                   and c.contype in ('p', 'u', 'x')
         where i.indrelid = v_oid and i.indisvalid and i.indisready
           and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)
         order by i.indexrelid
    loop
        object := v_index.name;
        reason := null;
        if not v_index.may_place then
            reason := format('role %I may not create in tablespace %I', current_user, v_index.spcname);
        elsif exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                         and d.objid = v_index.oid and d.deptype in ('e', 'x')) then
            reason := 'it belongs to an extension';
        elsif exists (select from pg_trigger t join pg_constraint c on c.oid = t.tgconstraint
                       where t.tgenabled <> 'O'
                         and (c.oid = v_index.con_oid or (c.contype = 'f' and c.conindid = v_index.oid))) then
            reason := 'a trigger of its constraint, or of a foreign key to it, is switched off';
        end if;
        if reason is not null then
            return next;
            continue;
        end if;
        v_build := '{}';
        v_attach := '{}';
        if v_index.spcname is not null then
            v_build := v_build || format('set local default_tablespace = %L', v_index.spcname);
        end if;
        if v_index.contype = 'x' or v_index.indisexclusion then
            -- No index can be made into such a constraint afterwards.
            v_attach := v_build || format('alter table %s add constraint %I %s', v_table, v_index.conname,
                                          pg_get_constraintdef(v_index.con_oid));
            v_build := '{}';
        else
            v_build := v_build || pg_get_indexdef(v_index.oid);
            if v_index.con_oid is not null then
                v_attach := v_attach || format('alter table %s add constraint %I %s using index %I%s%s',
                    v_table, v_index.conname,
                    case v_index.contype when 'p' then 'primary key' else 'unique' end, v_index.name,
                    case when v_index.condeferrable then ' deferrable' else '' end,
                    case when v_index.condeferred then ' initially deferred' else '' end);
            end if;
        end if;
        if v_index.con_comment is not null then
            v_attach := v_attach || format('comment on constraint %I on %s is %L', v_index.conname, v_table,
                                           v_index.con_comment);
        end if;
        if v_index.comment is not null then
            v_attach := v_attach || format('comment on index %I.%I is %L', i_on_schema, v_index.name, v_index.comment);
        end if;
        if v_index.indisclustered then
            v_attach := v_attach || format('alter table %s cluster on %I', v_table, v_index.name);
        end if;
        if v_index.indisreplident then
            v_attach := v_attach || format('alter table %s replica identity using index %I', v_table, v_index.name);
        end if;
        v_attach := v_attach || array(
            select format('alter index %I.%I alter column %s set statistics %s', i_on_schema, v_index.name, a.attnum,
                          a.attstattarget)
              from pg_attribute a where a.attrelid = v_index.oid and a.attstattarget >= 0 order by a.attnum);
        begin
            for v_fk in
                select f.oid, f.conname, f.convalidated, n.nspname, c.relname, c.relkind, c.relowner,
                       pg_get_constraintdef(f.oid) as definition,
                       obj_description(f.oid, 'pg_constraint') as comment
                  from pg_constraint f
                  join pg_class c on c.oid = f.conrelid
                  join pg_namespace n on n.oid = c.relnamespace
                 where f.contype = 'f' and f.confrelid = v_oid and f.conindid = v_index.oid
                   -- those of partitions come and go with their table's
                   and coalesce(to_jsonb(f) ->> 'conparentid', '0') = '0'
                 order by f.oid
            loop
                if not pg_has_role(v_fk.relowner, 'usage') then
                    raise insufficient_privilege using message =
                        format('role %I does not own %I.%I, which refers to it', current_user, v_fk.nspname, v_fk.relname);
                end if;
                delete from trunkline.kept_ddl k
                 where k.kind = 'foreign key' and k.on_schema = v_fk.nspname and k.on_table = v_fk.relname
                   and k.name = v_fk.conname;
                -- Not valid first, where the server has that: then it holds for new rows before the old ones are
                -- looked at. On a partitioned table it comes back in one step when both tables are in.
                insert into trunkline.kept_ddl (consumer, schema_name, table_name, kind, name, on_schema, on_table,
                                                bytes, build, attach, validate)
                select i_consumer, i_schema, i_table, 'foreign key', v_fk.conname, v_fk.nspname, v_fk.relname, 0, '{}',
                       case when not v_fk.convalidated then array[d.add] || d.comment
                            when d.at_once then '{}'
                            else array[d.add || ' not valid'] || d.comment end,
                       case when not v_fk.convalidated then null
                            when d.at_once then array[d.add] || d.comment
                            else array[format('alter table %I.%I validate constraint %I', v_fk.nspname, v_fk.relname,
                                              v_fk.conname)] end
                  from (select format('alter table %I.%I add constraint %I %s', v_fk.nspname, v_fk.relname, v_fk.conname,
                                      v_fk.definition) as add,
                               v_fk.relkind = 'p' and current_setting('server_version_num')::int < 180000 as at_once,
                               case when v_fk.comment is null then '{}'::text[]
                                    else array[format('comment on constraint %I on %I.%I is %L', v_fk.conname,
                                                      v_fk.nspname, v_fk.relname, v_fk.comment)] end as comment) d;
                execute format('alter table %I.%I drop constraint %I', v_fk.nspname, v_fk.relname, v_fk.conname);
            end loop;
            -- What is there is no longer to be brought back: somebody has made it by hand, or the table anew.
            delete from trunkline.kept_ddl k
             where k.kind <> 'foreign key' and k.on_schema = i_on_schema and k.on_table = i_on_table and k.name = v_index.name;
            insert into trunkline.kept_ddl (consumer, schema_name, table_name, kind, name, on_schema, on_table, bytes,
                                            build, attach)
            values (i_consumer, i_schema, i_table,
                    case when v_index.con_oid is null then 'index' else 'constraint' end,
                    v_index.name, i_on_schema, i_on_table, v_index.bytes, v_build, v_attach);
            if v_index.con_oid is null then
                execute format('drop index %I.%I', i_on_schema, v_index.name);
            else
                execute format('alter table %s drop constraint %I', v_table, v_index.conname);
            end if;
        exception when dependent_objects_still_exist or insufficient_privilege or feature_not_supported
                    or wrong_object_type then
            reason := sqlerrm;
            return next;
        end;
    end loop;
end;
$$;

revoke all on function trunkline.keep_ddl(text, text, text, text, text) from public;
