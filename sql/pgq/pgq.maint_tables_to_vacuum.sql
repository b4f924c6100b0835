-- pgq.maint_tables_to_vacuum(): tables that need VACUUM by hand because autovacuum is off.
-- Result: setof text, qualified names; nothing where autovacuum is on. Tables touched: none.
create or replace function pgq.maint_tables_to_vacuum() returns setof text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select n.name
      from (values ('pgq.subscription'), ('pgq.consumer'), ('pgq.queue'), ('pgq.tick'), ('pgq.retry_queue'),
                   ('pgq_ext.completed_tick'), ('pgq_ext.completed_batch'), ('pgq_ext.completed_event'),
                   ('pgq_ext.partial_batch')) n (name)
     where current_setting('autovacuum') = 'off' and to_regclass(n.name) is not null
$$;
