-- Function trunkline.keep_ddl(i_consumer, i_schema, i_table, i_on_schema, i_on_table)
--
-- Drops what makes loading a table slow, its indexes with the constraints on them and the
-- foreign keys that refer to those, and stores in trunkline.kept_ddl how each comes back as it
-- was (trunkline.index_ddl). Takes an ACCESS EXCLUSIVE lock on the table, its partitions, and those that refer to it.
--
-- Arguments: i_schema and i_table, the table's name on the provider, under which all of it is stored; i_on_schema and
-- i_on_table, its name here.
--
-- Left where they are: invalid indexes (they could not come back invalid), exclusion constraints of a partitioned
-- table, indexes that belong to an extension, unique indexes of a table that is captured, keys whose own triggers
-- were switched off, and whatever something else depends on (a view grouped by the primary key).
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
    v_table text := format('%I.%I', i_on_schema, i_on_table);
    v_kind  "char";
    v_all   oid[];
    v_one   record;
begin
    select c.relkind into v_kind from pg_class c where c.oid = to_regclass(v_table);
    if v_kind is null or v_kind not in ('r', 'p') then
        return;
    end if;
    for v_one in
        with recursive tree (oid) as (
            select to_regclass(v_table)::oid
            union all
            select h.inhrelid from tree t join pg_inherits h on h.inhparent = t.oid
              join pg_class c on c.oid = h.inhrelid and c.relispartition)
        select c.relname, c.relowner, n.nspname, c.relnamespace
          from tree t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace
    loop
        if not pg_has_role(v_one.relowner, 'usage') then
            reason := format('role %I does not own %s', current_user,
                             case when v_kind = 'r' then 'the table' else v_one.relname end);
        elsif not has_schema_privilege(v_one.relnamespace, 'create') then
            reason := format('role %I may not create in schema %I', current_user, v_one.nspname);
        elsif not has_schema_privilege(v_one.relowner, v_one.relnamespace, 'create') then
            -- The object is brought back as the owner.
            reason := format('role %I may not create in schema %I', pg_get_userbyid(v_one.relowner), v_one.nspname);
        end if;
        if reason is not null then
            return next;
            return;
        end if;
    end loop;
    -- The lock first: who drops the table, or one of its indexes, meanwhile has ended before the catalog is read.
    execute format('lock table %s%s in access exclusive mode', case when v_kind = 'r' then 'only ' else '' end, v_table);
    v_all := array(
        with recursive tree (oid) as (
            select to_regclass(v_table)::oid
            union all
            select h.inhrelid from tree t join pg_inherits h on h.inhparent = t.oid
              join pg_class c on c.oid = h.inhrelid and c.relispartition)
        select t.oid from tree t);
    for v_one in
        select i.indexrelid as oid, c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
         where i.indrelid = any (v_all) and i.indisvalid and i.indisready
           -- one of a partition goes with its table's
           and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)
         order by i.indexrelid
    loop
        object := v_one.relname;
        reason := trunkline.keep_index(i_consumer, i_schema, i_table, v_one.oid);
        if reason is not null then
            return next;
        end if;
    end loop;
end;
$$;

revoke all on function trunkline.keep_ddl(text, text, text, text, text) from public;
