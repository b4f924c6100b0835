-- pgq.maint_reclaim_ticks(i_queue_name): deletes ticks that rotation has passed and no consumer needs, 5000 at most, so
-- that ticks wait only for a moment.
-- Result: 1 there are more, call it again; 0 done. The last two ticks are kept.
-- Tables touched: locks the queue's row (a consumer must not be moved to a tick that goes away), deletes from tick.
-- While somebody holds a snapshot, deleted ticks cannot be vacuumed. They cost space, and no time: everybody looks for ticks
-- from the newest down or from queue_first_tick up, and so meets none of them.
create or replace function pgq.maint_reclaim_ticks(i_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue   pgq.queue;
    v_keep    bigint;
    v_first   bigint;
    v_deleted bigint;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name for no key update;
    if not found then
        return 0;
    end if;
    v_keep := least((select min(s.sub_last_tick) from pgq.subscription s
                      where s.sub_queue = v_queue.queue_id and s.sub_detached is null),
                    (select t.tick_id from pgq.tick t where t.tick_queue = v_queue.queue_id
                      order by t.tick_queue desc, t.tick_id desc offset 1 limit 1));
    -- The first tick that stays: along the chain xmin never falls.
    select least(v_keep, max(o.tick_id) + 1) into v_first
      from (select o.tick_id, o.tick_snapshot from pgq.tick o
             where o.tick_queue = v_queue.queue_id and o.tick_id >= v_queue.queue_first_tick
             order by o.tick_queue, o.tick_id limit 5000) o
     where txid_snapshot_xmin(o.tick_snapshot) < v_queue.queue_tick_txid;
    if v_keep is null or v_first is null or v_first <= v_queue.queue_first_tick then
        return 0;
    end if;
    delete from pgq.tick t
     where t.tick_queue = v_queue.queue_id
       and t.tick_id >= v_queue.queue_first_tick and t.tick_id < v_first;
    get diagnostics v_deleted = row_count;
    update pgq.queue q set queue_first_tick = v_first where q.queue_id = v_queue.queue_id;
    return case when v_deleted >= 5000 then 1 else 0 end;
end
$$;
