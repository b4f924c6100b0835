-- pgq.maint_rotate_tables_step1(i_queue_name): if the queue's rotation is due, new events go to another table from now on:
-- one whose events are proven to be consumed and that is emptied here (pgq._truncate_event_table says how), or, where a slow
-- consumer, a long transaction or somebody's lock holds all of them, a new one, up to max_tables.
-- Result: 0. With max_tables reached nothing happens, and the next maintenance tries again. Without consumers the events
-- count as consumed. pgq.get_holder_info() says what is in the way.
-- Errors: No such event queue; not READ COMMITTED; queue Q maint failure: the transaction counter is behind the last
-- rotation (a restored dump), or a consumer's tick is missing.
-- Tables touched: locks and truncates an event table, or creates one; locks and updates the queue's row, deletes old ticks.
--
-- Tables are added, never dropped: a writer whose snapshot is older than the drop would fail for a reason of ours. One
-- that is empty again costs two pages; rotation takes the others first, and readers leave it out.
create or replace function pgq.maint_rotate_tables_step1(i_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    v_seen  pgq.queue;
    v_queue pgq.queue;
    v_next  int4;
    v_table text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'rotation needs a READ COMMITTED transaction' using errcode = '25001';
    end if;
    select * into v_seen from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        raise exception 'No such event queue' using errcode = '42704', detail = coalesce(i_queue_name, 'null');
    end if;
    if v_seen.queue_switch_step2 is null or not pgq._is_rotation_due(v_seen) then
        return 0;
    end if;
    if txid_current() < v_seen.queue_switch_step1 then
        raise exception 'queue % maint failure: step1=%, current=%',
            i_queue_name, v_seen.queue_switch_step1, txid_current() using errcode = '55000',
            hint = 'The transaction counter went back: the database was restored into another server. '
                   'See pgq.adopt_queue().';
    end if;
    for v_next in select s.number from pgq._spare_tables(v_seen.queue_id) s loop
        exit when pgq._truncate_event_table(v_seen.queue_id, v_next);
        v_next := null;
    end loop;
    v_table := v_seen.queue_data_pfx || '_' || v_seen.queue_cur_table;
    if v_next is null and (v_seen.queue_ntables >= v_seen.queue_max_tables
                           or pg_relation_size(v_table::regclass) = 0) then
        return 0;
    end if;
    begin
        select * into v_queue from pgq.queue q where q.queue_id = v_seen.queue_id for no key update;
        if not found or v_queue.queue_cur_table <> v_seen.queue_cur_table or v_queue.queue_switch_step2 is null
           or v_queue.queue_ntables <> v_seen.queue_ntables then
            return 0;
        end if;
        if v_next is null then
            v_next := v_queue.queue_ntables;
            perform pgq._make_event_table(v_queue, v_next);
        end if;
    exception
        when lock_not_available then
            return 0;
    end;
    update pgq.queue q
       set queue_cur_table    = v_next,
           queue_ntables      = greatest(q.queue_ntables, v_next + 1),
           queue_switch_time  = clock_timestamp(),
           queue_switch_step1 = txid_current(),
           queue_switch_step2 = null,
           queue_tick_txid    = greatest(q.queue_tick_txid, v_queue.queue_switch_step2)
     where q.queue_id = v_queue.queue_id;
    if v_next = v_queue.queue_ntables then
        perform pgq.grant_perms(i_queue_name);
        perform pgq.tune_storage(i_queue_name);
    end if;
    perform pgq.maint_reclaim_ticks(i_queue_name);
    return 0;
end
$$;

-- pgq._is_rotation_due(i_queue): whether a queue's rotation period is over. A last rotation that lies in the future means
-- that the server's clock was put back: due, or the queue would grow until the clock is there again.
create or replace function pgq._is_rotation_due(i_queue pgq.queue) returns bool
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select i_queue.queue_rotation_period is not null
       and (i_queue.queue_switch_time + i_queue.queue_rotation_period < clock_timestamp()
            or i_queue.queue_switch_time > clock_timestamp() + interval '1 minute')
$$;
