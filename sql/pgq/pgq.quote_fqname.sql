-- pgq.quote_fqname(i_name): quotes a name for SQL: split at the first dot into schema and object, schema public if
-- there is no dot. Result: text; null for null. Tables touched: none.
create or replace function pgq.quote_fqname(i_name text) returns text
language sql immutable strict
set search_path = pg_catalog, pg_temp
as $$
    select case when strpos(i_name, '.') > 0
                then quote_ident(substr(i_name, 1, strpos(i_name, '.') - 1)) || '.'
                     || quote_ident(substr(i_name, strpos(i_name, '.') + 1))
                else 'public.' || quote_ident(i_name)
           end
$$;
