-- Function trunkline.capture_mode(): how capture learns of schema changes.
--
-- 'event trigger': inside the transaction that makes them. 'none': it does not (the installing role was no superuser, or
-- somebody took the event triggers away); a captured table must then be removed before its columns or key change, and
-- added again. Checking a fingerprint of the catalog at each call is not built yet.
-- Tables: reads the catalog. Users: everyone.
create or replace function trunkline.capture_mode() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select case when (select count(*) from pg_event_trigger e
                       where e.evtname in ('trunkline_ddl_command_end', 'trunkline_sql_drop') and e.evtenabled = 'A') = 2
                then 'event trigger' else 'none' end;
$$;
