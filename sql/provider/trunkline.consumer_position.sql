-- Function trunkline.consumer_position(i_queue, i_consumer)
--
-- Where a consumer is registered, as the position that a subscriber stores.
--
-- Result: one row (epoch, tick_id, tick_tag), none if the queue or the consumer is
--         unknown, or the consumer was detached.
-- Tables: reads pgq.queue, pgq.subscription, pgq.consumer, pgq.tick.
-- Users must not take it for the subscriber's position: the subscriber is ahead of it
-- by what it has applied and not yet told.

create or replace function trunkline.consumer_position(
    i_queue text,
    i_consumer text,
    out epoch bigint,
    out tick_id bigint,
    out tick_tag bigint)
returns setof record
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select q.queue_epoch, t.tick_id, t.tick_tag
      from pgq.queue q
      join pgq.subscription s on s.sub_queue = q.queue_id
      join pgq.consumer c on c.co_id = s.sub_consumer
      join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id = s.sub_last_tick
     where q.queue_name = i_queue and c.co_name = i_consumer and s.sub_detached is null;
$$;

revoke all on function trunkline.consumer_position(text, text) from public;
grant execute on function trunkline.consumer_position(text, text) to pgq_admin;
