-- pgq.drop_queue(i_queue_name, i_force): drops a queue with its tables.
-- Result: 1. Errors: No such event queue; cannot drop queue, consumers still attached (without i_force); cannot drop
-- queue, tables are captured into it (their names in the detail), whose writers would fail without it.
-- Tables touched: deletes from queue, tick, subscription, retry_queue, consumer; drops the queue's objects.
create or replace function pgq.drop_queue(x_queue_name text, x_force bool) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue    pgq.queue;
    v_consumer text;
    v_table    text;
    v_captured text;
begin
    select * into v_queue from pgq.queue q where q.queue_name = x_queue_name for update;
    if not found then
        raise exception 'No such event queue' using detail = coalesce(x_queue_name, 'null');
    end if;
    if to_regclass('trunkline.captured') is not null then
        execute 'select string_agg(format(''%I.%I'', c.schema_name, c.table_name), '', '' order by 1) '
                'from trunkline.captured c where c.queue_id = $1' into v_captured using v_queue.queue_id;
        if v_captured is not null then
            raise exception 'cannot drop queue, tables are captured into it' using errcode = '55006',
                detail = format('%s: %s', x_queue_name, v_captured),
                hint = 'End that first, for each consumer: replay remove --all, or trunkline.remove_table().';
        end if;
    end if;
    if x_force then
        for v_consumer in select c.co_name from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
                           where s.sub_queue = v_queue.queue_id order by 1 loop
            perform pgq.unregister_consumer(x_queue_name, v_consumer);
        end loop;
    elsif exists (select from pgq.subscription s where s.sub_queue = v_queue.queue_id) then
        raise exception 'cannot drop queue, consumers still attached' using detail = x_queue_name;
    end if;
    for v_table in select pgq._event_tables(v_queue.queue_data_pfx, v_queue.queue_ntables) loop
        execute format('drop table %s', v_table);
    end loop;
    execute format('drop table %s', v_queue.queue_data_pfx);
    execute format('drop sequence %s, %s', v_queue.queue_tick_seq, v_queue.queue_event_seq);
    delete from pgq.retry_queue r where r.ev_queue = v_queue.queue_id;
    delete from pgq.tick t where t.tick_queue = v_queue.queue_id;
    delete from pgq.queue q where q.queue_id = v_queue.queue_id;
    return 1;
end
$$;

-- pgq.drop_queue(x_queue_name): the same, refused while consumers are attached.
create or replace function pgq.drop_queue(x_queue_name text) returns int4
language sql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq.drop_queue(x_queue_name, false) $$;
