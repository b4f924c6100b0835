-- Function trunkline.enum_labels(i_type oid): the labels of all enums that values of a type are made of, by their numbers, which
-- stay when a label is renamed; null if there are none.
--
-- ALTER TYPE ... RENAME VALUE changes the text of rows without writing one: two labels that change names swap the rows.
-- Result: {"number": "label"}. Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.enum_labels(i_type oid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_object_agg(e.oid, e.enumlabel)
          from trunkline.component_types(array[i_type]) reached (type) join pg_enum e on e.enumtypid = reached.type);
end
$$;
revoke all on function trunkline.enum_labels(oid) from public;

-- Function trunkline.labels_renamed(i_old jsonb, i_new jsonb, i_attnum): whether labels of a column's enums
-- have other names in one plan than in another. Labels that are new hold no rows.
create or replace function trunkline.labels_renamed(i_old jsonb, i_new jsonb, i_attnum text) returns bool
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from jsonb_each_text(i_old #> array['labels', i_attnum]) o
          join jsonb_each_text(i_new #> array['labels', i_attnum]) n on n.key = o.key
         where n.value <> o.value);
end
$$;
revoke all on function trunkline.labels_renamed(jsonb, jsonb, text) from public;
