-- pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit, i_extra_where): opens a cursor over the events of a
-- batch and gives its first rows; the caller fetches the rest and closes it.
-- Arguments: the batch; a name for the cursor; how many rows to give; a condition over the event columns, or null.
-- Result: as get_batch_events; nothing if one of the first three is null. Errors: batch not found.
-- Tables touched: reads the queue's event tables.
-- The function is not SECURITY DEFINER and has no search_path of its own: the condition is the caller's SQL and must run with the
-- caller's rights and names.
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint, i_cursor_name text, i_quick_limit int4, i_extra_where text,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry int4, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record
language plpgsql volatile
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
as $$
declare
    v_cursor pg_catalog.refcursor := i_cursor_name;
    v_sql    pg_catalog.text;
begin
    if i_batch_id is null or i_cursor_name is null or i_quick_limit is null then
        return;
    end if;
    v_sql := pgq.batch_event_sql(i_batch_id);
    if i_extra_where is not null then
        v_sql := pg_catalog.format('select * from (%s) ev where %s order by ev_id', v_sql, i_extra_where);
    end if;
    execute pg_catalog.format('declare %I no scroll cursor for %s', i_cursor_name, v_sql);
    for v_count in 1 .. i_quick_limit loop
        fetch v_cursor into ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data,
                            ev_extra1, ev_extra2, ev_extra3, ev_extra4;
        exit when not found;
        return next;
    end loop;
end
$$;

-- pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit): the same, without a condition.
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint, i_cursor_name text, i_quick_limit int4,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry int4, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record
language sql volatile strict
as $$ select * from pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit, null) $$;
