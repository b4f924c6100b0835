-- trunkline.ticks_between(i_queue, i_from, i_to): the ticks of a queue after one tick, up to another one.
-- Who keeps the events between them as they are needs each tick's snapshot, to tell later which events a tick shows.
-- Result: number, tag, time and snapshot of each tick, in their order; no row if there is no such queue.
-- Tables touched: reads queue and tick, by the tick's index. Reads only. Users: pgq_admin.
create or replace function trunkline.ticks_between(i_queue text, i_from bigint, i_to bigint)
returns table (tick_id bigint, tick_tag bigint, tick_time timestamptz, tick_snapshot txid_snapshot)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select t.tick_id, t.tick_tag, t.tick_time, t.tick_snapshot
      from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id
     where q.queue_name = i_queue and t.tick_id > i_from and t.tick_id <= i_to
     order by t.tick_queue, t.tick_id;
end
$$;
revoke all on function trunkline.ticks_between(text, bigint, bigint) from public;
grant execute on function trunkline.ticks_between(text, bigint, bigint) to pgq_admin;
