-- pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name, i_min_lag, i_min_count, i_min_interval,
-- i_dead_interval): opens a worker's next batch, or gives the one that is open. A worker that is not there is
-- registered.
-- Arguments: as pgq.next_batch_custom; i_dead_interval: a worker that was not heard of for so long is dead: it is
-- removed, and its batch comes first. Null: nobody is.
-- Result: one row; all nulls when there is nothing to do yet. Errors: as register_subconsumer and pgq.next_batch_custom.
-- Tables touched: locks the group's head, updates subscription, reads tick, takes a number of batch_id_seq.
--
-- The head's position moves when a batch is handed out; until a worker has finished it, the worker's own row says where
-- it began, and rotation waits for that as for any consumer.
create or replace function pgq_coop.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_min_lag interval, i_min_count int4,
    i_min_interval interval, i_dead_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_head   pgq.subscription;
    v_member pgq.subscription;
    v_ticks  record;
begin
    if not exists (select from pgq.subscription s
                     join pgq.queue q on q.queue_id = s.sub_queue
                     join pgq.consumer c on c.co_id = s.sub_consumer
                    where q.queue_name = i_queue_name and c.co_name = i_consumer_name || '.' || i_subconsumer_name) then
        perform pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name);
    end if;
    v_member := pgq_coop._member(i_queue_name, i_consumer_name, i_subconsumer_name);
    if v_member.sub_id is null then
        -- Removed since, or another consumer's name.
        perform pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name);
        v_member := pgq_coop._member(i_queue_name, i_consumer_name, i_subconsumer_name);
    end if;
    if v_member.sub_batch is null and i_dead_interval is not null then
        v_member := pgq_coop._take_over(v_member, i_dead_interval);
    end if;
    if v_member.sub_batch is null then
        v_head := pgq._subscription(i_queue_name, i_consumer_name);
        v_ticks := pgq._next_ticks(v_head, i_min_lag, i_min_count, i_min_interval);
        if v_ticks.cur_tick_id is not null then
            v_member.sub_batch := nextval('pgq.batch_id_seq');
            perform pgq._set_position(v_head, v_ticks.cur_tick_id, null, null);
        end if;
        -- The position is set without a batch, too: by it the other members see that this member is alive.
        perform pgq._set_position(v_member, v_ticks.prev_tick_id, v_member.sub_batch, v_ticks.cur_tick_id);
    else
        v_ticks := pgq._batch_ticks(v_member);
    end if;
    batch_id := v_member.sub_batch;
    cur_tick_id := v_ticks.cur_tick_id;
    prev_tick_id := v_ticks.prev_tick_id;
    cur_tick_time := v_ticks.cur_tick_time;
    prev_tick_time := v_ticks.prev_tick_time;
    cur_tick_event_seq := v_ticks.cur_tick_event_seq;
    prev_tick_event_seq := v_ticks.prev_tick_event_seq;
end
$$;

-- pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name, i_min_lag, i_min_count,
-- i_min_interval): the same; nobody is taken for dead.
create or replace function pgq_coop.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_min_lag interval, i_min_count int4,
    i_min_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select * from pgq_coop.next_batch_custom($1, $2, $3, $4, $5, $6, null) $$;
