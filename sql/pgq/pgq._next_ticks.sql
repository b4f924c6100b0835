-- pgq._next_ticks(i_sub, i_min_lag, i_min_count, i_min_interval): where the next batch of a subscription ends.
-- Arguments: the subscription; the others as next_batch_custom. Result: one row, both ticks of the batch; all nulls when
-- there is nothing to do yet. Errors: PgQ corruption: ... does not see tick.
-- Tables touched: reads tick. Users must not: call it without the lock on the subscription's row.
create or replace function pgq._next_ticks(
    i_sub pgq.subscription, i_min_lag interval, i_min_count int4, i_min_interval interval,
    out cur_tick_id bigint, out prev_tick_id bigint, out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_prev pgq.tick;
    v_next record;
begin
    select * into v_prev from pgq.tick t where t.tick_queue = i_sub.sub_queue and t.tick_id = i_sub.sub_last_tick;
    if not found then
        raise exception 'PgQ corruption: Consumer % on queue % does not see tick %',
            (select c.co_name from pgq.consumer c where c.co_id = i_sub.sub_consumer),
            (select q.queue_name from pgq.queue q where q.queue_id = i_sub.sub_queue), i_sub.sub_last_tick;
    end if;
    if i_min_count is null and i_min_interval is null then
        select t.tick_id, t.tick_time, t.tick_event_seq into v_next
          from pgq.tick t
         where t.tick_queue = i_sub.sub_queue and t.tick_id > i_sub.sub_last_tick
         order by t.tick_queue, t.tick_id limit 1;
    else
        select h.next_tick_id as tick_id, h.next_tick_time as tick_time, h.next_tick_seq as tick_event_seq
          into v_next
          from pgq.find_tick_helper(i_sub.sub_queue, v_prev.tick_id, v_prev.tick_time, v_prev.tick_event_seq,
                                    i_min_count, i_min_interval) h;
    end if;
    if v_next.tick_id is null or clock_timestamp() - v_next.tick_time < i_min_lag then
        return;
    end if;
    cur_tick_id := v_next.tick_id;
    cur_tick_time := v_next.tick_time;
    cur_tick_event_seq := v_next.tick_event_seq;
    prev_tick_id := v_prev.tick_id;
    prev_tick_time := v_prev.tick_time;
    prev_tick_event_seq := v_prev.tick_event_seq;
end
$$;

-- pgq._batch_ticks(i_sub): both ticks of the open batch of a subscription. Result: as _next_ticks.
-- Tables touched: reads tick.
create or replace function pgq._batch_ticks(
    i_sub pgq.subscription,
    out cur_tick_id bigint, out prev_tick_id bigint, out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select t.tick_id, f.tick_id, t.tick_time, f.tick_time, t.tick_event_seq, f.tick_event_seq
      from pgq.tick f join pgq.tick t on t.tick_queue = f.tick_queue
     where f.tick_queue = i_sub.sub_queue and f.tick_id = i_sub.sub_last_tick and t.tick_id = i_sub.sub_next_tick
$$;
