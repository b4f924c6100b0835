-- pgq.insert_event_raw(...): inserts an event with all its columns given; for retries and bulk copies of queues.
-- Arguments: as the columns of the event table; a null ev_id takes the next number, a null ev_time is now.
-- Result: the event's number. Errors: Queue name must not be NULL; No such queue; Insert into queue disallowed (unless
-- session_replication_role is replica); a type that begins with 'trunkline.', which only capture writes.
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
    v_queue := pgq._insert_target($1);
    perform pgq._refuse_type($6);
    v_txid := txid_current();
    v_next := nextval(v_queue.queue_event_seq::regclass);
    v_next := coalesce($2, v_next);
    perform pgq._refuse_disabled(v_queue);
    execute format('insert into %s_%s (ev_id, ev_time, ev_txid, ev_owner, ev_retry, ev_type, ev_data, '
                   'ev_extra1, ev_extra2, ev_extra3, ev_extra4) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)',
                   v_queue.queue_data_pfx, v_queue.queue_cur_table)
      using v_next, coalesce($3, now()), v_txid, $4, $5, $6, $7, $8, $9, $10, $11;
    return v_next;
end
$$;

-- pgq._insert_target(i_queue_name): the queue that events are to be put into. Result: its row.
-- Errors: Queue name must not be NULL; No such queue; their code is XX000, as in PgQ, where C code raises
-- them. Tables touched: reads queue.
create or replace function pgq._insert_target(i_queue_name text) returns pgq.queue
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    if i_queue_name is null then
        raise exception 'Queue name must not be NULL' using errcode = 'XX000';
    end if;
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        raise exception 'No such queue' using errcode = 'XX000', detail = i_queue_name;
    end if;
    return v_queue;
end
$$;

-- pgq._refuse_disabled(i_queue): refuses inserts into a queue where they are disabled, but for sessions that are replicas.
-- Errors: Insert into queue disallowed.
create or replace function pgq._refuse_disabled(i_queue pgq.queue) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_queue.queue_disable_insert and current_setting('session_replication_role') <> 'replica' then
        raise exception 'Insert into queue disallowed' using errcode = 'XX000', detail = i_queue.queue_name;
    end if;
end
$$;
