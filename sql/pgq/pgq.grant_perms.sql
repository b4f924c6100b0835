-- pgq.grant_perms(x_queue_name): rights on a queue's tables and sequences: pgq_reader reads, pgq_admin also inserts
-- (for bulk loads into current_event_table()). Writers need no right on tables: insert_event() is SECURITY DEFINER.
-- Result: 1. Errors: no such queue. Tables touched: grants on the event tables and sequences.
create or replace function pgq.grant_perms(x_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_table text;
begin
    select * into v_queue from pgq.queue q where q.queue_name = x_queue_name;
    if not found then
        raise exception 'Queue not found' using detail = coalesce(x_queue_name, 'null');
    end if;
    for v_table in select v_queue.queue_data_pfx
                   union all select pgq._event_tables(v_queue.queue_data_pfx, v_queue.queue_ntables) loop
        execute format('revoke all on table %s from public', v_table);
        execute format('grant select on table %s to pgq_reader', v_table);
        execute format('grant select, insert on table %s to pgq_admin', v_table);
    end loop;
    execute format('grant select on sequence %s, %s to public', v_queue.queue_event_seq, v_queue.queue_tick_seq);
    execute format('grant usage on sequence %s to pgq_admin', v_queue.queue_event_seq);
    return 1;
end
$$;
