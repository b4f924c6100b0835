-- pgq._event_tables(i_data_pfx, i_ntables): the qualified names of a queue's event tables, in order.
-- Arguments: queue_data_pfx and queue_ntables of the queue. Result: setof text. Tables touched: none.
create or replace function pgq._event_tables(i_data_pfx text, i_ntables int4) returns setof text
language sql immutable strict
set search_path = pg_catalog, pg_temp
as $$ select i_data_pfx || '_' || i from generate_series(0, i_ntables - 1) i order by i $$;
