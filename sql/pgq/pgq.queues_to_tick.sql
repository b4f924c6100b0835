-- pgq.queues_to_tick(i_queue_name): names of the queues that are due for a tick now, in order of their names.
-- Argument: one queue, or null for all. Result: setof text. Reads only: a ticker asks this in every loop, for all
-- queues at once, and writes nothing where nothing happened.
-- Tables touched: reads queue, tick and the event sequences.
--
-- A queue is due when
--   * it has no tick, or only one, or
--   * events were numbered since the sequence was read for the last tick, and they are ticker_max_count or more, or
--     the last tick is ticker_max_lag old; or
--   * a transaction that may hold events below that number was open at the last tick and has ended since, and the last
--     tick is ticker_max_lag old: its events do not wait for the idle period; or
--   * the last tick is ticker_idle_period old, or from the future: the server's clock was put back.
-- A transaction that stays open costs no ticks, and neither do transactions that began after the last event.
create or replace function pgq.queues_to_tick(i_queue_name text default null) returns setof text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select q.queue_name
      from pgq.queue q
      left join lateral (
            select t.tick_id, t.tick_event_seq, t.tick_open, clock_timestamp() - t.tick_time as age
              from pgq.tick t
             where t.tick_queue = q.queue_id
             order by t.tick_queue desc, t.tick_id desc
             limit 1) last on true
     where (i_queue_name is null or q.queue_name = i_queue_name)
       and not q.queue_external_ticker
       and not q.queue_ticker_paused
       and case
           when last.tick_id is null or last.age >= q.queue_ticker_idle_period or last.age < interval '0' then true
           when coalesce(pg_sequence_last_value(q.queue_event_seq::regclass), 0) > last.tick_event_seq then
               last.age >= q.queue_ticker_max_lag
               or pg_sequence_last_value(q.queue_event_seq::regclass) - last.tick_event_seq
                  >= q.queue_ticker_max_count
           when last.tick_open is not null and last.age >= q.queue_ticker_max_lag
                and exists (select from unnest(last.tick_open) x
                             where txid_visible_in_snapshot(x, txid_current_snapshot())) then true
           -- From the newest down: the oldest may be thousands of deleted ones that a held snapshot keeps.
           else (select t.tick_id from pgq.tick t
                  where t.tick_queue = q.queue_id and t.tick_id < last.tick_id
                  order by t.tick_queue desc, t.tick_id desc limit 1) is null
           end
     order by q.queue_name;
end
$$;
