-- pgq.events_sql(i_queue, i_from_tick, i_to_tick, i_where): the query for a queue's events after one tick, up to another.
-- Arguments: the queue's name; two of its ticks; a condition over the event columns, trusted SQL, or null.
-- Result: text of a SELECT of ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1 to ev_extra4 ordered by
-- ev_id; events for one subscription only (retries) are not in it. Null if the queue or a tick does not exist.
-- Event tables are never analyzed, so estimates of big ones are guesses: run it with max_parallel_workers_per_gather = 0
-- and, from version 11 on, jit = off.
-- Tables touched: reads queue and tick. For pgq_admin, because the condition is not checked.
create or replace function pgq.events_sql(
    i_queue text, i_from_tick bigint, i_to_tick bigint, i_where text default null) returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select pgq._snapshot_events_sql(q.queue_id, f.tick_snapshot, t.tick_snapshot,
                                    ' and ev_owner is null' || coalesce(' and (' || i_where || ')', ''))
      from pgq.queue q
      join pgq.tick f on f.tick_queue = q.queue_id and f.tick_id = i_from_tick
      join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id = i_to_tick
     where q.queue_name = i_queue
$$;
