-- Function trunkline.capture_chain(i_queue_id, i_kind text, i_name text, i_shape text): writes the one row v_text into the current
-- event table without EXECUTE and without a call: trunkline.put_N's chain of tables. Where the setting that names the
-- table is stale, put_N itself, which reads it anew.
--
-- One row is the common case, and what it costs is the number of expressions and plan nodes: each is set up anew at
-- each call. SELECT INTO and INSERT VALUES, which have few, cost less than one INSERT SELECT.
-- Arguments: i_kind an expression, i_name and i_shape constants. Result: PL/pgSQL. Tables: reads pgq.queue.
-- Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_chain(i_queue_id int4, i_kind text, i_name text, i_shape text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $f$
    select string_agg(format($q$
        %1$s current_setting('trunkline.q_%2$s', true) = left(v_mark, 11) || '%3$s' then
            insert into %4$s_%3$s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
            values (nextval('%5$s'::regclass), now(), txid_current(), 'trunkline.1.rows', v_text, %6$s, %7$s, %8$s);$q$,
               case when i = 0 then 'if' else 'elsif' end, i_queue_id, i, q.queue_data_pfx, q.queue_event_seq,
               i_name, i_shape, i_kind), '' order by i)
           || format($q$
        else
            v_rows := trunkline.put_%s('trunkline.1.rows', %s, %s, %s, v_text);
        end if;$q$, i_queue_id, i_name, i_shape, i_kind)
      from pgq.queue q cross join lateral generate_series(0, q.queue_ntables - 1) i
     where q.queue_id = i_queue_id;
$f$;
revoke all on function trunkline.capture_chain(int4, text, text, text) from public;
