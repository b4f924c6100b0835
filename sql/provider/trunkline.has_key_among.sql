-- Function trunkline.has_key_among(i_table oid, i_names text[]): whether all columns of some usable key are among these.
create or replace function trunkline.has_key_among(i_table oid, i_names text[]) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from trunkline.usable_keys(i_table) k
         where not exists (
             select from jsonb_array_elements(trunkline.key_columns(k.index_oid)) c (col)
               join pg_attribute a on a.attrelid = i_table and a.attnum = (c.col ->> 'attnum')::int2
              where a.attname <> all (i_names)));
$$;
revoke all on function trunkline.has_key_among(oid, text[]) from public;
