-- Function trunkline.keep_index(i_consumer, i_schema, i_table, i_index oid)
--
-- Stores in trunkline.kept_ddl how an index, with the constraint on it and the foreign keys that refer to
-- that, comes back, and drops it. An index of a partitioned table goes with those of its partitions; theirs
-- are stored first, so that they come back first. Takes an ACCESS EXCLUSIVE lock on tables that refer to it.
--
-- A copy may find here what an earlier one has brought back half-way: a foreign key that is not valid because it waits
-- for its other table, an index that is built and lacks its constraint, marks and comment still. As it was is then what
-- that copy has stored, and not what the catalog says.
--
-- Arguments: i_schema and i_table, the name under which it is stored (trunkline.keep_ddl).
-- Result: null, or why it was left where it is.
-- Tables: writes trunkline.kept_ddl, reads the catalog.
-- Users must not call it: what it takes away only a copy brings back.

create or replace function trunkline.keep_index(i_consumer text, i_schema text, i_table text, i_index oid)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_all    oid[];
    v_one    record;
    v_fk     record;
begin
    v_all := array(
        with recursive tree (oid, level) as (
            select i_index, 0
            union all
            select h.inhrelid, t.level + 1 from tree t join pg_inherits h on h.inhparent = t.oid)
        select t.oid from tree t order by t.level desc, t.oid);
    for v_one in
        select i.indexrelid as oid, ic.relname, ic.relkind, i.indisvalid and i.indisready as is_valid, i.indisexclusion, t.spcname,
               i.indisunique and exists (
                   select from pg_trigger g join pg_proc p on p.oid = g.tgfoid and p.pronamespace = 'trunkline'::regnamespace
                    where g.tgrelid = i.indrelid and not g.tgisinternal) as is_of_capture,
               -- The role that lacks the right to create in the tablespace: the current role, or the owner, as whom the index is
               -- brought back.
               case when t.oid is null then null
                    when not has_tablespace_privilege(t.oid, 'create') then current_user
                    when not has_tablespace_privilege(ic.relowner, t.oid, 'create') then pg_get_userbyid(ic.relowner)
               end as unplaced_by, c.oid as con_oid
          from pg_index i
          join pg_class ic on ic.oid = i.indexrelid
          left join pg_tablespace t on t.oid = ic.reltablespace
          left join pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('p', 'u', 'x')
         where i.indexrelid = any (v_all)
    loop
        if v_one.unplaced_by is not null then
            return format('role %I may not create in tablespace %I', v_one.unplaced_by, v_one.spcname);
        elsif v_one.is_of_capture then
            -- Without it capture would tell those who follow the table here that it has lost its key.
            return 'the table is captured, and its rows are told apart by its unique indexes';
        elsif exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                         and d.objid = v_one.oid and d.deptype in ('e', 'x')) then
            return 'it belongs to an extension';
        elsif not v_one.is_valid then
            return format('%I is not valid', v_one.relname);
        elsif v_one.indisexclusion and i_index <> all (v_all[1:1]) then
            return 'it is an exclusion constraint of partitions';
        elsif exists (select from pg_trigger t join pg_constraint c on c.oid = t.tgconstraint
                       where t.tgenabled <> 'O'
                         and (c.oid = v_one.con_oid or (c.contype = 'f' and c.conindid = v_one.oid))) then
            return 'a trigger of its constraint, or of a foreign key to it, is switched off';
        end if;
    end loop;
    for v_fk in
        select f.oid, f.conname, n.nspname, c.relname, c.relowner,
               f.convalidated or exists (
                   select from trunkline.kept_ddl k
                    where k.kind = 'foreign key' and k.on_schema = n.nspname and k.on_table = c.relname
                      and k.name = f.conname and k.validate is not null) as was_valid,
               c.relkind = 'p' and current_setting('server_version_num')::int < 180000
                   or exists (select from pg_class r where r.oid = f.confrelid and r.relkind = 'p') as at_once,
               pg_get_constraintdef(f.oid) as definition,
               obj_description(f.oid, 'pg_constraint') as comment
          from pg_constraint f
          join pg_class c on c.oid = f.conrelid
          join pg_namespace n on n.oid = c.relnamespace
         where f.contype = 'f' and f.conindid = any (v_all)
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
        -- If the server allows it, the foreign key is first added NOT VALID: then it holds for new rows before the old rows are
        -- checked. A foreign key on a partitioned table, or to one, is added in one step when both tables are copied: the server
        -- would leave the keys that it makes for the partitions NOT VALID.
        insert into trunkline.kept_ddl (consumer, schema_name, table_name, kind, name, on_schema, on_table,
                                        bytes, build, attach, validate)
        select i_consumer, i_schema, i_table, 'foreign key', v_fk.conname, v_fk.nspname, v_fk.relname, 0, '{}',
               case when not v_fk.was_valid then array[d.add] || d.comment
                    when v_fk.at_once then '{}'
                    else array[d.add || ' not valid'] || d.comment end,
               case when not v_fk.was_valid then null
                    when v_fk.at_once then array[d.add] || d.comment
                    else array[format('alter table %I.%I validate constraint %I', v_fk.nspname, v_fk.relname,
                                      v_fk.conname)] end
          from (select format('alter table %I.%I add constraint %I %s', v_fk.nspname, v_fk.relname, v_fk.conname,
                              case when v_fk.was_valid then regexp_replace(v_fk.definition, ' NOT VALID$', '')
                                   else v_fk.definition end) as add,
                       case when v_fk.comment is null then '{}'::text[]
                            else array[format('comment on constraint %I on %I.%I is %L', v_fk.conname,
                                              v_fk.nspname, v_fk.relname, v_fk.comment)] end as comment) d;
        execute format('alter table %I.%I drop constraint %I', v_fk.nspname, v_fk.relname, v_fk.conname);
    end loop;
    for v_one in
        select ic.oid, ic.relname, tn.nspname, tc.relname as on_table, d.build, coalesce(k.attach, d.attach) as attach,
               coalesce(k.kind, case when c.oid is null then 'index' else 'constraint' end) as kind, c.conname,
               pg_relation_size(ic.oid) as bytes
          from unnest(v_all) with ordinality a (oid, place)
          join pg_index i on i.indexrelid = a.oid
          join pg_class ic on ic.oid = a.oid
          join pg_class tc on tc.oid = i.indrelid
          join pg_namespace tn on tn.oid = tc.relnamespace
          cross join lateral trunkline.index_ddl(a.oid) d
          left join pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('p', 'u', 'x')
          -- Built by a copy, and the rest of it still waits. What is built with the rest at once was made by hand.
          left join trunkline.kept_ddl k on k.kind <> 'foreign key' and k.on_schema = tn.nspname
               and k.on_table = tc.relname and k.name = ic.relname and k.build = '{}' and d.build <> '{}' and c.oid is null
         order by a.place
    loop
        -- An object that exists need not be brought back any more: somebody has made the object by hand, or the table anew.
        delete from trunkline.kept_ddl k
         where k.kind <> 'foreign key' and k.on_schema = v_one.nspname and k.on_table = v_one.on_table
           and k.name = v_one.relname;
        insert into trunkline.kept_ddl (consumer, schema_name, table_name, kind, name, on_schema, on_table, bytes,
                                        build, attach)
        values (i_consumer, i_schema, i_table, v_one.kind, v_one.relname, v_one.nspname, v_one.on_table, v_one.bytes,
                v_one.build, v_one.attach);
    end loop;
    -- The last one is the index itself.
    if v_one.conname is null then
        execute format('drop index %I.%I', v_one.nspname, v_one.relname);
    else
        execute format('alter table %I.%I drop constraint %I', v_one.nspname, v_one.on_table, v_one.conname);
    end if;
    return null;
exception when dependent_objects_still_exist or insufficient_privilege or feature_not_supported or wrong_object_type then
    return sqlerrm;
end;
$$;

revoke all on function trunkline.keep_index(text, text, text, oid) from public;
