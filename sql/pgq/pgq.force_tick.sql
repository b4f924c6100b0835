-- pgq.force_tick(i_queue_name): makes the queue look full, so that the next call of a ticker makes a tick. The caller
-- waits until the number changes.
-- Result: the last tick's number; null for an unknown queue. Nothing is forced where the ticker is external or paused.
-- Tables touched: takes 2 * ticker_max_count + 1001 numbers of the event sequence.
-- Each number is taken by a nextval() of its own: setval() would take back numbers that writers got in the meantime.
create or replace function pgq.force_tick(i_queue_name text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
    if not v_queue.queue_external_ticker and not v_queue.queue_ticker_paused then
        perform max(nextval(v_queue.queue_event_seq::regclass))
           from generate_series(0, 2 * v_queue.queue_ticker_max_count::bigint + 1000);
    end if;
    return (select t.tick_id from pgq.tick t
             where t.tick_queue = v_queue.queue_id
             order by t.tick_queue desc, t.tick_id desc limit 1);
end
$$;
