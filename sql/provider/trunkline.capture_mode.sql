-- Function trunkline.capture_mode(): how capture learns of schema changes.
--
-- 'events': event triggers tell it, inside the transaction that makes them. 'fingerprint': the capture functions compare the
-- catalog at each call, because the installing role was no superuser, or somebody took the event triggers away; the
-- ticker's upkeep then makes the functions anew. What that cannot see stands in the manual.
-- Tables: reads the catalog. Users: everyone.
create or replace function trunkline.capture_mode() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select case when (select count(*) from pg_event_trigger e
                       where e.evtname in ('trunkline_ddl_command_end', 'trunkline_sql_drop', 'trunkline_table_rewrite')
                         and e.evtenabled = 'A') = 3
                then 'events' else 'fingerprint' end;
$$;
revoke all on function trunkline.capture_mode() from public;
grant execute on function trunkline.capture_mode() to pgq_reader;
