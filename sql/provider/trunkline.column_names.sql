-- Function trunkline.column_names(i_table oid): the names of a table's columns in a form that their order does not change.
create or replace function trunkline.column_names(i_table oid) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(a.attname, null), '{}')::text
      from pg_attribute a where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped;
$$;
revoke all on function trunkline.column_names(oid) from public;
