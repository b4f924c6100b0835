-- pgq._make_event_table(i_queue, i_number): makes one event table of a queue, empty, with its index, rights and storage.
-- Tables touched: creates event_N_i; takes a SHARE UPDATE EXCLUSIVE lock on event_N, which readers and writers do not
-- feel. Users must not: call it; create_queue and rotation do.
create or replace function pgq._make_event_table(i_queue pgq.queue, i_number int4) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table text := i_queue.queue_data_pfx || '_' || i_number;
begin
    execute format('create table %s () inherits (%s)', v_table, i_queue.queue_data_pfx);
    execute format('alter table %s alter column ev_id set default nextval(%L::regclass)',
                   v_table, i_queue.queue_event_seq);
    execute format('create index %I on %s (ev_txid)', split_part(v_table, '.', 2) || '_txid_idx', v_table);
end
$$;
