-- pgq.next_batch_custom(i_queue_name, i_consumer_name, i_min_lag, i_min_count, i_min_interval): opens the consumer's
-- next batch, or gives the one that is open.
-- Arguments: i_min_lag: the batch's end must be this old; i_min_count, i_min_interval: see find_tick_helper; nulls: the
-- next tick. Result: one row; all nulls when there is nothing to do yet.
-- Errors: Not subscriber to queue: Q/C; registered by another role; it has sub-consumers; PgQ corruption: ... does not see tick.
-- Tables touched: locks and updates the subscription's row, reads tick, takes a number of batch_id_seq.
create or replace function pgq.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_min_lag interval, i_min_count int4, i_min_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub   pgq.subscription;
    v_ticks record;
begin
    v_sub := pgq._subscription(i_queue_name, i_consumer_name);
    if v_sub.sub_head is not null then
        raise exception 'consumer % of queue % has sub-consumers', i_consumer_name, i_queue_name
            using errcode = '55000', hint = 'Its batches are handed out by pgq_coop.next_batch.';
    end if;
    if v_sub.sub_batch is not null then
        v_ticks := pgq._batch_ticks(v_sub);
    else
        v_ticks := pgq._next_ticks(v_sub, i_min_lag, i_min_count, i_min_interval);
        if v_ticks.cur_tick_id is null then
            return;
        end if;
        v_sub.sub_batch := nextval('pgq.batch_id_seq');
        perform pgq._set_position(v_sub, v_sub.sub_last_tick, v_sub.sub_batch, v_ticks.cur_tick_id);
    end if;
    batch_id := v_sub.sub_batch;
    cur_tick_id := v_ticks.cur_tick_id;
    prev_tick_id := v_ticks.prev_tick_id;
    cur_tick_time := v_ticks.cur_tick_time;
    prev_tick_time := v_ticks.prev_tick_time;
    cur_tick_event_seq := v_ticks.cur_tick_event_seq;
    prev_tick_event_seq := v_ticks.prev_tick_event_seq;
end
$$;

-- pgq.next_batch_info(i_queue_name, i_consumer_name): next_batch_custom up to the next tick.
create or replace function pgq.next_batch_info(
    i_queue_name text, i_consumer_name text,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select * from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) $$;

-- pgq.next_batch(i_queue_name, i_consumer_name): the same; result: the batch's number, or null.
create or replace function pgq.next_batch(i_queue_name text, i_consumer_name text) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select b.batch_id from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) b $$;
