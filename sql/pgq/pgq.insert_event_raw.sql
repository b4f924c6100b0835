-- pgq.insert_event_raw(...): inserts an event with all its columns given; for retries and bulk copies of queues.
-- Arguments: as the columns of the event table; a null ev_id takes the next number, a null ev_time is now.
-- Result: the event's number. Errors: No such queue; Insert into queue disallowed (unless session_replication_role is
-- replica); a type that begins with 'trunkline.', which only capture writes.
-- Tables touched: inserts into the queue's current event table, takes a number of its sequence.
-- The number is taken even if ev_id is given, because that is how a ticker knows; and after the transaction id, so that
-- whoever sees the sequence moved sees the transaction open (see pgq._insert_tick).
create or replace function pgq.insert_event_raw(
    queue_name text, ev_id bigint, ev_time timestamptz, ev_owner int4, ev_retry int4, ev_type text, ev_data text,
    ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_txid  bigint;
    v_next  bigint;
begin
    if $1 is null then
        raise exception 'Queue name must not be NULL' using errcode = '22004';
    end if;
    select * into v_queue from pgq.queue q where q.queue_name = $1;
    if not found then
        raise exception 'No such queue' using errcode = '42704', detail = $1;
    end if;
    if v_queue.queue_disable_insert and current_setting('session_replication_role') <> 'replica' then
        raise exception 'Insert into queue disallowed' using errcode = '55000', detail = $1;
    end if;
    if left($6, 10) = 'trunkline.' then
        raise exception 'event type "%" is reserved', $6 using errcode = '42501',
            hint = 'Types that begin with "trunkline." are written by capture only.';
    end if;
    v_txid := txid_current();
    v_next := nextval(v_queue.queue_event_seq::regclass);
    v_next := coalesce($2, v_next);
    execute format('insert into %s_%s (ev_id, ev_time, ev_txid, ev_owner, ev_retry, ev_type, ev_data, '
                   'ev_extra1, ev_extra2, ev_extra3, ev_extra4) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)',
                   v_queue.queue_data_pfx, v_queue.queue_cur_table)
      using v_next, coalesce($3, now()), v_txid, $4, $5, $6, $7, $8, $9, $10, $11;
    return v_next;
end
$$;
