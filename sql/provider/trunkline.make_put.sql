-- Function trunkline.make_put(i_queue_id): makes trunkline.put_N, which writes one event into queue N without EXECUTE.
--
-- Which event table is current, trunkline.current_table_N says. ELSE EXECUTE: a table that the function does not know, because
-- the queue got it later, must not drop an event in silence.
-- A function that is what it should be stays: each table's capture functions ask for it, and two sessions that replace
-- one function at once are an error for the second.
-- Tables: creates the functions put_N and current_table_N, and takes INSERT on event_N_* from pgq_admin;
-- put_N inserts into event_N_*.
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
    v_body   text;
    v_known  oid := to_regprocedure(format('trunkline.put_%s(text, text, text, text, text)', i_queue_id));
begin
    select * into strict v_queue from pgq.queue q where q.queue_id = i_queue_id;
    for i in 0 .. v_queue.queue_ntables - 1 loop
        v_chain := v_chain || format($f$
    %s trunkline.current_table_%s() = %s then
        insert into %s_%s %s
        values (nextval('%s'::regclass), now(), v_txid, i_type, i_data, i_name, i_shape, i_kind);$f$,
            case when i = 0 then 'if' else 'elsif' end, i_queue_id, i, v_queue.queue_data_pfx, i, v_insert, v_queue.queue_event_seq);
    end loop;
    -- Compressing blocks is half the cost of capturing many rows with pglz, a tenth with lz4.
    if exists (select from pg_settings s where s.name = 'default_toast_compression' and 'lz4' = any (s.enumvals)) then
        v_lz4 := 'set default_toast_compression = lz4';
    end if;
    if to_regprocedure(format('trunkline.current_table_%s()', i_queue_id)) is null then
        perform trunkline.make_current_table(i_queue_id);
    end if;
    v_body := format($f$
declare
    v_txid bigint := txid_current();
begin%s
    else
        execute format('insert into %s_%%s %s values (nextval(%%L::regclass), now(), $1, $2, $3, $4, $5, $6)',
                       trunkline.current_table_%s(), '%s')
          using v_txid, i_type, i_data, i_name, i_shape, i_kind;
    end if;
    return 1;
end
$f$, v_chain, v_queue.queue_data_pfx, v_insert, i_queue_id, v_queue.queue_event_seq);
    if exists (select from pg_proc p where p.oid = v_known and p.prosrc = v_body and (p.proconfig is null) = (v_lz4 = '')) then
        return;
    end if;
    execute format($f$
create or replace function trunkline.put_%s(i_type text, i_name text, i_shape text, i_kind text, i_data text)
returns int4 language plpgsql volatile %s as %L$f$, i_queue_id, v_lz4, v_body);
    execute format('revoke all on function trunkline.put_%s(text, text, text, text, text) from public', i_queue_id);
    -- From here on only capture writes into the queue's tables by itself.
    perform pgq.grant_perms(v_queue.queue_name);
end
$$;
revoke all on function trunkline.make_put(int4) from public;
