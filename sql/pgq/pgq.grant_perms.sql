-- pgq.grant_perms(x_queue_name): rights on a queue's tables and sequences: pgq_reader reads, pgq_admin also inserts
-- (for bulk loads into current_event_table()), but not where tables are captured into the queue: events of capture's types are
-- what subscribers do, and insert_event(), insert_events() and insert_event_raw() refuse those types, where an INSERT would not.
-- Writers need no right on tables: insert_event() is SECURITY DEFINER.
--
-- The right is taken under a lock that waits for whoever has used it and has not committed: such an event would come behind the
-- table's shape, and be taken for capture's. It waits no longer than the session's lock_timeout; who captures
-- a table tries again.
-- Result: 1. Errors: no such queue; 55P03, as above. Tables touched: grants on the event tables and sequences.
create or replace function pgq.grant_perms(x_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_table text;
    v_captures bool;
begin
    select * into v_queue from pgq.queue q where q.queue_name = x_queue_name;
    if not found then
        raise exception 'Queue not found' using detail = coalesce(x_queue_name, 'null');
    end if;
    -- Whether the function exists that writes capture's events into this queue; it is made with the first captured table.
    v_captures := to_regproc(format('trunkline.put_%s', v_queue.queue_id)) is not null;
    for v_table in select v_queue.queue_data_pfx
                   union all select pgq._event_tables(v_queue.queue_data_pfx, v_queue.queue_ntables) loop
        execute format('revoke all on table %s from public', v_table);
        execute format('grant select on table %s to pgq_reader', v_table);
        execute format('grant select on table %s to pgq_admin', v_table);
        if not v_captures then
            execute format('grant insert on table %s to pgq_admin', v_table);
        elsif has_table_privilege('pgq_admin', v_table, 'insert') then
            execute format('lock table only %s in share row exclusive mode', v_table);
            execute format('revoke insert on table %s from pgq_admin', v_table);
        end if;
    end loop;
    execute format('grant select on sequence %s, %s to public', v_queue.queue_event_seq, v_queue.queue_tick_seq);
    execute format('grant usage on sequence %s to pgq_admin', v_queue.queue_event_seq);
    return 1;
end
$$;
