-- Function trunkline.capture_chain(i_queue_id, i_one text, i_mark): writes one event into the current event table without
-- EXECUTE and without a call: trunkline.put_N's chain of tables, with a query for the values. FOUND tells whether it wrote one;
-- it is false where the setting that names the table is stale.
--
-- The statement reads and sets the mark of the nesting rule, too: each expression of PL/pgSQL's own costs a snapshot and
-- more. LIMIT 1 keeps the plan from looking costly enough for jit, which would be compiled at each call from then on.
-- Arguments: i_one the values after the event's type, FROM and WHERE; null: nothing is written and FOUND is false.
--            i_mark the setting; null: there is none to look at.
-- Result: PL/pgSQL. Tables: reads pgq.queue. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_chain(i_queue_id int4, i_one text, i_mark text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $f$
    select coalesce(string_agg(format($q$
    %1$s v_table = left(v_mark, 11) || '%2$s' then
        insert into %3$s_%2$s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select nextval('%4$s'::regclass), now(), txid_current(), 'trunkline.1.rows', %5$s%6$s
         limit 1;$q$,
               case when i = 0 then 'if' else 'elsif' end, i, q.queue_data_pfx, q.queue_event_seq, i_one,
               case when i_mark is not null then format($q$
               and current_setting('%1$s', true) is distinct from v_mark and set_config('%1$s', v_mark, true) <> ''$q$,
                    i_mark) end), '' order by i)
           || '
    end if;
    ', '')
      from pgq.queue q cross join lateral generate_series(0, q.queue_ntables - 1) i
     where q.queue_id = i_queue_id and i_one is not null;
$f$;
revoke all on function trunkline.capture_chain(int4, text, text) from public;
