-- Function trunkline.log_begins(i_queue, i_tick): a queue's log begins at one of its ticks: nobody goes on from an earlier one,
-- because changes of the tables are missing in between. Consumers that lack events before it are detached; the others are
-- moved on.
-- Result: none. Tables: deletes ticks; writes pgq.queue and pgq.subscription. The caller holds the queue's row.
-- Users must not call it: their consumers would lose events.
create or replace function trunkline.log_begins(i_queue text, i_tick bigint) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue int4;
begin
    update pgq.queue q set queue_first_tick = i_tick, queue_ends_at = null where q.queue_name = i_queue
    returning q.queue_id into v_queue;
    update pgq.subscription s
       set sub_detached = clock_timestamp(),
           sub_detached_why = format('the log begins at tick %s: what replay applied here before is not in it', i_tick)
     where s.sub_queue = v_queue and s.sub_last_tick < i_tick and s.sub_detached is null
       and not (select u.is_known and u.oldest is null from trunkline.unapplied(i_queue, s.sub_last_tick) u);
    update pgq.subscription s
       set sub_last_tick = i_tick, sub_batch = null, sub_next_tick = null
     where s.sub_queue = v_queue and s.sub_last_tick < i_tick;
    delete from pgq.tick t where t.tick_queue = v_queue and t.tick_id < i_tick;
end
$$;
revoke all on function trunkline.log_begins(text, bigint) from public;
