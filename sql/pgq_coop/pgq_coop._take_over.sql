-- pgq_coop._take_over(i_member, i_dead_interval): removes the other workers of a group that have not asked for anything for
-- an interval, and gives one of their open batches to a worker: the one that begins first. Those whose batch was not
-- taken stay, for the next call.
-- Result: the worker's row, with the batch if there was one. The batch has a new number, so that the dead worker, if it
-- lives after all, finishes nothing.
-- Tables touched: deletes from and updates pgq.subscription, deletes from pgq.consumer. Users must not: call it without
-- holding the lock on the group's head (pgq_coop._member).
create or replace function pgq_coop._take_over(i_member pgq.subscription, i_dead_interval interval)
returns pgq.subscription
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_one    pgq.subscription;
    v_dead   pgq.subscription;
    v_member pgq.subscription;
begin
    v_member := i_member;
    -- One probe of the index a consumer of the queue, from the last one down (see pgq._subscription_of).
    select * into v_one from pgq.subscription s where s.sub_queue = i_member.sub_queue
     order by s.sub_queue desc, s.sub_consumer desc limit 1;
    while found loop
        if v_one.sub_head = i_member.sub_head and v_one.sub_consumer not in (v_one.sub_head, i_member.sub_consumer)
           and v_one.sub_active < clock_timestamp() - i_dead_interval then
            if v_one.sub_batch is null then
                perform pgq_coop._remove(v_one);
            elsif v_dead.sub_id is null or v_one.sub_last_tick < v_dead.sub_last_tick then
                v_dead := v_one;
            end if;
        end if;
        select * into v_one from pgq.subscription s
         where s.sub_queue = i_member.sub_queue and s.sub_consumer < v_one.sub_consumer
         order by s.sub_queue desc, s.sub_consumer desc limit 1;
    end loop;
    -- The member may have finished its batch since the search found it.
    v_one := pgq._lock_subscription(v_dead.sub_queue, v_dead.sub_consumer);
    if v_one.sub_batch = v_dead.sub_batch then
        v_member.sub_batch := nextval('pgq.batch_id_seq');
        v_member.sub_last_tick := v_one.sub_last_tick;
        v_member.sub_next_tick := v_one.sub_next_tick;
        perform pgq._set_position(v_member, v_member.sub_last_tick, v_member.sub_batch, v_member.sub_next_tick);
        perform pgq_coop._remove(v_one);
    end if;
    return v_member;
end
$$;

-- pgq_coop._remove(i_sub): removes a worker, and its name if that is used nowhere else.
-- Tables touched: deletes from pgq.subscription and pgq.consumer.
create or replace function pgq_coop._remove(i_sub pgq.subscription) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    delete from pgq.subscription s where s.sub_queue = i_sub.sub_queue and s.sub_consumer = i_sub.sub_consumer;
    delete from pgq.consumer c
     where c.co_id = i_sub.sub_consumer
       and not exists (select from pgq.subscription s where s.sub_consumer = c.co_id);
$$;
