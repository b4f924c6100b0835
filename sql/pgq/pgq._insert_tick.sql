-- pgq._insert_tick(...): takes a snapshot and adds it to a queue's chain of ticks. For pgq.ticker() only.
-- Arguments: the queue; the tick's number and time, null for the next one and for now; the event sequence, null to
-- read it. Result: the tick's number, or null if the caller's snapshot may be older than the last tick (nothing is made).
-- Errors: Invalid PgQ state: a snapshot taken under the lock sees all that the last tick sees, unless the transaction
-- counter went back, as it does when a dump is restored into another server.
-- Tables touched: inserts into tick, takes a number of the tick sequence; notifies trunkline_tick.
-- Users must not: call it without holding the queue's row lock, taken in an earlier statement.
--
-- Order is everything here, and each line is a statement of its own, because under READ COMMITTED a statement's
-- snapshot is as old as its start:
--   1. the last tick, seen under the lock: the chain's end;
--   2. the event sequence: an event numbered up to it is seen by the snapshot of line 4 or was written by a transaction
--      that is open in it (a writer takes its transaction id before its number);
--   3. the own transaction id, greater than that of every such writer: the snapshot's xmax is not, because transactions
--      that run above the last completed one are neither in its list nor below its xmax;
--   4. the snapshot, with what the tick contains of other nodes' queues, which is read in that snapshot: of two
--      statements the second one would claim what the first does not show;
--   5. the time, so that a tick is never older than what it sees.
-- Read the sequence after the snapshot instead, and an event that is numbered and committed in between is below the
-- number, outside the snapshot, in no open transaction, and waits for the idle period.
create or replace function pgq._insert_tick(
    i_queue pgq.queue, i_tick_id bigint, i_time timestamptz, i_event_seq bigint) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_last     record;
    v_first    bool;
    v_seq      bigint;
    v_own      bigint;
    v_snapshot txid_snapshot;
    v_time     timestamptz;
    v_open     bigint[];
    v_tick     bigint;
    v_origins  jsonb;
    v_path     bigint[];
begin
    select t.tick_id, t.tick_snapshot, t.tick_event_seq, t.tick_open into v_last
      from pgq.tick t
     where t.tick_queue = i_queue.queue_id
     order by t.tick_queue desc, t.tick_id desc
     limit 1;
    v_first := not found;
    if not v_first and current_setting('transaction_isolation') <> 'read committed' then
        return null;
    end if;
    v_seq := coalesce(i_event_seq, pg_sequence_last_value(i_queue.queue_event_seq::regclass), 0);
    v_own := txid_current();
    select txid_current_snapshot(), o.origins, o.path into v_snapshot, v_origins, v_path
      from pgq._tick_origins(i_queue.queue_name) o;
    v_time := coalesce(i_time, clock_timestamp());
    if not v_first and not pgq.snapshot_contains(v_snapshot, v_last.tick_snapshot) then
        raise exception 'Invalid PgQ state: old xmin=%, new xmax=%',
            txid_snapshot_xmin(v_last.tick_snapshot), txid_snapshot_xmax(v_snapshot)
            using detail = format('Queue %s has ticks of transactions that this server has not run: the database was '
                                  'restored into another server.', i_queue.queue_name),
                  hint = format('select pgq.adopt_queue(%L)', i_queue.queue_name);
    end if;

    -- Which transactions may hold events that are numbered up to v_seq and not seen by the snapshot. If no event was
    -- numbered since the last tick, they are among those of the last tick: the list only shrinks, and ends.
    if v_first or v_seq > v_last.tick_event_seq then
        v_open := array(select txid_snapshot_xip(v_snapshot));
        if v_own - txid_snapshot_xmax(v_snapshot) <= 1000 then
            v_open := v_open || array(select generate_series(txid_snapshot_xmax(v_snapshot), v_own - 1));
        elsif not v_first and i_event_seq is null then
            -- Too many to list: a transaction with thousands of savepoints. Say that an event is missing, so that the
            -- next look at the queue makes a tick.
            v_seq := v_seq - 1;
        end if;
    elsif v_last.tick_open is not null then
        v_open := array(select x from unnest(v_last.tick_open) x
                         where not txid_visible_in_snapshot(x, v_snapshot));
    end if;

    v_tick := coalesce(i_tick_id, nextval(i_queue.queue_tick_seq::regclass));
    if not v_first and v_tick <= v_last.tick_id then
        raise exception 'tick % of queue % is not after its last tick %', v_tick, i_queue.queue_name, v_last.tick_id
            using errcode = '55000';
    end if;
    -- A crash must not take back what a consumer has seen.
    if current_setting('synchronous_commit') in ('off', 'local') then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    insert into pgq.tick (tick_queue, tick_id, tick_time, tick_snapshot, tick_event_seq, tick_open, tick_origins, tick_path)
    values (i_queue.queue_id, v_tick, v_time, v_snapshot, v_seq, nullif(v_open, '{}'), v_origins, v_path);
    perform pg_notify('trunkline_tick', i_queue.queue_name);
    return v_tick;
end
$$;
