-- pgq.maint_retry_events(): puts events whose time has come back into their queues, under the same number, for the
-- subscription that asked. Result: how many, 10 at most; call it again until it gives 0.
-- Events of capture's types, which only an INSERT of an admin's can have put there, are thrown away with a warning: they can
-- never come back, and all that wait behind them would not either.
-- Tables touched: locks retry_queue against itself, deletes from it, inserts events.
create or replace function pgq.maint_retry_events() returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_row   record;
    v_count int4 := 0;
begin
    -- Two callers would insert an event twice; writers of the retry queue are not in the way.
    lock table pgq.retry_queue in share update exclusive mode;
    delete from pgq.retry_queue r where left(r.ev_type, 10) = 'trunkline.' and r.ev_retry_after <= current_timestamp;
    get diagnostics v_count = row_count;
    if v_count > 0 then
        raise warning '% events of types that only capture writes were thrown away from pgq.retry_queue', v_count;
    end if;
    v_count := 0;
    for v_row in select q.queue_name, r.* from pgq.retry_queue r join pgq.queue q on q.queue_id = r.ev_queue
                  where r.ev_retry_after <= current_timestamp and not q.queue_disable_insert
                  order by r.ev_retry_after, r.ev_id limit 10 loop
        perform pgq.insert_event_raw(v_row.queue_name, v_row.ev_id, v_row.ev_time, v_row.ev_owner, v_row.ev_retry,
                                     v_row.ev_type, v_row.ev_data, v_row.ev_extra1, v_row.ev_extra2, v_row.ev_extra3,
                                     v_row.ev_extra4);
        delete from pgq.retry_queue r where r.ev_owner = v_row.ev_owner and r.ev_id = v_row.ev_id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;
