-- pgq.find_tick_helper(...): the tick that ends a consumer's next batch, if it wants batches of a least size.
-- Arguments: the queue; the tick where the consumer stands, its time and event sequence; the least number of events and
-- the least time that a batch should hold (either one is enough; null = no wish).
-- Result: the tick's number, time and event sequence, or nulls if the wish is not met yet. The newest tick, if that is
-- within twice the wish; else the first one that meets it.
-- Tables touched: reads tick.
create or replace function pgq.find_tick_helper(
    i_queue_id int4, i_prev_tick_id bigint, i_prev_tick_time timestamptz, i_prev_tick_seq bigint,
    i_min_count bigint, i_min_interval interval,
    out next_tick_id bigint, out next_tick_time timestamptz, out next_tick_seq bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_last pgq.tick;
begin
    select * into v_last from pgq.tick t
     where t.tick_queue = i_queue_id and t.tick_id > i_prev_tick_id
     order by t.tick_queue desc, t.tick_id desc limit 1;
    if not found then
        return;
    end if;
    if v_last.tick_event_seq - i_prev_tick_seq > 2 * i_min_count
       or v_last.tick_time - i_prev_tick_time > 2 * i_min_interval then
        select * into v_last from pgq.tick t
         where t.tick_queue = i_queue_id and t.tick_id > i_prev_tick_id
           and (t.tick_event_seq - i_prev_tick_seq >= i_min_count
                or t.tick_time - i_prev_tick_time >= i_min_interval)
         order by t.tick_queue, t.tick_id limit 1;
    end if;
    if v_last.tick_event_seq - i_prev_tick_seq >= i_min_count
       or v_last.tick_time - i_prev_tick_time >= i_min_interval then
        next_tick_id := v_last.tick_id;
        next_tick_time := v_last.tick_time;
        next_tick_seq := v_last.tick_event_seq;
    end if;
end
$$;
