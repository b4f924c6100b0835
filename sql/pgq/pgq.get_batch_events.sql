-- pgq.get_batch_events(x_batch_id): the events of an open batch, ordered by ev_id.
-- Result: setof (ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1 to ev_extra4).
-- Errors: batch not found. Tables touched: reads the queue's event tables.
create or replace function pgq.get_batch_events(
    x_batch_id bigint,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry int4, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
as $$
begin
    return query execute pgq.batch_event_sql(x_batch_id);
end
$$;

-- Event tables have no statistics, so the estimates of large ones cross the line where queries are compiled first, which
-- takes longer than a batch. The setting exists from version 11 on.
do $$
begin
    if pg_catalog.current_setting('server_version_num')::int4 >= 110000 then
        alter function pgq.get_batch_events(bigint) set jit = off;
    end if;
end
$$;
