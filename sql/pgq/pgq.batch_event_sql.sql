-- pgq.batch_event_sql(x_batch_id): the query for the events of an open batch, those retried for its consumer included.
-- Result: text of a SELECT as events_sql makes it. Errors: batch not found.
-- Tables touched: reads subscription, tick, queue.
create or replace function pgq.batch_event_sql(x_batch_id bigint) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sql text;
begin
    select pgq._snapshot_events_sql(s.sub_queue, f.tick_snapshot, t.tick_snapshot,
                                    format(' and (ev_owner is null or ev_owner = %s)', s.sub_id))
      into v_sql
      from pgq._subscription_of(x_batch_id) s
      join pgq.tick f on f.tick_queue = s.sub_queue and f.tick_id = s.sub_last_tick
      join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'batch not found' using detail = coalesce(x_batch_id::text, 'null');
    end if;
    return v_sql;
end
$$;

-- pgq.batch_event_tables(x_batch_id): the tables that hold the events of a batch: every event table of its queue.
-- Result: setof text. Errors: Cannot find data for batch N. Tables touched: reads subscription, queue.
create or replace function pgq.batch_event_tables(x_batch_id bigint) returns setof text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query select pgq._event_tables(q.queue_data_pfx, q.queue_ntables)
                   from pgq._subscription_of(x_batch_id) s join pgq.queue q on q.queue_id = s.sub_queue
                  where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'Cannot find data for batch %', x_batch_id;
    end if;
end
$$;
