-- pgq.register_consumer_at(x_queue_name, x_consumer_name, x_tick_pos): makes a consumer, or moves one.
-- Arguments: x_tick_pos: the tick after which it reads; null: the last tick for a new one, no move for an old one.
-- Result: 1 new, 0 it was there (an open batch is dropped when it is moved). One that was detached comes back when it is
-- moved, if what follows that tick is still there.
-- Errors: Event queue not created yet; cannot reposition, tick not found: N (or its events are gone); No ticks for this
-- queue; registered by another role; detached.
-- Tables touched: locks the queue's row; inserts into consumer, inserts into or updates subscription.
--
-- Why the lock: a rotation looks at the consumers, then truncates. Without it, a consumer registered in between stands
-- at a tick whose events are truncated under it. With it, either the rotation sees the consumer, or the consumer sees
-- the rotation's mark in the queue's row, and a tick that does not see all of what was truncated is refused.
create or replace function pgq.register_consumer_at(
    x_queue_name text, x_consumer_name text, x_tick_pos bigint) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_tick  pgq.tick;
    v_co_id int4;
    v_sub   pgq.subscription;
begin
    select * into v_queue from pgq.queue q where q.queue_name = x_queue_name for no key update;
    if not found then
        raise exception 'Event queue not created yet' using detail = coalesce(x_queue_name, 'null');
    end if;
    select s.* into v_sub
      from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
     where s.sub_queue = v_queue.queue_id and c.co_name = x_consumer_name
       for no key update of s;
    if found then
        if x_tick_pos is null then
            perform pgq._refuse_detached(v_sub, x_queue_name, x_consumer_name);
            return 0;
        end if;
        if not pgq._is_owner(v_sub.sub_owner) then
            raise exception 'consumer % of queue % was registered by another role', x_consumer_name, x_queue_name
                using errcode = '42501', hint = 'Ask that role, or a member of pgq_admin.';
        end if;
    end if;

    select * into v_tick from pgq.tick t
     where t.tick_queue = v_queue.queue_id and (x_tick_pos is null or t.tick_id = x_tick_pos)
     order by t.tick_queue desc, t.tick_id desc limit 1;
    if not found and x_tick_pos is null then
        raise exception 'No ticks for this queue.  Please run ticker on database.';
    elsif not found then
        raise exception 'cannot reposition, tick not found: %', x_tick_pos;
    elsif txid_snapshot_xmin(v_tick.tick_snapshot) <= v_queue.queue_truncated_txid then
        raise exception 'cannot reposition, events after tick % were truncated', v_tick.tick_id
            using errcode = '55000', hint = 'Take a later tick, and copy the data anew.';
    end if;

    if v_sub.sub_id is not null then
        update pgq.subscription s
           set sub_last_tick = v_tick.tick_id, sub_batch = null, sub_next_tick = null, sub_active = clock_timestamp(),
               sub_over_since = null, sub_detached = null, sub_detached_why = null, sub_whole = null
         where s.sub_queue = v_sub.sub_queue and s.sub_consumer = v_sub.sub_consumer;
        return 0;
    end if;
    -- The no-op update locks the name, so that an unregister elsewhere cannot delete it before our row refers to it.
    insert into pgq.consumer (co_name) values (x_consumer_name)
    on conflict (co_name) do update set co_name = excluded.co_name
    returning co_id into v_co_id;
    insert into pgq.subscription (sub_queue, sub_consumer, sub_last_tick, sub_owner)
    values (v_queue.queue_id, v_co_id, v_tick.tick_id, (select r.oid from pg_roles r where r.rolname = session_user));
    return 1;
end
$$;

-- pgq.register_consumer(x_queue_name, x_consumer_id): a new consumer at the last tick; 0 if it is there.
create or replace function pgq.register_consumer(x_queue_name text, x_consumer_id text) returns int4
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq.register_consumer_at(x_queue_name, x_consumer_id, null) $$;
