-- Function trunkline.capture_plan(i_table oid, i_old jsonb): all that the capture functions of a table are made from.
--
-- Two plans that are equal make equal functions; so one comparison tells whether a schema change concerns capture.
-- i_old is the plan that the functions were made from: its key stays the key while it can, and a table that lost its key
-- goes on being captured by the columns that it was, with a problem noted. Before the first plan i_old says what is
-- wanted, {"identity", "wanted"}, or is null: by the table's own key.
--
-- Result: {"schema", "name", "oid", "partitioned",
--          "rows": the triggers of an inheritance tree (a statement's transition rows would be those of the children too),
--          "choice": auto, statements or rows, as it was asked for; "suits", "since", "reads": what auto has seen,
--          "form": what its triggers are made as (trunkline.capture_form): statements, rows or tree, "why": why that,
--          "identity": key, full or insert-only, "wanted": attnums of --identity COLS or null,
--          "columns": [{"attnum", "name", "type", "key", "text_equal"}], "highest": the highest attnum,
--          "key_index", "keys": [{"attnum", "name", "operator"}] or null,
--          "fixed_key": all of the key's types have a fixed length, "live": log live rows always, "settings": [...],
--          "reader": as whom rows of the table are read (trunkline.reader), "owner": the table's, where it is the reader,
--          "large": [{"name", "how"}] columns that a row may be too large for an event by,
--          "labels": of enums, by column (trunkline.enum_labels),
--          "fingerprint": what the catalog is compared with at each call, null with event triggers,
--          "problem": null or text}; null if there is no such table.
-- Generated columns are left out: the subscriber computes its own.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.capture_plan(i_table oid, i_old jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_class    pg_class;
    v_identity text := coalesce(i_old ->> 'identity', 'key');
    v_key      jsonb;
    v_columns  jsonb;
    v_types    oid[];
    v_checked  bool := trunkline.capture_mode() = 'fingerprint';
    v_reader   text := trunkline.reader(i_table);
    v_tree     bool;
begin
    select * into v_class from pg_class c where c.oid = i_table;
    if not found then
        return null;
    end if;
    v_key := trunkline.plan_key(i_table, v_identity, i_old);
    v_tree := v_class.relkind = 'r' and not v_class.relispartition
              and exists (select from pg_inherits h where h.inhrelid = i_table or h.inhparent = i_table);
    select coalesce(jsonb_agg(jsonb_build_object(
               'attnum', a.attnum,
               'name', a.attname,
               'type', format_type(a.atttypid, a.atttypmod),
               'key', (select k.place from jsonb_array_elements(nullif(v_key -> 'keys', 'null')) with ordinality k (key, place)
                        where (k.key ->> 'attnum')::int2 = a.attnum),
               'text_equal', trunkline.text_is_equality(a.atttypid, a.attcollation)) order by a.attnum), '[]'),
           array_agg(distinct a.atttypid)
      into v_columns, v_types
      from pg_attribute a
     where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
       and coalesce(to_jsonb(a) ->> 'attgenerated', '') = '';

    return v_key || jsonb_build_object(
        'schema', (select n.nspname from pg_namespace n where n.oid = v_class.relnamespace), 'name', v_class.relname,
        'oid', i_table::bigint, 'partitioned', v_class.relkind = 'p',
        'rows', v_tree,
        'identity', v_identity, 'columns', v_columns, 'highest', v_class.relnatts,
        'live', trunkline.has_foreign_actions(i_table),
        'labels', (select jsonb_object_agg(a.attnum, l.labels) from pg_attribute a cross join lateral trunkline.enum_labels(a.atttypid) l (labels)
                    -- No type that is built in holds an enum.
                    where a.attrelid = i_table and a.attnum > 0 and a.atttypid >= 16384 and l.labels is not null),
        'reader', v_reader, 'owner', case v_reader when 'owner' then v_class.relowner::bigint end,
        'settings', case when v_checked then trunkline.all_output_settings()
                         else to_jsonb(trunkline.output_settings(v_types)) end,
        'large', trunkline.large_columns(i_table), 'fingerprint', case when v_checked then trunkline.fingerprint(i_table, (v_key ->> 'key_index')::oid) end,
        'problem', trunkline.plan_problem(i_table, v_identity, v_key, i_old))
        || trunkline.capture_form(v_class, v_tree, v_identity, v_checked, i_old);
end
$$;
revoke all on function trunkline.capture_plan(oid, jsonb) from public;
