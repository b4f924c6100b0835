-- pgq.insert_events(queue_name, ev_types, ev_datas, ev_extra1, ev_extra2, ev_extra3, ev_extra4): inserts many events in
-- one statement, in the order of the arrays. Each array of extra columns may be null; the others have one element an
-- event. Result: how many were inserted.
-- Errors: as insert_event; arrays of different lengths.
-- Tables touched: inserts into the queue's current event table, takes numbers of its sequence.
create or replace function pgq.insert_events(
    queue_name text, ev_types text[], ev_datas text[], ev_extra1 text[] default null, ev_extra2 text[] default null,
    ev_extra3 text[] default null, ev_extra4 text[] default null) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_txid  bigint;
    v_count bigint := coalesce(cardinality($2), 0);
begin
    v_queue := pgq._insert_target($1);
    perform pgq._refuse_disabled(v_queue);
    if v_count <> coalesce(cardinality($3), 0)
       or v_count <> coalesce(cardinality($4), v_count) or v_count <> coalesce(cardinality($5), v_count)
       or v_count <> coalesce(cardinality($6), v_count) or v_count <> coalesce(cardinality($7), v_count) then
        raise exception 'the arrays of insert_events must have one length' using errcode = '2202E';
    end if;
    perform pgq._refuse_type(t) from unnest($2) t where t >= 'trunkline.' collate "C" and left(t, 10) = 'trunkline.';
    if v_queue.queue_per_tx_limit is not null then
        perform pgq._count_insert(v_queue.queue_id, $1, v_queue.queue_per_tx_limit, v_count);
    end if;
    v_txid := txid_current();
    execute format('insert into %s_%s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, '
                   'ev_extra4) select nextval(%L::regclass), now(), $1, t, d, e1, e2, e3, e4 '
                   'from unnest($2, $3, $4, $5, $6, $7) e (t, d, e1, e2, e3, e4)',
                   v_queue.queue_data_pfx, v_queue.queue_cur_table, v_queue.queue_event_seq)
      using v_txid, $2, $3, $4, $5, $6, $7;
    return v_count;
end
$$;
