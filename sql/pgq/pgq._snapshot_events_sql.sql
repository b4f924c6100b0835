-- pgq._snapshot_events_sql(i_queue_id, i_from, i_to, i_filter): the query for the events between two snapshots.
-- Arguments: the queue; the snapshots of a tick and of a later one; conditions over the columns of the event table,
-- trusted SQL that starts with " and ", or ''. Result: text of a SELECT, ordered by ev_id.
-- Tables touched: reads queue; the query reads every event table of the queue.
-- Users must not: pass a filter that a stranger wrote.
--
-- Wanted: the rows that i_to sees and i_from does not. The simple way tests both on every row: a full scan. Instead,
-- per table, over the index on ev_txid:
--   * a range from xmax(i_from) to xmax(i_to): i_from saw none of them; those still open at i_to are left out;
--   * each transaction that was open at i_from and is seen by i_to, by its number; with the range that they span, which
--     says nothing more, but keeps the planner, which has no statistics here, from reading the table for a long list.
-- Every table is read. The tables of the moment would not do: a REPEATABLE READ writer whose snapshot is older than a
-- rotation writes into a table that is no longer the current one. Only tables without a page are left out: both ticks exist,
-- so whatever is between them has been written by now.
-- The query is run later than it is made. If rotation has truncated its events in between (the consumer was detached,
-- unregistered, moved), it fails instead of giving less: once its tables are locked, _events_from looks for that.
create or replace function pgq._snapshot_events_sql(
    i_queue_id int4, i_from txid_snapshot, i_to txid_snapshot, i_filter text) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_from_max bigint := txid_snapshot_xmax(i_from);
    v_range    text := format('ev_txid >= %s and ev_txid < %s', v_from_max, txid_snapshot_xmax(i_to));
    v_late     bigint[] := '{}';
    v_again    text;
    v_columns  text := 'ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4';
    v_part     text;
    v_parts    text;
    v_prefix   text;
    v_tables   int4;
begin
    select q.queue_data_pfx, q.queue_ntables into v_prefix, v_tables from pgq.queue q where q.queue_id = i_queue_id;
    -- Between xmin and xmax are the transactions that were open: mostly there is none, and nothing to unpack.
    if txid_snapshot_xmin(i_to) < txid_snapshot_xmax(i_to) then
        if exists (select from txid_snapshot_xip(i_to) x where x >= v_from_max) then
            v_range := v_range || format(' and txid_visible_in_snapshot(ev_txid, %L)', i_to);
        end if;
    end if;
    if txid_snapshot_xmin(i_from) < txid_snapshot_xmax(i_from) then
        v_late := array(select x from txid_snapshot_xip(i_from) x where txid_visible_in_snapshot(x, i_to) order by 1);
    end if;
    if v_late <> '{}' then
        v_again := format('ev_txid between %s and %s and ev_txid = any (%L::bigint[])',
                          v_late[1], v_late[array_upper(v_late, 1)], v_late);
    end if;
    -- The names of pgq._event_tables, without a query: a reader asks this many times a second.
    for v_number in 0 .. v_tables - 1 loop
        continue when pg_relation_size((v_prefix || '_' || v_number)::regclass) = 0;
        v_part := format('select %s from %s_%s where ', v_columns, v_prefix, v_number);
        v_parts := coalesce(v_parts || ' union all ', '') || v_part || v_range || i_filter
                   || coalesce(' union all ' || v_part || v_again || i_filter, '');
    end loop;
    v_parts := coalesce(v_parts, format('select %s from %s where false', v_columns, v_prefix));
    return format('select %s from (%s) ev where (select pgq._events_from(%s, %s)) order by ev_id',
                  v_columns, v_parts, i_queue_id, txid_snapshot_xmin(i_from));
end
$$;

-- pgq._events_from(i_queue_id, i_txid): whether no event from this transaction id on was truncated. Result: true.
-- Errors: events of queue Q were truncated. Tables touched: reads queue.
-- Volatile, so that it sees what was committed before it is called, even where the calling query's snapshot is older.
create or replace function pgq._events_from(i_queue_id int4, i_txid bigint) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from pgq.queue q where q.queue_id = i_queue_id and q.queue_truncated_txid >= i_txid) then
        raise exception 'events of queue % were truncated',
            (select q.queue_name from pgq.queue q where q.queue_id = i_queue_id) using errcode = '55000',
            hint = 'Nothing held them for this reader any more. Load its data anew.';
    end if;
    return true;
end
$$;
