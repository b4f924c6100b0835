-- Function trunkline.capture_plan(i_table oid, i_old jsonb): all that the capture functions of a table are made from.
--
-- Two plans that are equal make equal functions; so one comparison tells whether a schema change concerns capture.
-- i_old is the plan that the functions were made from, null before the first: its key stays the key while it can, and
-- a table that lost its key goes on being captured by the columns that it was, with a problem noted.
--
-- Result: {"schema", "name", "oid", "columns": [{"attnum", "name", "type", "key", "text_equal"}],
--          "key_index", "keys": [{"attnum", "name", "operator"}] or null,
--          "fixed_key": all of the key's types have a fixed length, "live": log live rows always, "settings": [...], "problem": null or text}; null if there is no such table.
-- Generated columns are left out: the subscriber computes its own.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.capture_plan(i_table oid, i_old jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_class    pg_class;
    v_schema   text;
    v_index    oid;
    v_keys     jsonb;
    v_columns  jsonb;
    v_types    oid[];
    v_live     bool;
    v_fixed    bool;
    v_problem  text;
begin
    select * into v_class from pg_class c where c.oid = i_table;
    if not found then
        return null;
    end if;
    select n.nspname into v_schema from pg_namespace n where n.oid = v_class.relnamespace;

    -- The old key if it still is one, else the primary key, the named identity, the only unique index.
    select k.index_oid into v_index
      from trunkline.usable_keys(i_table) k
     where k.index_oid = (i_old ->> 'key_index')::oid or k.is_primary or k.is_identity
        or (select count(*) from trunkline.usable_keys(i_table)) = 1
     order by (k.index_oid = (i_old ->> 'key_index')::oid) is true desc, k.is_primary desc, k.is_identity desc
     limit 1;
    v_keys := coalesce(trunkline.key_columns(v_index), nullif(i_old -> 'keys', 'null'));
    select jsonb_agg(k.key || jsonb_build_object('name', a.attname) order by k.place) into v_keys
      from jsonb_array_elements(v_keys) with ordinality k (key, place)
      join pg_attribute a on a.attrelid = i_table and a.attnum = (k.key ->> 'attnum')::int2 and not a.attisdropped
    having count(*) = jsonb_array_length(v_keys);

    select jsonb_agg(jsonb_build_object(
               'attnum', a.attnum,
               'name', a.attname,
               'type', format_type(a.atttypid, a.atttypmod),
               'key', (select k.place from jsonb_array_elements(v_keys) with ordinality k (key, place)
                        where (k.key ->> 'attnum')::int2 = a.attnum),
               'text_equal', trunkline.text_is_equality(a.atttypid, a.attcollation)) order by a.attnum),
           array_agg(distinct a.atttypid)
      into v_columns, v_types
      from pg_attribute a
     where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
       and coalesce(to_jsonb(a) ->> 'attgenerated', '') = '';

    select bool_and(a.attlen > 0) into v_fixed
      from jsonb_array_elements(v_keys) k (key)
      join pg_attribute a on a.attrelid = i_table and a.attnum = (k.key ->> 'attnum')::int2;

    -- All referential actions of one client statement share one transition table, whatever changed in between.
    v_live := exists (
        select from pg_constraint c
         where c.conrelid = i_table and c.contype = 'f'
           and (c.confupdtype in ('c', 'n', 'd') or c.confdeltype in ('n', 'd')));

    v_problem := case
        when v_class.relkind <> 'r' then 'it is not an ordinary table any more'
        when v_class.relpersistence <> 'p' then 'it is unlogged: a crash empties it without an event'
        when v_class.relispartition
          or exists (select from pg_inherits h where h.inhrelid = i_table or h.inhparent = i_table)
            then 'it is part of an inheritance tree or a partitioned table'
        when row_security_active(i_table)
            then format('row level security hides rows from role %I, which captures it', current_user)
        when v_index is null then 'it has lost its key'
        when i_old is not null and (
                select count(*) from pg_trigger t
                 where t.tgrelid = i_table and t.tgname like 'trunkline\_%' and t.tgenabled in ('O', 'A')) < 4
            then 'triggers of its capture are disabled or gone'
    end;

    return jsonb_build_object(
        'schema', v_schema, 'name', v_class.relname, 'oid', i_table::bigint,
        'columns', coalesce(v_columns, '[]'), 'key_index', v_index::bigint, 'keys', v_keys, 'fixed_key', coalesce(v_fixed, false),
        'live', v_live,
        'settings', to_jsonb(trunkline.output_settings(v_types)), 'problem', v_problem);
end
$$;
revoke all on function trunkline.capture_plan(oid, jsonb) from public;
