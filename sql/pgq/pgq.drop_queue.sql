-- pgq.drop_queue(i_queue_name, i_force): drops a queue with its tables.
-- Result: 1. Errors: No such event queue; cannot drop queue, consumers still attached (without i_force); cannot drop
-- queue, tables are captured into it (their names in the detail), whose writers would fail without it.
-- Tables touched: deletes from queue, tick, subscription, retry_queue, consumer; drops the queue's objects, and what
-- capture has made for it.
create or replace function pgq.drop_queue(x_queue_name text, x_force bool) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    v_queue    pgq.queue;
    v_consumer text;
    v_table    text;
    v_captured text;
    v_function regprocedure;
begin
    select * into v_queue from pgq.queue q where q.queue_name = x_queue_name;
    if not found then
        raise exception 'No such event queue' using detail = coalesce(x_queue_name, 'null');
    end if;
    if to_regclass('trunkline.captured') is not null then
        execute 'select string_agg(format(''%I.%I'', c.schema_name, c.table_name), '', '' '
                'order by c.schema_name, c.table_name) '
                'from trunkline.captured c where c.queue_id = $1' into v_captured using v_queue.queue_id;
        if v_captured is not null then
            raise exception 'cannot drop queue, tables are captured into it' using errcode = '55006',
                detail = format('%s: %s', x_queue_name, v_captured),
                hint = 'End that first: replay remove --all for each subscriber, or trunkline capture drop QUEUE --all for '
                       'those that are gone. trunkline queue drop --force ends all of it.';
        end if;
    end if;
    perform pgq._lock_queue(v_queue);
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
    for v_function in select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                       where n.nspname = 'trunkline'
                         and p.proname in ('put_' || v_queue.queue_id, 'current_table_' || v_queue.queue_id) loop
        execute format('drop function %s', v_function);
    end loop;
    execute format('drop sequence %s, %s', v_queue.queue_tick_seq, v_queue.queue_event_seq);
    delete from pgq.retry_queue r where r.ev_queue = v_queue.queue_id;
    delete from pgq.tick t where t.tick_queue = v_queue.queue_id;
    delete from pgq.queue q where q.queue_id = v_queue.queue_id;
    -- What this node was in the set of the queue's name. Only a function of our own is called from here.
    if exists (select from pg_proc p where p.oid = to_regprocedure('trunkline.leave_set(text)')
                                       and pg_get_userbyid(p.proowner) = current_user) then
        execute 'select trunkline.leave_set($1)' using x_queue_name;
    end if;
    return 1;
end
$$;

-- pgq._lock_queue(i_queue): takes all locks that dropping a queue needs. Errors: lock_not_available, after ten seconds of
-- tries; No such event queue: somebody else dropped it. Tables touched: locks the queue's tables, sequences and row.
-- Writers, tickers and rotation hold these locks in orders of their own. Whatever is not to be had in 200 ms is let go
-- with all the others, so that nobody ever waits in a ring for a second, which is a deadlock to the server.
create or replace function pgq._lock_queue(i_queue pgq.queue) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    for i in 1 .. 40 loop
        begin
            -- LOCK takes no sequence. This changes nothing and holds nextval() off.
            execute format('alter sequence %s cache 1', i_queue.queue_event_seq);
            execute format('alter sequence %s cache 1', i_queue.queue_tick_seq);
            execute format('lock table %s in access exclusive mode', i_queue.queue_data_pfx);
            perform from pgq.queue q where q.queue_id = i_queue.queue_id for update;
            if not found then
                raise exception 'No such event queue' using detail = i_queue.queue_name;
            end if;
            return;
        exception
            when lock_not_available then
                if i = 40 then
                    raise exception 'queue % is in use', i_queue.queue_name using errcode = '55P03',
                        hint = 'Transactions that have written or read its events are open.';
                end if;
        end;
        perform pg_sleep(0.05);
    end loop;
end
$$;

-- pgq.drop_queue(x_queue_name): the same, refused while consumers are attached.
create or replace function pgq.drop_queue(x_queue_name text) returns int4
language sql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq.drop_queue(x_queue_name, false) $$;
