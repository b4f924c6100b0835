-- pgq.get_batch_info(x_batch_id): what an open batch is. Result: one row; all nulls for an unknown batch.
-- lag is the age of the batch's end; seq_start and seq_end are the event sequence at both ticks.
-- Tables touched: reads subscription, queue, consumer, tick.
create or replace function pgq.get_batch_info(
    x_batch_id bigint,
    out queue_name text, out consumer_name text, out batch_start timestamptz, out batch_end timestamptz,
    out prev_tick_id bigint, out tick_id bigint, out lag interval, out seq_start bigint, out seq_end bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    select q.queue_name, c.co_name, f.tick_time, t.tick_time, s.sub_last_tick, s.sub_next_tick,
           current_timestamp - t.tick_time, f.tick_event_seq, t.tick_event_seq
      into queue_name, consumer_name, batch_start, batch_end, prev_tick_id, tick_id, lag, seq_start, seq_end
      from pgq._subscription_of(x_batch_id) s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
      join pgq.tick f on f.tick_queue = s.sub_queue and f.tick_id = s.sub_last_tick
      join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
end
$$;
