-- pgq._truncate_event_table(i_queue_id, i_number): empties an event table if what it holds is proven to be consumed.
-- Result: whether it is empty now. False: a consumer or a transaction still needs its events, or somebody has a lock on
-- it for over 200 ms.
-- Tables touched: locks and truncates the event table; locks and updates the queue's row, which stays locked where
-- the result is true.
-- Users must not: call it outside of READ COMMITTED, whose later statements see what was committed before the locks.
--
-- The simple way, truncating a table because it was left two rotations ago, loses the events of a REPEATABLE READ
-- transaction that is older than that: it still writes there. So the table is truncated on proof by its data:
--   0. a look without locks: most tables that are needed are found out here, and no reader has waited;
--   1. lock it: no writer has rows in it that we cannot see, no new ones come. Waiting up to 200 ms wins against
--      readers that follow each other closely, where NOWAIT never does;
--   2. lock the queue's row: no consumer is registered or moved, no tick is made;
--   3. in a later statement, whose snapshot is younger than both locks, compare the greatest ev_txid with the xmin of
--      every consumer's tick, and of the last tick, where the next new consumer will stand.
-- The table's lock is taken first, so that ticks do not wait for it. Where the proof fails after all, both locks go with
-- the subtransaction that took them.
create or replace function pgq._truncate_event_table(i_queue_id int4, i_number int4) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    v_table text := (select q.queue_data_pfx || '_' || i_number from pgq.queue q where q.queue_id = i_queue_id);
    v_full  bool := pg_relation_size(v_table::regclass) > 0;
    v_max   bigint;
begin
    if v_full then
        execute format('select max(ev_txid) from only %s', v_table) into v_max;
        if v_max >= pgq._needed_txid(i_queue_id) then
            return false;
        end if;
    end if;
    begin
        -- A table without a page needs no lock and no TRUNCATE; what is written from now on is simply not truncated.
        if v_full then
            execute format('lock table only %s in access exclusive mode', v_table);
        end if;
        perform from pgq.queue q where q.queue_id = i_queue_id for no key update;
        if v_full then
            execute format('select max(ev_txid) from only %s', v_table) into v_max;
            if v_max >= pgq._needed_txid(i_queue_id) then
                raise lock_not_available;
            end if;
            execute format('truncate only %s', v_table);
        end if;
    exception
        when lock_not_available then
            return false;
    end;
    if v_max is not null then
        update pgq.queue q
           set queue_truncated_txid = greatest(q.queue_truncated_txid, v_max),
               queue_tick_txid      = greatest(q.queue_tick_txid, v_max + 1)
         where q.queue_id = i_queue_id;
    end if;
    return true;
end
$$;

-- pgq._needed_txid(i_queue_id): the least transaction id that a consumer of the queue may still ask for: the least xmin
-- of the consumers' ticks and of the last tick. Result: bigint. Errors: queue Q maint failure: tick N not found.
-- Tables touched: reads subscription and tick. Users must not: trust it without the queue's row lock.
create or replace function pgq._needed_txid(i_queue_id int4) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_position record;
    v_needed   bigint;
begin
    for v_position in
        select p.tick_id as wanted, t.tick_snapshot
          from (select s.sub_last_tick from pgq.subscription s
                 where s.sub_queue = i_queue_id and s.sub_last_tick is not null and s.sub_detached is null
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

-- pgq._spare_tables(i_queue_id): the event tables that rotation may empty, in the order of trying: the first three before
-- those that were added, empty ones as they follow the current one, then by the age of their events. Neither the current table is
-- among them nor the one with the youngest events of the others, which is kept so that a consumer can be moved back.
-- Result: setof record: number; name; last_txid: of its youngest event, null if it has none; is_full: it has pages.
-- Tables touched: reads queue; probes the event tables' indexes.
create or replace function pgq._spare_tables(
    i_queue_id int4, out number int4, out name text, out last_txid bigint, out is_full bool)
returns setof record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue  pgq.queue;
    v_txid   bigint;
    v_places int4[];
    v_txids  bigint[];
begin
    select * into v_queue from pgq.queue q where q.queue_id = i_queue_id;
    for i in 1 .. v_queue.queue_ntables - 1 loop
        number := (v_queue.queue_cur_table + i) % v_queue.queue_ntables;
        execute format('select max(ev_txid) from only %s_%s', v_queue.queue_data_pfx, number) into v_txid;
        v_places := v_places || number;
        v_txids := v_txids || v_txid;
    end loop;
    for number, last_txid in
        select p.number, p.txid from unnest(v_places, v_txids) with ordinality p (number, txid, place)
         where p.txid is null
            or p.place <> (select y.place from unnest(v_txids) with ordinality y (txid, place)
                            where y.txid is not null order by y.txid desc, y.place desc limit 1)
         order by p.number >= 3, p.txid nulls first, p.place
    loop
        name := v_queue.queue_data_pfx || '_' || number;
        is_full := pg_relation_size(name::regclass) > 0;
        return next;
    end loop;
end
$$;
