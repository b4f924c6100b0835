-- Function trunkline.make_put(i_queue_id): makes trunkline.put_N, which writes one event into queue N without EXECUTE.
--
-- Which event table is current is read once a second and session (setting trunkline.q_N: the second, then the
-- number): readers look at every event table, so a stale choice harms nothing. The second is what the high digits of
-- statement_timestamp's binary form say: 2^20 microseconds. A forged setting leads to another event table of the
-- queue at most. ELSE EXECUTE: a table added to the queue during a call must not drop an event in silence.
-- Tables: creates the function; the function reads pgq.queue and inserts into event_N_*.
-- Users must not call put_N: it writes events of types that only capture writes.
create or replace function trunkline.make_put(i_queue_id int4) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue  pgq.queue;
    v_insert text := '(ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)';
    v_chain  text := '';
    v_lz4    text := '';
begin
    select * into strict v_queue from pgq.queue q where q.queue_id = i_queue_id;
    for i in 0 .. v_queue.queue_ntables - 1 loop
        v_chain := v_chain || format($f$
    %s v_table = v_second || '%s' then
        insert into %s_%s %s
        values (nextval('%s'::regclass), now(), v_txid, i_type, i_data, i_name, i_shape, i_kind);$f$,
            case when i = 0 then 'if' else 'elsif' end, i, v_queue.queue_data_pfx, i, v_insert, v_queue.queue_event_seq);
    end loop;
    -- Compressing blocks is half the cost of capturing many rows with pglz, a tenth with lz4.
    if exists (select from pg_settings s where s.name = 'default_toast_compression' and 'lz4' = any (s.enumvals)) then
        v_lz4 := 'set default_toast_compression = lz4';
    end if;
    execute format($f$
create or replace function trunkline.put_%s(i_type text, i_name text, i_shape text, i_kind text, i_data text)
returns int4 language plpgsql volatile %s as %L$f$, i_queue_id, v_lz4, format($f$
declare
    v_second text := left(encode(timestamptz_send(statement_timestamp()), 'hex'), 11);
    v_table  text := current_setting('trunkline.q_%1$s', true);
    v_txid   bigint := txid_current();
begin
    if left(v_table, 11) is distinct from v_second then
        v_table := set_config('trunkline.q_%1$s', v_second || (
            select q.queue_cur_table from pgq.queue q where q.queue_id = %1$s), false);
    end if;%2$s
    else
        execute format('insert into %3$s_%%s %4$s values (nextval(%%L::regclass), now(), $1, $2, $3, $4, $5, $6)',
                       (select q.queue_cur_table from pgq.queue q where q.queue_id = %1$s), '%5$s')
          using v_txid, i_type, i_data, i_name, i_shape, i_kind;
    end if;
    return 1;
end
$f$, i_queue_id, v_chain, v_queue.queue_data_pfx, v_insert, v_queue.queue_event_seq));
    execute format('revoke all on function trunkline.put_%s(text, text, text, text, text) from public', i_queue_id);
end
$$;
revoke all on function trunkline.make_put(int4) from public;
