-- pgq.create_queue(i_queue_name): makes a queue with its tables, sequences and first tick.
-- Result: 1 made, 0 it was there. Errors: Invalid NULL value.
-- Tables touched: inserts into queue and tick; creates event_N, event_N_0 and on, event_N_id_seq, event_N_tick_seq.
create or replace function pgq.create_queue(i_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
    v_id    int4;
    v_pfx   text;
    v_queue pgq.queue;
begin
    if i_queue_name is null then
        raise exception 'Invalid NULL value';
    end if;
    if exists (select from pgq.queue q where q.queue_name = i_queue_name) then
        return 0;
    end if;
    v_id := nextval('pgq.queue_queue_id_seq');
    v_pfx := 'pgq.event_' || v_id;
    insert into pgq.queue (queue_id, queue_name, queue_data_pfx, queue_event_seq, queue_tick_seq)
    values (v_id, i_queue_name, v_pfx, v_pfx || '_id_seq', v_pfx || '_tick_seq')
    on conflict (queue_name) do nothing
    returning * into v_queue;
    if not found then
        return 0;
    end if;
    -- CACHE 1: between transactions the order of ev_id must be the order of the row locks.
    execute format('create sequence %s cache 1', v_queue.queue_event_seq);
    execute format('create sequence %s cache 1', v_queue.queue_tick_seq);
    execute format('create table %s () inherits (pgq.event_template)', v_pfx);
    for i in 0 .. v_queue.queue_ntables - 1 loop
        perform pgq._make_event_table(v_queue, i);
    end loop;
    perform pgq.grant_perms(i_queue_name);
    perform pgq.tune_storage(i_queue_name);
    perform pgq.ticker(i_queue_name);
    return 1;
end
$$;
