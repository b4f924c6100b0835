-- pgq.tune_storage(i_queue_name): storage settings of a queue's event tables: filled to the brim and never vacuumed,
-- because rows are neither updated nor deleted; space comes back by TRUNCATE.
-- Result: 1; 0 if there is no such queue. Tables touched: alters the event tables.
create or replace function pgq.tune_storage(i_queue_name text) returns int4
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table text;
begin
    for v_table in select pgq._event_tables(q.queue_data_pfx, q.queue_ntables) from pgq.queue q
                    where q.queue_name = i_queue_name loop
        execute format('alter table %s set (fillfactor = 100, autovacuum_enabled = off, '
                       'toast.autovacuum_enabled = off)', v_table);
    end loop;
    return found::int4;
end
$$;
