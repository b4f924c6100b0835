-- Function trunkline.capture_chain(i_queue_id, i_kind, i_name, i_shape, i_row, i_from): writes the one row
-- that i_from gives into the current event table, without EXECUTE and without a call: trunkline.put_N's chain
-- of tables. FOUND says afterwards whether there was one. A table that the chain does not know is put_N's
-- affair: then nothing was written.
--
-- One row is the common case, and what it costs is the number of expressions and plan nodes, and of columns that
-- each node has: all are set up anew at each call. So this is one INSERT SELECT that names all columns, in their order:
-- else the planner puts a node for those that are left out between the two.
-- Arguments: i_kind, i_row expressions, i_name and i_shape constants, i_from what follows FROM. Result: PL/pgSQL.
-- Tables: reads pgq.queue. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_chain(
    i_queue_id int4, i_kind text, i_name text, i_shape text, i_row text, i_from text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $f$
    select string_agg(format($q$
        %1$s trunkline.current_table_%2$s() = %3$s then
            insert into %4$s_%3$s (ev_id, ev_time, ev_txid, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
            select nextval('%5$s'::regclass), now(), txid_current(), null::int4, null::int4, 'trunkline.1.rows'::text, %6$s,
                   %7$s::text, %8$s::text, %9$s, null::text
              from %10$s;$q$,
               case when i = 0 then 'if' else 'elsif' end, i_queue_id, i, q.queue_data_pfx, q.queue_event_seq,
               i_row, i_name, i_shape, i_kind, i_from), '' order by i)
           || $q$
        end if;$q$
      from pgq.queue q cross join lateral generate_series(0, q.queue_ntables - 1) i
     where q.queue_id = i_queue_id;
$f$;
revoke all on function trunkline.capture_chain(int4, text, text, text, text, text) from public;
