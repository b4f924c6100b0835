-- pgq.get_queue_info(i_queue_name): how a queue stands; null: all queues, in order of their names.
-- ticker_lag: age of the last tick; ev_per_sec: over the last 20 ticks; ev_new: events numbered since the last tick.
-- Result: setof record, columns below. Tables touched: reads queue, tick and the event sequences.
create or replace function pgq.get_queue_info(
    i_queue_name text,
    out queue_name text, out queue_ntables int4, out queue_cur_table int4, out queue_rotation_period interval,
    out queue_switch_time timestamptz, out queue_external_ticker bool, out queue_ticker_paused bool,
    out queue_ticker_max_count int4, out queue_ticker_max_lag interval, out queue_ticker_idle_period interval,
    out ticker_lag interval, out ev_per_sec float8, out ev_new bigint, out last_tick_id bigint)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select q.queue_name, q.queue_ntables, q.queue_cur_table, q.queue_rotation_period, q.queue_switch_time,
           q.queue_external_ticker, q.queue_ticker_paused, q.queue_ticker_max_count, q.queue_ticker_max_lag,
           q.queue_ticker_idle_period,
           current_timestamp - l.tick_time,
           case when l.tick_time > o.tick_time
                then (l.tick_event_seq - o.tick_event_seq) / extract(epoch from l.tick_time - o.tick_time)::float8
           end,
           coalesce(pg_sequence_last_value(q.queue_event_seq::regclass), 0) - l.tick_event_seq,
           l.tick_id
      from pgq.queue q
      left join lateral (select t.tick_id, t.tick_time, t.tick_event_seq from pgq.tick t
                          where t.tick_queue = q.queue_id
                          order by t.tick_queue desc, t.tick_id desc limit 1) l on true
      left join lateral (select t.tick_time, t.tick_event_seq from pgq.tick t
                          where t.tick_queue = q.queue_id and t.tick_id >= l.tick_id - 20
                          order by t.tick_queue, t.tick_id limit 1) o on true
     where i_queue_name is null or q.queue_name = i_queue_name
     order by q.queue_name;
end
$$;

-- pgq.get_queue_info(): how all queues stand.
create or replace function pgq.get_queue_info(
    out queue_name text, out queue_ntables int4, out queue_cur_table int4, out queue_rotation_period interval,
    out queue_switch_time timestamptz, out queue_external_ticker bool, out queue_ticker_paused bool,
    out queue_ticker_max_count int4, out queue_ticker_max_lag interval, out queue_ticker_idle_period interval,
    out ticker_lag interval, out ev_per_sec float8, out ev_new bigint, out last_tick_id bigint)
returns setof record
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select * from pgq.get_queue_info(null) $$;
