-- pgq.insert_event(queue_name, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4): inserts an event.
-- Result: its number. Errors: as insert_event_raw; Queue 'Q' allows max N events from one TX.
-- Tables touched: as insert_event_raw.
create or replace function pgq.insert_event(
    queue_name text, ev_type text, ev_data text,
    ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id    bigint := pgq.insert_event_raw($1, null, null, null, null, $2, $3, $4, $5, $6, $7);
    v_limit int4;
    v_count bigint;
    v_table text;
begin
    select q.queue_per_tx_limit, q.queue_data_pfx into v_limit, v_table from pgq.queue q where q.queue_name = $1;
    if v_limit is not null then
        execute format('select count(*) from %s where ev_txid = $1', v_table) into v_count using txid_current();
        if v_count > v_limit then
            raise exception 'Queue ''%'' allows max % events from one TX', $1, v_limit using errcode = '54000';
        end if;
    end if;
    return v_id;
end
$$;

-- pgq.insert_event(queue_name, ev_type, ev_data): the same, without extra columns.
create or replace function pgq.insert_event(queue_name text, ev_type text, ev_data text) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq.insert_event($1, $2, $3, null, null, null, null) $$;
