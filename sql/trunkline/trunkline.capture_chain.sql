-- Function trunkline.capture_chain(i_queue_id, i_one text): writes one event into the current event table without EXECUTE
-- and without a call: trunkline.put_N's chain of tables, with a query for the values. FOUND tells whether it wrote one; it
-- is false where the setting that names the table is stale. i_one null: nothing is written and FOUND is false.
create or replace function trunkline.capture_chain(i_queue_id int4, i_one text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $f$
    select coalesce(string_agg(format($q$
        %s v_table = left(v_mark, 11) || '%s' then
            insert into %s_%s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
            select nextval('%s'::regclass), now(), txid_current(), 'trunkline.1.rows', %s;$q$,
               case when i = 0 then 'if' else 'elsif' end, i, q.queue_data_pfx, i, q.queue_event_seq, i_one), '' order by i)
           || '
        end if;
        ', '')
      from pgq.queue q cross join lateral generate_series(0, q.queue_ntables - 1) i
     where q.queue_id = i_queue_id and i_one is not null;
$f$;
revoke all on function trunkline.capture_chain(int4, text) from public;
