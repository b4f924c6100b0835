-- Lookups of subscriptions whose cost does not grow while somebody holds a snapshot.
--
-- A consumer's row is updated twice a batch. Its old versions cannot be removed while a snapshot older than they is held,
-- and all of them have the same key: the obvious lookup walks over them all, 16 ms for 40,000. From version 12 on equal
-- keys stand in the index in the order of their places in the table, and new versions come at the end: read from the end,
-- the live one is the first. Updates go by its place (ctid) for the same reason. No index holds a column that they
-- change, so that most of them make no new entry in the index at all.
-- (`between i_consumer and i_consumer`, because for an equality the planner sees no order to keep, and reads forward.)

-- pgq._subscription_at(i_queue, i_consumer): the subscription with this key, as the caller's snapshot shows
-- it; all nulls: there is none.
-- Tables touched: reads subscription.
create or replace function pgq._subscription_at(i_queue int4, i_consumer int4) returns pgq.subscription
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_sub pgq.subscription;
begin
    select * into v_sub from pgq.subscription s
     where s.sub_queue = i_queue and s.sub_consumer between i_consumer and i_consumer
     order by s.sub_queue desc, s.sub_consumer desc limit 1;
    return v_sub;
end
$$;

-- pgq._subscription_of(i_batch_id): the subscription whose open batch this is; all nulls: there is none.
-- Tables touched: reads subscription, one probe of its index for each consumer of the database: an index on the batch would
-- make every update an entry in every index.
create or replace function pgq._subscription_of(i_batch_id bigint) returns pgq.subscription
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_sub pgq.subscription;
begin
    select * into v_sub from pgq.subscription s order by s.sub_queue desc, s.sub_consumer desc limit 1;
    while found and v_sub.sub_batch is distinct from i_batch_id loop
        select * into v_sub from pgq.subscription s
         where (s.sub_queue, s.sub_consumer) < (v_sub.sub_queue, v_sub.sub_consumer)
         order by s.sub_queue desc, s.sub_consumer desc limit 1;
    end loop;
    return v_sub;
end
$$;

-- pgq._lock_subscription(i_queue, i_consumer): locks the subscription with this key, and gives it as it is under the lock.
-- Result: the row; all nulls: there is none. Tables touched: locks a row of subscription.
create or replace function pgq._lock_subscription(i_queue int4, i_consumer int4) returns pgq.subscription
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_sub pgq.subscription;
begin
    select * into v_sub from pgq.subscription s
     where s.sub_queue = i_queue and s.sub_consumer between i_consumer and i_consumer
     order by s.sub_queue desc, s.sub_consumer desc limit 1
       for no key update;
    return v_sub;
end
$$;

-- pgq._set_position(i_sub, i_last_tick, i_batch, i_next_tick, i_whole): moves a subscription, and notes that it is alive.
-- i_whole: the tables that its subscriber has whole there; null: not said.
-- Tables touched: updates subscription. Users must not: call it for a row that they have not locked.
create or replace function pgq._set_position(
    i_sub pgq.subscription, i_last_tick bigint, i_batch bigint, i_next_tick bigint, i_whole oid[] default null) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    update pgq.subscription s
       set sub_last_tick = i_last_tick, sub_batch = i_batch, sub_next_tick = i_next_tick, sub_whole = i_whole,
           sub_active = clock_timestamp()
     where s.ctid = (select l.ctid from pgq.subscription l
                      where l.sub_queue = i_sub.sub_queue
                        and l.sub_consumer between i_sub.sub_consumer and i_sub.sub_consumer
                      order by l.sub_queue desc, l.sub_consumer desc limit 1);
end
$$;
