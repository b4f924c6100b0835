-- Function trunkline.table_origins(i_queue, i_tick): the oids of a queue's tables in the logs that they are written from,
-- and in its own.
--
-- A subscriber of this queue keeps them: it may have to move to a node further up when this one is gone.
-- Arguments: i_tick: the tick of this queue that the caller has applied. A table that a job has begun to write after it is in no
--            other log for the caller yet: its rows are those from before. Null: as all is by now.
-- Result: one row a captured table and log: its oid here, the log's epoch, its oid there; consumer: who writes the table, null
--         in the queue's own log, and in the logs that were read here before this node became the provider. A table that
--         holds only a part of the rows or columns above is in no other log, nor is one that has left out changes, or that
--         holds rows of other logs, too (replay add --merge).
-- Tables: reads queue, tick, captured, border_table, position, table_state. Users: pgq_admin.
create or replace function trunkline.table_origins(i_queue text, i_tick bigint default null)
returns table (table_oid oid, epoch bigint, log_oid oid, consumer text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_snapshot txid_snapshot;
begin
    return query
        select c.table_oid, q.queue_epoch, c.table_oid, null::text
          from pgq.queue q join trunkline.captured c on c.queue_id = q.queue_id
         where q.queue_name = i_queue and c.dropped_at is null
         union all
        select b.table_oid, b.epoch, b.log_oid, null
          from pgq.queue q
          join trunkline.border_table b on b.queue_id = q.queue_id
          join trunkline.captured c on c.table_oid = b.table_oid and c.queue_id = b.queue_id
         where q.queue_name = i_queue and c.dropped_at is null;
    -- A replay of this database may not be installed, or be older.
    if not trunkline.knows_writers() then
        return;
    end if;
    select t.tick_snapshot into v_snapshot
      from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id
     where q.queue_name = i_queue and t.tick_id = i_tick;
    return query
        select c.table_oid, a.epoch, a.oid, p.consumer
          from pgq.queue q
          join trunkline.captured c on c.queue_id = q.queue_id and c.dropped_at is null
          join trunkline.table_state s on s.target_oid = c.table_oid and s.consumer = any (c.writers)
                                      and s.filter is null and s.column_attnums is null
                                      -- A replay that is older has no merges.
                                      and to_jsonb(s) ->> 'merge_filter' is null
          join trunkline.position p on p.consumer = s.consumer and p.queue = q.queue_name
         cross join lateral (
               select p.epoch, s.provider_oid
                union all
               select (u.origin ->> 0)::bigint, (u.origin ->> 1)::bigint::oid
                 from jsonb_array_elements(s.origin_oids) u (origin)
                where i_tick is null or txid_visible_in_snapshot(s.origins_txid, v_snapshot)) a (epoch, oid)
         where q.queue_name = i_queue and s.ignored = 0
           and (i_tick is null or txid_visible_in_snapshot(s.logged_txid, v_snapshot));
end
$$;
revoke all on function trunkline.table_origins(text, bigint) from public;
grant execute on function trunkline.table_origins(text, bigint) to pgq_admin;
