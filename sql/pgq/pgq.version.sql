-- pgq.version(): text that starts with the version of the PgQ interface, as pgqd wants, and names us.
-- Tables touched: none.
create or replace function pgq.version() returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select '3.5-trunkline'::text $$;
