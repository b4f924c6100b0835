-- trunkline.unapplied(i_queue, i_tick): since when the oldest event waits that a tick does not show, ticked or not.
-- Arguments: the queue; the tick where a subscriber stands. Errors: No such event queue. Result: one row:
--   is_known  the queue has that tick
--   oldest    when that event was written, but not before the tick was made: what was committed by then, the tick shows;
--             null: there is no such event, or the tick is not known
--   events    how many events are numbered since the tick; some of them may be rolled back yet. 0 where oldest is null
-- Reads only and locks nothing: whoever watches a replication may ask it once a second.
-- Tables touched: reads queue, tick, the event sequence, and the event tables over their indexes.
--
-- An idle queue costs two probes: if no event was numbered since the tick, and no transaction was open then that may
-- have numbered one before it, there is none. Else the first hundred events in the order of transactions are looked at in each
-- table, and those of the transactions that were open at the tick and have ended since. All tables are read, as for a
-- batch: a transaction may write into a table that rotation has left. Events of transactions that are open are not
-- seen: they can still be rolled back.
create or replace function trunkline.unapplied(
    i_queue text, i_tick bigint, out is_known bool, out oldest timestamptz, out events bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_tick  pgq.tick;
    v_open  bigint[];
    v_table text;
    v_found timestamptz;
    v_seq   bigint;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue;
    if not found then
        raise exception 'No such event queue' using errcode = '42704', detail = coalesce(i_queue, 'null');
    end if;
    select * into v_tick from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = i_tick;
    is_known := found;
    events := 0;
    v_seq := coalesce(pg_sequence_last_value(v_queue.queue_event_seq::regclass), 0);
    if not is_known or (v_seq <= v_tick.tick_event_seq and v_tick.tick_open is null) then
        return;
    end if;
    v_open := array(select x from txid_snapshot_xip(v_tick.tick_snapshot) x
                     where txid_visible_in_snapshot(x, txid_current_snapshot()) order by 1);
    for v_table in select pgq._event_tables(v_queue.queue_data_pfx, v_queue.queue_ntables) loop
        continue when pg_relation_size(v_table::regclass) = 0;
        execute format('select min(e.ev_time) from ('
                       '(select ev_time from only %1$s where ev_txid >= $1 and ev_owner is null '
                       ' order by ev_txid limit 100) union all '
                       '(select ev_time from only %1$s where ev_txid between $2[1] and $2[array_upper($2, 1)] '
                       ' and ev_txid = any ($2) and ev_owner is null limit 100)) e', v_table)
           into v_found using txid_snapshot_xmax(v_tick.tick_snapshot), v_open;
        oldest := least(oldest, v_found);
    end loop;
    if oldest is not null then
        oldest := greatest(oldest, v_tick.tick_time);
        events := greatest(v_seq - v_tick.tick_event_seq, 1);
    end if;
end
$$;
revoke all on function trunkline.unapplied(text, bigint) from public;
grant execute on function trunkline.unapplied(text, bigint) to pgq_reader, pgq_admin;
