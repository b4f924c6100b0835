-- pgq.maint_rotate_tables_step1(i_queue_name): if the queue's rotation is due, truncates the next event table and makes
-- it the current one.
-- Result: 0. Nothing happens, and the next maintenance tries again, while a consumer still needs the next table's
-- events or somebody holds a lock on it for over 200 ms. Without consumers the events count as consumed.
-- Errors: No such event queue; not READ COMMITTED; queue Q maint failure: the transaction counter is behind the last
-- rotation (a restored dump), or a consumer's tick is missing.
-- Tables touched: locks and truncates an event table, locks and updates the queue's row, deletes old ticks.
--
-- The simple way, truncating a table because it was left two rotations ago, loses the events of a REPEATABLE READ
-- transaction that is older than that: it still writes there. So the table is truncated on proof by its data:
--   1. lock it: no writer has rows in it that we cannot see, no new ones come. Waiting up to 200 ms wins against
--      readers that follow each other closely, where NOWAIT never does;
--   2. lock the queue's row: no consumer is registered or moved, no tick is made;
--   3. in a later statement, whose snapshot is younger than both locks, compare the greatest ev_txid with the xmin of
--      every consumer's tick, and of the last tick, where the next new consumer will stand.
-- The table's lock is taken first, so that ticks do not wait for it.
create or replace function pgq.maint_rotate_tables_step1(i_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    v_seen     pgq.queue;
    v_queue    pgq.queue;
    v_next     int4;
    v_table    text;
    v_truncate bool;
    v_max      bigint;
    v_needed   bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'rotation needs a READ COMMITTED transaction' using errcode = '25001';
    end if;
    select * into v_seen from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        raise exception 'No such event queue' using errcode = '42704', detail = coalesce(i_queue_name, 'null');
    end if;
    if v_seen.queue_switch_step2 is null
       or v_seen.queue_switch_time + v_seen.queue_rotation_period >= clock_timestamp() then
        return 0;
    end if;
    if txid_current() < v_seen.queue_switch_step1 then
        raise exception 'queue % maint failure: step1=%, current=%',
            i_queue_name, v_seen.queue_switch_step1, txid_current() using errcode = '55000';
    end if;
    v_next := (v_seen.queue_cur_table + 1) % v_seen.queue_ntables;
    v_table := v_seen.queue_data_pfx || '_' || v_next;
    -- A table without a page needs no lock and no TRUNCATE; what is written from now on is simply not truncated.
    v_truncate := pg_relation_size(v_table::regclass) > 0;
    begin
        if v_truncate then
            execute format('lock table only %s in access exclusive mode', v_table);
        end if;
        select * into v_queue from pgq.queue q where q.queue_id = v_seen.queue_id for no key update;
    exception
        when lock_not_available then
            return 0;
    end;
    if not found or v_queue.queue_cur_table <> v_seen.queue_cur_table or v_queue.queue_switch_step2 is null then
        return 0;
    end if;

    if v_truncate then
        execute format('select max(ev_txid) from only %s', v_table) into v_max;
        v_needed := pgq._needed_txid(v_queue.queue_id);
        if v_max >= v_needed then
            return 0;
        end if;
        execute format('truncate only %s', v_table);
    end if;
    update pgq.queue q
       set queue_cur_table      = v_next,
           queue_switch_time    = clock_timestamp(),
           queue_switch_step1   = txid_current(),
           queue_switch_step2   = null,
           queue_truncated_txid = greatest(q.queue_truncated_txid, v_max),
           queue_tick_txid      = greatest(q.queue_tick_txid, v_queue.queue_switch_step2, v_max + 1)
     where q.queue_id = v_queue.queue_id;
    perform pgq.maint_reclaim_ticks(i_queue_name);
    return 0;
end
$$;

-- pgq._needed_txid(i_queue_id): the least transaction id that a consumer of the queue may still ask for: the least xmin
-- of the consumers' ticks and of the last tick. Result: bigint. Errors: queue Q maint failure: tick N not found.
-- Tables touched: reads subscription and tick. Users must not: trust it without the queue's row lock.
create or replace function pgq._needed_txid(i_queue_id int4) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_position record;
    v_needed   bigint;
begin
    for v_position in
        select p.tick_id as wanted, t.tick_snapshot
          from (select s.sub_last_tick from pgq.subscription s
                 where s.sub_queue = i_queue_id and s.sub_last_tick is not null
                union
                (select l.tick_id from pgq.tick l where l.tick_queue = i_queue_id
                  order by l.tick_queue desc, l.tick_id desc limit 1)) p (tick_id)
          left join pgq.tick t on t.tick_queue = i_queue_id and t.tick_id = p.tick_id
    loop
        if v_position.tick_snapshot is null then
            raise exception 'queue % maint failure: tick % not found',
                (select q.queue_name from pgq.queue q where q.queue_id = i_queue_id), v_position.wanted
                using errcode = 'XX001';
        end if;
        v_needed := least(v_needed, txid_snapshot_xmin(v_position.tick_snapshot));
    end loop;
    return v_needed;
end
$$;
