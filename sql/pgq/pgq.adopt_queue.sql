-- pgq.adopt_queue(i_queue_name, i_forward): accepts a queue whose database was restored from a backup, so that it goes on.
-- Arguments: the queue; i_forward: how many numbers of ticks, events and batches are skipped, more than were
-- given out between the backup and the end of the old server, so that none of them comes again as another
-- one.
-- Result: the queue's new epoch. Errors: No such event queue; not READ COMMITTED; lock_not_available: somebody has a lock on
-- an event table for ten seconds: call it again.
-- Tables touched: locks the queue's row and event tables; updates queue and subscription; inserts a tick; after a restore into
-- another server also replaces all ticks and rewrites the event tables.
-- Users must not: call it on a queue that was not restored: all subscribers of its replications would have to copy again.
--
-- What the function does beside the new epoch and the numbers (by the epoch a subscriber of replication sees that its position
-- belongs to another history):
--   * the files were restored (pg_basebackup, a snapshot of a disk): transactions go on where the backup ended, ticks
--     and events fit. A tick is added, nothing else;
--   * a dump was restored into another server, which counts its transactions by itself: the numbers in ticks and events mean
--     nothing there, and the next server's transactions will have them again. Every consumer's events that it has not
--     done are written anew, for it alone, in today's transaction; all ticks but a new one go, and consumers stand there.
--     Changes of tables (types that begin with trunkline.) are not kept: their subscribers copy again.
create or replace function pgq.adopt_queue(i_queue_name text, i_forward bigint default 1000000) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    v_queue  pgq.queue;
    v_tick   bigint;
    v_alien  bool;
    v_seq    text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a queue is adopted in a READ COMMITTED transaction' using errcode = '25001';
    end if;
    if i_forward is null or i_forward not between 1 and 1000000000000 then
        raise exception 'i_forward is out of range: 1 to 1000000000000' using errcode = '22023';
    end if;
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        raise exception 'No such event queue' using errcode = '42704', detail = coalesce(i_queue_name, 'null');
    end if;
    perform pgq._lock_queue(v_queue);
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
    v_alien := pgq._has_alien_txids(v_queue);
    foreach v_seq in array array[v_queue.queue_event_seq, v_queue.queue_tick_seq, 'pgq.batch_id_seq'] loop
        perform pgq.seq_setval(v_seq, pgq.seq_getval(v_seq) + i_forward);
    end loop;
    update pgq.queue q set queue_epoch = pgq.random_id() where q.queue_id = v_queue.queue_id;
    if v_alien then
        perform pgq._rewrite_events(v_queue);
    end if;
    v_tick := pgq._insert_tick(v_queue, null, null, null);
    if v_alien then
        update pgq.subscription s
           set sub_last_tick = case when s.sub_last_tick is not null and not pgq._is_member(s) then v_tick end,
               sub_next_tick = null, sub_batch = null
         where s.sub_queue = v_queue.queue_id;
        update pgq.queue q set queue_first_tick = v_tick where q.queue_id = v_queue.queue_id;
        -- Events that were written anew come after the tick. The tick must not show this transaction, and would show it if a
        -- younger transaction has ended already, because a snapshot does not list the transaction that takes it.
        update pgq.tick t set tick_snapshot = pgq._snapshot_before(t.tick_snapshot, txid_current())
         where t.tick_queue = v_queue.queue_id and t.tick_id = v_tick;
        -- One more event number is taken, so that a ticker's next look sees waiting events.
        perform nextval(v_queue.queue_event_seq::regclass);
    end if;
    return (select q.queue_epoch from pgq.queue q where q.queue_id = v_queue.queue_id);
end
$$;

-- pgq._snapshot_before(i_snapshot, i_txid): a snapshot in which a transaction is still running.
-- Result: i_snapshot where it does not show i_txid, else the same with i_txid among those that run. Tables touched: none.
create or replace function pgq._snapshot_before(i_snapshot txid_snapshot, i_txid bigint) returns txid_snapshot
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select case when txid_visible_in_snapshot(i_txid, i_snapshot)
                then concat_ws(':', least(txid_snapshot_xmin(i_snapshot), i_txid), txid_snapshot_xmax(i_snapshot),
                               (select string_agg(x::text, ',' order by x)
                                  from (select txid_snapshot_xip(i_snapshot) union all select i_txid) l (x)))::txid_snapshot
                else i_snapshot end
$$;

