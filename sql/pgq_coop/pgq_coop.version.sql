-- pgq_coop.version(): text that starts with the version of the interface and names us. Tables touched: none.
create or replace function pgq_coop.version() returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select '3.5-trunkline'::text $$;
