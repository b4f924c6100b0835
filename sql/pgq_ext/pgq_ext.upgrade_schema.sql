-- pgq_ext.upgrade_schema(): for callers of old; an install brings the tables up to date. Result: 0, nothing was changed.
create or replace function pgq_ext.upgrade_schema() returns int4
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select 0 $$;
