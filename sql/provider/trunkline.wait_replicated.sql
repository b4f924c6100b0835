-- Function trunkline.wait_replicated(i_queue, i_standbys, i_timeout): waits until what was committed before the call is
-- on so many subscribers.
--
-- Arguments: the queue; how many subscribers must have everything; how long to wait at most.
-- A subscriber counts when it has said so after the call: at once if there was something to apply, within a second else.
-- Result: true: every change of the queue's captured tables that was committed before the call is committed on so many
--         subscribers, each of which replicates all of these tables, whole: no table of it waits for a copy, is parked,
--         or is replicated in part (rows, columns, or without updates). A change that a person has skipped there counts
--         as applied. False: the time is over first.
-- Errors: 25001: the transaction has written, or is not READ COMMITTED: call it after COMMIT, by itself.
--         42704: no such queue. 22023: a number below 0, or a null. 55000: the queue has fewer subscribers.
-- Tables touched: reads queue, tick, subscription, consumer, captured; the event tables once, if no tick shows all yet.
-- It holds a shared advisory lock until its transaction ends, by which replay learns that somebody waits: for the next
-- ten seconds replay tells the provider after each batch how far it is, and not four times a second.
-- Users must not call it in a transaction that goes on: the lock and the snapshot are held until it ends.
create or replace function trunkline.wait_replicated(
    i_queue text, i_standbys int4 default 1, i_timeout interval default '10 s') returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_since    timestamptz := clock_timestamp();
    v_end      timestamptz := v_since + i_timeout;
    v_id       int4;
    v_snapshot txid_snapshot;
    v_tick     bigint;
    v_quiet    bigint;
    v_known    int8;
begin
    if i_standbys is null or i_standbys < 0 or i_timeout is null then
        raise exception 'wait_replicated() takes a number of subscribers from 0 on and a time'
            using errcode = '22023';
    end if;
    if txid_current_if_assigned() is not null or current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'wait_replicated() sees only what is committed, and not what its own transaction writes'
            using errcode = '25001', hint = 'Call it after COMMIT, in a READ COMMITTED transaction of its own.';
    end if;
    select q.queue_id into v_id from pgq.queue q where q.queue_name = i_queue;
    if not found then
        raise exception 'No such event queue' using errcode = '42704', detail = coalesce(i_queue, 'null');
    end if;
    select count(*) into v_known
      from (select u.name from trunkline.captured t cross join unnest(t.consumers) u (name)
             where t.queue_id = v_id and t.dropped_at is null and u.name <> '*'
             group by u.name
            having count(*) = (select count(*) from trunkline.captured a where a.queue_id = v_id and a.dropped_at is null)) n;
    if v_known < i_standbys then
        raise exception 'queue % has % subscribers of all its captured tables, and % are waited for',
            i_queue, v_known, i_standbys
            using errcode = '55000', hint = 'trunkline status lists the subscribers.';
    end if;
    v_snapshot := txid_current_snapshot();
    -- Without waiting: replay holds the lock for moments, and who holds it longer only makes it slower.
    perform pg_try_advisory_xact_lock_shared(hashtext('trunkline.wait_replicated'), v_id);
    -- A quiet queue makes a tick once a minute: its last tick is good enough if it shows every event there is.
    select t.tick_id into v_quiet from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue
     where t.tick_queue = v_id and (q.queue_ends_at is null or t.tick_id <= q.queue_ends_at)
     order by t.tick_queue desc, t.tick_id desc limit 1;
    if (select u.oldest is null from trunkline.unapplied(i_queue, v_quiet) u) then
        v_tick := v_quiet;
    end if;
    loop
        v_tick := coalesce(v_tick, trunkline.tick_containing(i_queue, v_snapshot));
        if i_standbys = 0 or trunkline.subscribers_at(v_id, v_tick, v_since) >= i_standbys then
            return true;
        end if;
        if clock_timestamp() >= v_end then
            return false;
        end if;
        perform pg_sleep(0.005);
    end loop;
end
$$;
revoke all on function trunkline.wait_replicated(text, int4, interval) from public;
grant execute on function trunkline.wait_replicated(text, int4, interval) to pgq_reader, pgq_writer, pgq_admin;

-- Function trunkline.subscribers_at(i_queue_id, i_tick, i_since): how many subscribers have all captured tables of the
-- queue, whole, up to a tick at least, and have said so since a time: what was said before may be gone, with a subscriber
-- that was restored from a backup meanwhile. Tables touched: reads subscription and captured. Users must not: nothing to
-- fear.
create or replace function trunkline.subscribers_at(i_queue_id int4, i_tick bigint, i_since timestamptz) returns int8
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select count(*) from pgq.subscription s
     where s.sub_queue = i_queue_id and s.sub_detached is null and s.sub_last_tick >= i_tick
       and s.sub_active >= i_since
       and s.sub_whole @> array(select t.table_oid from trunkline.captured t
                                 where t.queue_id = i_queue_id and t.dropped_at is null);
$$;
revoke all on function trunkline.subscribers_at(int4, bigint, timestamptz) from public;

-- Function trunkline.tell_applied(i_queue, i_consumer, i_tick, i_tag, i_whole oid[]): replay tells how far its
-- subscriber is.
--
-- Arguments: the queue and the consumer; the tick up to which the subscriber has committed everything, and its tag; the
--            tables, by their oids here, that the subscriber had whole at that tick; null: not said.
-- Result: whether somebody waits for subscribers (trunkline.wait_replicated), so that replay tells more often, and says
--         which tables it has.
-- Errors: those of trunkline.advance. Tables touched: locks and updates the subscription's row.
-- What a subscriber has counts only if the tick is the one that the subscriber means: it may stand in another queue of
-- this name.
create or replace function trunkline.tell_applied(
    i_queue text, i_consumer text, i_tick bigint, i_tag bigint, i_whole oid[]) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id    int4 := (select q.queue_id from pgq.queue q where q.queue_name = i_queue);
    v_whole oid[];
begin
    if exists (select from pgq.tick t where t.tick_queue = v_id and t.tick_id = i_tick and t.tick_tag = i_tag) then
        v_whole := i_whole;
    end if;
    perform trunkline.advance(i_queue, i_consumer, i_tick, v_whole);
    -- Whoever waits holds the lock in share mode. Two that ask at once find each other, and tell once too often.
    return not pg_try_advisory_xact_lock(hashtext('trunkline.wait_replicated'), v_id);
end
$$;
revoke all on function trunkline.tell_applied(text, text, bigint, bigint, oid[]) from public;
grant execute on function trunkline.tell_applied(text, text, bigint, bigint, oid[]) to pgq_admin;
