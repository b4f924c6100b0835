-- Function trunkline.begin_new_log(i_queue): the log of a node that was the provider, and follows another one now, begins anew:
-- from the next tick on it can be followed again.
--
-- The log of before has ended (pgq.queue.queue_ends_at), and what replay has applied here since is in no event. So the new one
-- is another log: the queue gets another identity, and whoever stands in the one of before is not taken for a reader of
-- this one. He goes on at the provider, whose log begins where the other one ends. While somebody may still have to read the
-- end of the log of before it stays.
-- Result: null: the log goes on, or has begun anew; else why it does not yet.
-- Tables: writes pgq.queue, tick, subscription and border_table; reads position and member.
-- Users: pgq_admin. It is harmless where the log goes on, or somebody reads its end.
create or replace function trunkline.begin_new_log(i_queue text) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue   record;
    v_readers text;
    v_tick    bigint;
begin
    if not trunkline.has_ended(i_queue) then
        return null;
    end if;
    select * into v_queue from pgq.queue q where q.queue_name = i_queue for no key update;
    if not trunkline.has_ended(i_queue) then
        return null;
    end if;
    if not exists (select from trunkline.position p where p.queue = i_queue)
       or exists (select from trunkline.position p where p.queue = i_queue and p.epoch = v_queue.queue_epoch) then
        return 'this node does not read from the provider yet';
    end if;
    select string_agg(r.name, ', ') into v_readers
      from (select c.co_name as name
              from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
             where s.sub_queue = v_queue.queue_id and s.sub_detached is null and s.sub_last_tick < v_queue.queue_ends_at
               and not exists (select from trunkline.member m
                                where m.queue_name = i_queue and m.consumer = c.co_name
                                  and (m.heard_at < clock_timestamp() - interval '1 day' or m.epoch is distinct from v_queue.queue_epoch))
             union
            select coalesce(m.name, m.node_id::text)
              from trunkline.member m
             where m.queue_name = i_queue and m.epoch = v_queue.queue_epoch and m.tick_id < v_queue.queue_ends_at
               and m.role in ('standby', 'reader') and m.heard_at >= clock_timestamp() - interval '1 day') r;
    if v_readers is not null then
        return format('the end of its log of before is still to be read: %s', v_readers);
    end if;
    select pgq._insert_tick(q, null, null, null) into v_tick from pgq.queue q where q.queue_name = i_queue;
    if v_tick is null then
        return 'its queue cannot make a tick now';
    end if;
    -- Nobody reads the new log yet. A consumer that is left in the queue would hold its events for ever.
    perform pgq.unregister_consumer(i_queue, c.co_name)
       from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
      where s.sub_queue = v_queue.queue_id
        and c.co_name in (select m.consumer from trunkline.member m where m.queue_name = i_queue);
    update pgq.subscription s
       set sub_detached = clock_timestamp(),
           sub_detached_why = format('the log that it has read has ended at tick %s: this node follows another one', v_queue.queue_ends_at)
     where s.sub_queue = v_queue.queue_id and s.sub_detached is null;
    perform trunkline.log_begins(i_queue, v_tick);
    update pgq.queue q set queue_epoch = pgq.random_id() where q.queue_id = v_queue.queue_id;
    -- Which table was which one in the logs further up counts for the log of before alone.
    delete from trunkline.border_table b where b.queue_id = v_queue.queue_id;
    return null;
end
$$;
revoke all on function trunkline.begin_new_log(text) from public;
grant execute on function trunkline.begin_new_log(text) to pgq_admin;
