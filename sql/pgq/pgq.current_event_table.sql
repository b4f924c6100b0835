-- pgq.current_event_table(x_queue_name): the table that new events go to, e.g. pgq.event_1_0. For bulk inserts by
-- pgq_admin. Result: text, good within the current transaction.
-- Errors: Event queue not found; Writing to queue disabled (unless session_replication_role is replica).
-- Tables touched: reads queue. A name that has become stale is no harm: readers look at every table of the queue.
create or replace function pgq.current_event_table(x_queue_name text) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    select * into v_queue from pgq.queue q where q.queue_name = x_queue_name;
    if not found then
        raise exception 'Event queue not found' using detail = coalesce(x_queue_name, 'null');
    end if;
    if v_queue.queue_disable_insert and current_setting('session_replication_role') <> 'replica' then
        raise exception 'Writing to queue disabled' using detail = x_queue_name;
    end if;
    return v_queue.queue_data_pfx || '_' || v_queue.queue_cur_table;
end
$$;
