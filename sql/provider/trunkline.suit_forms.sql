-- Function trunkline.suit_forms(): chooses the form of capture for the tables whose choice is auto, by what the last events
-- say of their transactions. To be called by trunkline.upkeep, as the last thing that it does.
--
-- A row trigger costs two thirds of a statement trigger for one row and seven times as much a row for a set, so rows are for
-- tables whose transactions are all small. The last 20,000 events of each queue are looked at:
--  * a table goes over to rows where they have 1,000 rows of it or more, and no transaction has more than 20 of them;
--  * it goes back to statements where one transaction has more than 100;
--  * and for good where more than a fifth of its events were read by key (live, gone): its rows are locked before they are
--    changed, and a row trigger that reads costs twice a statement trigger.
-- A large statement that a table in the form of rows meets before that costs what PgQ's trigger has always cost for it, and
-- no more: there is nothing in the row trigger that depends on how many rows its statement has.
--
-- One table is changed in a call, and its lock is waited for no longer than 50 ms, because all who come to the table
-- wait behind it. A table that is never free so long keeps its form, and is tried again at the next call.
-- Result: what was done, a line each. Tables: reads event tables, trunkline.captured; see trunkline.choose_form.
-- Users must not: it is a part of trunkline.upkeep.
create or replace function trunkline.suit_forms() returns setof text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue record;
    v_table record;
begin
    for v_queue in
        select q.queue_id, q.queue_data_pfx, q.queue_cur_table from pgq.queue q
         where exists (select from trunkline.captured c
                        where c.queue_id = q.queue_id and c.dropped_at is null and c.plan ->> 'choice' = 'auto')
         order by q.queue_id
    loop
        for v_table in execute format($q$
            select t.table_oid, t.form = 'statements' as suits, coalesce(t.read * 5 > t.since, false) as reads
              from (select c.table_oid, c.plan, trunkline.form_of(c.plan) as form, sum(e.rows) as rows, max(e.rows) as largest,
                           -- What statements have read before says nothing of rows.
                           sum(e.read) filter (where e.ev_txid >= (c.plan ->> 'since')::bigint) as read,
                           sum(e.rows) filter (where e.ev_txid >= (c.plan ->> 'since')::bigint) as since
                      from (select s.ev_extra2 as shape, s.ev_txid, count(*) filter (where s.ev_extra3 in ('live', 'gone')) as read,
                                   sum(case when octet_length(s.ev_data) > 20000 then 1000
                                            -- Not exact where a text holds such a thing, which then counts as a row more.
                                            else (octet_length(s.ev_data) - octet_length(replace(s.ev_data, E')\n(', ''))) / 3 + 1 end) as rows
                              from (select e.ev_txid, e.ev_type, e.ev_data, e.ev_extra2, e.ev_extra3 from %s_%s e order by e.ev_txid desc limit 20000) s
                             where s.ev_type = 'trunkline.1.rows'
                             group by s.ev_extra2, s.ev_txid) e
                      join trunkline.captured c on c.shape_id::text = e.shape
                     where c.queue_id = %s and c.dropped_at is null and c.problem is null and not c.refreshing and c.plan ->> 'choice' = 'auto'
                     group by c.table_oid) t
             where case t.form
                       when 'rows' then t.largest > 100 or (t.read * 5 > t.since and t.since >= 100 and not (t.plan ->> 'live')::bool)
                       when 'statements' then t.largest <= 20 and t.rows >= 1000 and not coalesce((t.plan ->> 'reads')::bool, false)
                            and trunkline.capture_form((select r from pg_class r where r.oid = t.table_oid), (t.plan ->> 'rows')::bool,
                                    t.plan ->> 'identity', t.plan ->> 'fingerprint' is not null,
                                    t.plan || '{"suits": true}') ->> 'form' = 'rows' end
             order by t.rows desc$q$, v_queue.queue_data_pfx, v_queue.queue_cur_table, v_queue.queue_id)
        loop
            begin
                perform set_config('lock_timeout', '50ms', true);
                if trunkline.change_form(v_table.table_oid, 
                       case when v_table.suits then jsonb_build_object('suits', true, 'since', txid_current())
                            else jsonb_build_object('suits', false) || case when v_table.reads then '{"reads": true}' else '{}' end::jsonb end) then
                    return next format('%s is captured by %s', v_table.table_oid::regclass, case when v_table.suits then 'rows' else 'statements' end);
                    return;
                end if;
            exception when others then
                -- It keeps its form, which is as right as the other one.
                null;
            end;
        end loop;
    end loop;
end
$$;
revoke all on function trunkline.suit_forms() from public;