-- pgq._has_alien_txids(i_queue): whether ticks or events of a queue are of transactions that this server has not run.
-- Result: bool. Tables touched: reads tick, the event tables' indexes.
create or replace function pgq._has_alien_txids(i_queue pgq.queue) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   txid_snapshot := txid_current_snapshot();
    v_last  txid_snapshot;
    v_table text;
    v_max   bigint;
begin
    select t.tick_snapshot into v_last from pgq.tick t where t.tick_queue = i_queue.queue_id
     order by t.tick_queue desc, t.tick_id desc limit 1;
    if found and not pgq.snapshot_contains(v_now, v_last) or i_queue.queue_switch_step1 >= txid_snapshot_xmax(v_now) then
        return true;
    end if;
    for v_table in select pgq._event_tables(i_queue.queue_data_pfx, i_queue.queue_ntables) loop
        execute format('select max(ev_txid) from only %s', v_table) into v_max;
        if v_max >= txid_snapshot_xmax(v_now) then
            return true;
        end if;
    end loop;
    return false;
end
$$;

-- pgq._is_member(i_sub): whether a subscription is a member of a cooperating consumer, which stands nowhere by itself.
create or replace function pgq._is_member(i_sub pgq.subscription) returns bool
language sql immutable
set search_path = pg_catalog, pg_temp
as $$ select coalesce(i_sub.sub_head <> i_sub.sub_consumer, false) $$;

-- pgq._rewrite_events(i_queue): of a queue restored from a dump, empties the event tables and writes again, for each
-- consumer, what it has not done; deletes all ticks. For pgq.adopt_queue() only.
--
-- Undone events are those that a consumer's tick does not show; for a head and its members, also those in the members' open
-- batches. Events that were written since the restore have numbers of transactions that the ticks may show, of another history.
-- They are known by an event number above the tick's. An old event can have such a number, too, if it was numbered and committed
-- while the tick was made; it is known by a transaction number that this server has not reached. Any other event comes twice, not
-- never.
create or replace function pgq._rewrite_events(i_queue pgq.queue) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   bigint := txid_current();
    -- The first number that no event of this server can have: its writers are locked out. The own number is too low a
    -- limit, it may be older than what others wrote before the lock.
    v_next  bigint := txid_snapshot_xmax(txid_current_snapshot());
    v_table text;
begin
    create temporary table trunkline_adopted on commit drop as
    select e.*, 0 as sub_id from pgq.event_template e where false;
    for v_table in select pgq._event_tables(i_queue.queue_data_pfx, i_queue.queue_ntables) loop
        execute format($f$
            insert into pg_temp.trunkline_adopted
            select distinct on (s.sub_id, e.ev_id) e.*, s.sub_id
              from only %s e
              join pgq.subscription s on s.sub_queue = $1 and s.sub_detached is null
              join pgq.tick f on f.tick_queue = s.sub_queue and f.tick_id = s.sub_last_tick
              left join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_next_tick
             where (e.ev_owner is null or e.ev_owner = s.sub_id) and left(e.ev_type, 10) is distinct from 'trunkline.'
               and not (txid_visible_in_snapshot(e.ev_txid, f.tick_snapshot)
                        and (e.ev_txid >= $2 or (e.ev_id <= f.tick_event_seq and e.ev_owner is null)))
               and (t.tick_id is null or not pgq._is_member(s)
                    or txid_visible_in_snapshot(e.ev_txid, t.tick_snapshot))
             order by s.sub_id, e.ev_id$f$, v_table) using i_queue.queue_id, v_next;
        execute format('truncate only %s', v_table);
    end loop;
    execute format($f$
        insert into %s_%s (ev_id, ev_time, ev_txid, ev_owner, ev_retry, ev_type, ev_data,
                           ev_extra1, ev_extra2, ev_extra3, ev_extra4)
        select distinct on (a.sub_id, a.ev_id) a.ev_id, a.ev_time, $1, a.sub_id, a.ev_retry, a.ev_type, a.ev_data,
               a.ev_extra1, a.ev_extra2, a.ev_extra3, a.ev_extra4
          from pg_temp.trunkline_adopted a order by a.sub_id, a.ev_id$f$,
        i_queue.queue_data_pfx, i_queue.queue_cur_table) using v_now;
    drop table pg_temp.trunkline_adopted;
    delete from pgq.tick t where t.tick_queue = i_queue.queue_id;
    update pgq.queue q
       set queue_switch_step1 = v_now, queue_switch_step2 = v_now, queue_switch_time = clock_timestamp(),
           queue_truncated_txid = 0, queue_tick_txid = 0, queue_first_tick = 0, queue_ends_at = null
     where q.queue_id = i_queue.queue_id;
end
$$;
