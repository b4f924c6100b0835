-- Function trunkline.heirs(i_queue, i_epoch, i_place, i_tick): the tables of a queue by their oids in another log.
--
-- Who moves here from that log finds its tables by it: names do not matter, and renames do no harm.
-- Arguments: i_epoch, i_place: the log, and the tick of it up to which the caller has applied its tables; i_tick: the tick of
--            this queue that the caller goes on after (place_of). i_epoch may be that of this queue itself.
-- Result: one row a table that is captured here and is in that log.
--   log_oid      its oid in that log
--   table_oid, schema_name, table_name   the table here, by its name of now
--   flaw         why not all of its changes after the place are in this queue after the tick; null: all are
--   definition   its shape at the tick (sql/FORMAT.md)
-- Tables: reads queue, tick, captured, border_table, shape, position, table_state. Users: pgq_admin.
create or replace function trunkline.heirs(i_queue text, i_epoch bigint, i_place bigint, i_tick bigint)
returns table (log_oid oid, table_oid oid, schema_name text, table_name text, flaw text, definition text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue    pgq.queue;
    v_snapshot txid_snapshot;
    v_origin   record;
    v_written  record;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue;
    select t.tick_snapshot into v_snapshot from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = i_tick;
    for v_origin in
        select o.table_oid, o.log_oid, o.consumer, null::jsonb as logged_from
          from trunkline.table_origins(i_queue) o
         where o.epoch = i_epoch and (o.consumer is not null or o.epoch = v_queue.queue_epoch)
         union all
        select b.table_oid, b.log_oid, null, b.logged_from
          from trunkline.border_table b
          join trunkline.captured c on c.table_oid = b.table_oid and c.queue_id = b.queue_id and c.dropped_at is null
         where b.queue_id = v_queue.queue_id and b.epoch = i_epoch
    loop
        select c.schema_name, c.table_name,
               case when c.problem is not null then 'it has a problem there: ' || c.problem
                    when txid_visible_in_snapshot(c.since_txid, v_snapshot) is not true then 'it was not logged there yet' end
          into schema_name, table_name, flaw
          from trunkline.captured c where c.table_oid = v_origin.table_oid;
        if v_origin.logged_from is not null then
            flaw := coalesce(flaw, trunkline._unlogged(v_origin.logged_from, i_epoch, i_place));
        elsif v_origin.consumer is not null then
            -- As long as a table is not in step, its own task applies several ticks of the log at once, and a row that
            -- comes and goes meanwhile is in no event.
            execute 'select s.state = ''ok'' as is_ok,
                            trunkline._unlogged(s.logged_from, $3, $4) as unlogged
                       from trunkline.table_state s where s.consumer = $1 and s.target_oid = $2'
               into v_written using v_origin.consumer, v_origin.table_oid, i_epoch, i_place;
            flaw := case when flaw is not null then flaw
                         when v_written.is_ok is not true then 'it is not in step there'
                         else v_written.unlogged end;
        end if;
        log_oid := v_origin.log_oid;
        table_oid := v_origin.table_oid;
        select s.definition::text into definition
          from trunkline.shape s
         where s.table_oid = v_origin.table_oid and s.queue_id = v_queue.queue_id
         order by txid_visible_in_snapshot(s.logged_txid, v_snapshot) desc, s.shape_id desc limit 1;
        return next;
    end loop;
end
$$;
revoke all on function trunkline.heirs(text, bigint, bigint, bigint) from public;
grant execute on function trunkline.heirs(text, bigint, bigint, bigint) to pgq_admin;

-- Function trunkline._unlogged(i_logged_from, i_epoch, i_place): why the changes after a place are not all in the log of a node
-- that has logged them from some places on; null: they are. For heirs only.
create or replace function trunkline._unlogged(i_logged_from jsonb, i_epoch bigint, i_place bigint) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return case when not exists (select from trunkline._places(i_logged_from) l
                                  where l.epoch = i_epoch and l.tick <= i_place)
                then 'it was copied there later' end;
end
$$;
revoke all on function trunkline._unlogged(jsonb, bigint, bigint) from public;
