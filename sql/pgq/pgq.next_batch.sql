-- pgq.next_batch_custom(i_queue_name, i_consumer_name, i_min_lag, i_min_count, i_min_interval): opens the consumer's
-- next batch, or gives the one that is open.
-- Arguments: i_min_lag: the batch's end must be this old; i_min_count, i_min_interval: see find_tick_helper; nulls: the
-- next tick. Result: one row; all nulls when there is nothing to do yet.
-- Errors: Not subscriber to queue: Q/C; registered by another role; PgQ corruption: ... does not see tick.
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
    v_sub  pgq.subscription;
    v_prev pgq.tick;
    v_next record;
begin
    select * into v_sub from pgq._subscription(i_queue_name, i_consumer_name);
    select * into v_prev from pgq.tick t where t.tick_queue = v_sub.sub_queue and t.tick_id = v_sub.sub_last_tick;
    if not found then
        raise exception 'PgQ corruption: Consumer % on queue % does not see tick %',
            i_consumer_name, i_queue_name, v_sub.sub_last_tick using errcode = 'XX001';
    end if;
    if v_sub.sub_batch is not null then
        select t.tick_id, t.tick_time, t.tick_event_seq into v_next
          from pgq.tick t where t.tick_queue = v_sub.sub_queue and t.tick_id = v_sub.sub_next_tick;
        batch_id := v_sub.sub_batch;
    else
        if i_min_count is null and i_min_interval is null then
            select t.tick_id, t.tick_time, t.tick_event_seq into v_next
              from pgq.tick t
             where t.tick_queue = v_sub.sub_queue and t.tick_id > v_sub.sub_last_tick
             order by t.tick_queue, t.tick_id limit 1;
        else
            select h.next_tick_id as tick_id, h.next_tick_time as tick_time, h.next_tick_seq as tick_event_seq
              into v_next
              from pgq.find_tick_helper(v_sub.sub_queue, v_prev.tick_id, v_prev.tick_time, v_prev.tick_event_seq,
                                        i_min_count, i_min_interval) h;
        end if;
        if v_next.tick_id is null or clock_timestamp() - v_next.tick_time < i_min_lag then
            return;
        end if;
        batch_id := nextval('pgq.batch_id_seq');
        perform pgq._set_position(v_sub, v_sub.sub_last_tick, batch_id, v_next.tick_id);
    end if;
    cur_tick_id := v_next.tick_id;
    cur_tick_time := v_next.tick_time;
    cur_tick_event_seq := v_next.tick_event_seq;
    prev_tick_id := v_prev.tick_id;
    prev_tick_time := v_prev.tick_time;
    prev_tick_event_seq := v_prev.tick_event_seq;
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
