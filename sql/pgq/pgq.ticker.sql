-- pgq.ticker(i_queue_name): makes a tick if the queue is due for one.
-- Result: the tick's number; null if it is not due, or if the caller is not READ COMMITTED (its snapshot may be older
-- than the last tick's; a queue's first tick is exempt).
-- Errors: no such queue; external tick source; paused.
-- Tables touched: locks the queue's row, inserts into tick; notifies trunkline_tick with the queue's name.
--
-- Any number of sessions may call this at once. The row is locked in one statement and everything is read anew in later
-- ones, so that whoever waited for the lock sees the tick of the one before.
create or replace function pgq.ticker(i_queue_name text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    -- Before the lock, which a caller with an old snapshot would not get after a rotation.
    if pgq._is_stale_ticker(i_queue_name) then
        return null;
    end if;
    if not exists (select from pgq.queues_to_tick(i_queue_name)) then
        select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
        if not found then
            raise exception 'no such queue' using detail = coalesce(i_queue_name, 'null');
        end if;
        if v_queue.queue_external_ticker then
            raise exception 'This queue has external tick source.' using detail = i_queue_name;
        end if;
        if v_queue.queue_ticker_paused then
            raise exception 'Ticker has been paused for this queue' using detail = i_queue_name;
        end if;
        return null;
    end if;
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name for no key update;
    if not found or not exists (select from pgq.queues_to_tick(i_queue_name)) then
        return null;
    end if;
    return pgq._insert_tick(v_queue, null, null, null);
end
$$;

-- pgq._is_stale_ticker(i_queue_name): whether the caller may not tick the queue: its transaction's snapshot is fixed and
-- the queue has ticks, so that the last one may be younger. Result: bool. Tables touched: reads queue and tick.
create or replace function pgq._is_stale_ticker(i_queue_name text) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('transaction_isolation') = 'read committed' then
        return false;
    end if;
    return exists (select from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id
                    where q.queue_name = i_queue_name);
end
$$;

-- pgq.ticker(): makes a tick for every queue that is due. Result: how many were made.
-- All in the caller's transaction: one slow queue delays the others; Trunkline's ticker calls ticker(queue) instead.
create or replace function pgq.ticker() returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name  text;
    v_count bigint := 0;
begin
    -- Always in the order of the names, so that two callers cannot wait for each other.
    for v_name in select pgq.queues_to_tick() order by 1 loop
        if pgq.ticker(v_name) is not null then
            v_count := v_count + 1;
        end if;
    end loop;
    return v_count;
end
$$;

-- pgq.ticker(i_queue_name, i_tick_id, i_orig_timestamp, i_event_seq): adds a tick that was made elsewhere, for a queue
-- with an external ticker. Result: the tick's number; null for a caller that is not READ COMMITTED.
-- Errors: queue not found, or not external, or paused; a number that is not after the last one.
-- Tables touched: locks the queue's row, inserts into tick, moves both sequences forward.
create or replace function pgq.ticker(
    i_queue_name text, i_tick_id bigint, i_orig_timestamp timestamptz, i_event_seq bigint) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_tick  bigint;
begin
    if pgq._is_stale_ticker(i_queue_name) then
        return null;
    end if;
    select * into v_queue from pgq.queue q
     where q.queue_name = i_queue_name and q.queue_external_ticker and not q.queue_ticker_paused
       for no key update;
    if not found then
        raise exception 'queue not found or ticker disabled: %', i_queue_name;
    end if;
    v_tick := pgq._insert_tick(v_queue, i_tick_id, i_orig_timestamp, i_event_seq);
    if v_tick is not null then
        perform pgq.seq_setval(v_queue.queue_tick_seq, v_tick);
        perform pgq.seq_setval(v_queue.queue_event_seq, i_event_seq);
    end if;
    return v_tick;
end
$$;
