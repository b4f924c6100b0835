-- pgq._make_insert(i_queue_id): makes pgq._insert_N, which puts one event into queue N without EXECUTE, and which only
-- insert_event() calls. What inserts must know of the queue is part of its text: the names of its tables, whether
-- inserts are disabled, the limit of a transaction. A change of the queue's row makes it anew (pgq._queue_changed).
-- Result: none. Tables touched: reads queue; the function inserts into event_N_*.
-- Users must not: call it.
--
-- EXECUTE for each event costs 20 microseconds, all the rest of an insert 10. Reading the queue's row for each event
-- costs 3. The current table is looked up once a second and session (setting trunkline.q_N: the second, then the
-- table's number; the second is the high digits of statement_timestamp's binary form, 2^20 microseconds): readers look at every
-- event table, so a stale choice harms nothing, and a forged one leads to another table of the same queue. ELSE: a
-- table that was added while the function ran must not drop an event.
create or replace function pgq._make_insert(i_queue_id int4) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $make$
declare
    v_queue pgq.queue;
    v_chain text := '';
    v_rules text := '';
    v_into  text := '(ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4) values ';
begin
    select * into strict v_queue from pgq.queue q where q.queue_id = i_queue_id;
    for i in 0 .. v_queue.queue_ntables - 1 loop
        v_chain := v_chain || format($f$
    %s v_table = v_second || '%s' then
        insert into %s_%s %s(v_id, now(), v_txid, $1, $2, $3, $4, $5, $6);$f$,
            case when i = 0 then 'if' else 'elsif' end, i, v_queue.queue_data_pfx, i, v_into);
    end loop;
    if v_queue.queue_disable_insert then
        v_rules := v_rules || $f$
    if current_setting('session_replication_role') <> 'replica' then
        raise exception 'Insert into queue disallowed' using errcode = 'XX000';
    end if;$f$;
    end if;
    if v_queue.queue_per_tx_limit is not null then
        v_rules := v_rules || format($f$
    perform pgq._count_insert(%s, %L, %s, 1);$f$, i_queue_id, v_queue.queue_name, v_queue.queue_per_tx_limit);
    end if;
    execute format($f$
create or replace function pgq._insert_%s(
    i_type text, i_data text, i_extra1 text, i_extra2 text, i_extra3 text, i_extra4 text) returns bigint
language plpgsql volatile as %L$f$, i_queue_id, format($f$
declare
    v_second text := left(encode(timestamptz_send(statement_timestamp()), 'hex'), 11);
    v_table  text := current_setting('trunkline.q_%1$s', true);
    v_txid   bigint;
    v_id     bigint;
begin
    if left(v_table, 11) is distinct from v_second then
        v_table := set_config('trunkline.q_%1$s', v_second || (
            select q.queue_cur_table from pgq.queue q where q.queue_id = %1$s), false);
    end if;
    v_txid := txid_current();
    v_id := nextval(%3$L::regclass);%2$s%4$s
    else
        execute format('insert into %5$s_%%s %6$s($1, now(), $2, $3, $4, $5, $6, $7, $8)',
                       (select q.queue_cur_table from pgq.queue q where q.queue_id = %1$s))
          using v_id, v_txid, $1, $2, $3, $4, $5, $6;
    end if;
    return v_id;
end
$f$, i_queue_id, v_rules, v_queue.queue_event_seq, v_chain, v_queue.queue_data_pfx, v_into));
    execute format('revoke all on function pgq._insert_%s(text, text, text, text, text, text) from public', i_queue_id);
end
$make$;

-- pgq._count_insert(i_queue_id, i_queue_name, i_limit, i_count): counts the events that this transaction puts into a
-- queue with a limit. Errors: Queue 'Q' allows max N events from one TX. Tables touched: none; the count stands in the
-- setting trunkline.n_N, for this transaction only, and goes back with a savepoint.
create or replace function pgq._count_insert(i_queue_id int4, i_queue_name text, i_limit int4, i_count bigint)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name  text := 'trunkline.n_' || i_queue_id;
    v_count bigint := coalesce(nullif(current_setting(v_name, true), '')::bigint, 0) + i_count;
begin
    if v_count > i_limit then
        raise exception 'Queue ''%'' allows max % events from one TX', i_queue_name, i_limit using errcode = 'XX000';
    end if;
    perform set_config(v_name, v_count::text, true);
end
$$;
