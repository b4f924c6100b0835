-- Function trunkline.forget_applied(i_consumer): deletes what nobody can come from any more: the ticks that a consumer has
-- stood at before the oldest tick of this database's queue of the same name.
-- Result: how many rows were deleted. Tables: reads position, pgq.queue, pgq.tick; writes applied_tick. Users must not call it.
create or replace function trunkline.forget_applied(i_consumer text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_oldest  timestamptz;
    v_deleted bigint;
begin
    -- The position at which the oldest tick was made was reached before it.
    select t.tick_time into v_oldest
      from trunkline.position p
      join pgq.queue q on q.queue_name = p.queue
      join pgq.tick t on t.tick_queue = q.queue_id
     where p.consumer = i_consumer
     order by t.tick_id limit 1;
    if not found then
        -- Without a queue of that name nobody comes from one.
        v_oldest := 'infinity';
    end if;
    delete from trunkline.applied_tick a
     where a.consumer = i_consumer
       and a.applied_at < (select max(b.applied_at) from trunkline.applied_tick b
                            where b.consumer = i_consumer and b.applied_at < v_oldest);
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$$;
revoke all on function trunkline.forget_applied(text) from public;
