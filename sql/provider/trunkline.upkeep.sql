-- Function trunkline.upkeep(i_thorough bool): keeps capture in step with the tables where no event trigger
-- does, and forgets shapes that no event can name any more. To be called now and then by the ticker, outside
-- of any transaction of its own.
--
-- A captured table whose plan or partitions are not what its functions were made from is refreshed, at most 200 ms behind
-- its writers' locks; one that is locked longer waits for the next call. Where event triggers are at work
-- there is nothing to find but what they could not do (trunkline.refresh_later). A table that fails does not
-- stop the others.
-- Tables of a set whose node has just become the provider are opened for writes (trunkline.open_tables).
-- Shapes: after a shape is committed, transactions with numbers not given out yet can only write it or newer ones; once the queue
-- has given away all events of transactions before, the table's older shapes are named by none.
-- Form: of tables whose choice is auto, the triggers come to be those that suit what their transactions write
-- (trunkline.suit_forms).
-- Arguments: i_thorough false: only what can be seen by a look at each table's fingerprint and partitions, and where event
-- triggers are at work only what they have left; cheap enough for every few seconds.
-- Writers: where a job's list has changed, or a table its name, the triggers come to fire for what replay writes
-- here, or do not any more (trunkline.set_writers). Where that fails, replay does not write the table, and says why.
-- Result: what was done, a line each; none: nothing. Errors: 25001 outside READ COMMITTED.
-- Tables: reads and writes trunkline.captured, trunkline.captured_part, trunkline.shape; logs events. Users: pgq_admin.
create or replace function trunkline.upkeep(i_thorough bool default true) returns setof text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
set lock_timeout = '200 ms'
as $$
declare
    v_queue    text;
    v_captured trunkline.captured;
    v_events   bool := trunkline.capture_mode() = 'events';
    v_late     oid[] := array(select l from trunkline.late_tables() l);
    v_pruned   bigint;
    v_table    oid;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'upkeep is done in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    -- A command that has made this node the provider may have been killed before it opened all tables.
    if to_regclass('trunkline.role') is not null then
        for v_queue in select r.queue_name from trunkline.role r where r.opening order by r.queue_name loop
            begin
                if trunkline.open_tables(v_queue) = 0 then
                    return next format('queue %s: all its tables take writes', v_queue);
                end if;
            exception when lock_not_available then
                null;
            when others then
                raise warning 'tables of queue % could not be opened for writes: %', v_queue, sqlerrm;
            end;
        end loop;
    end if;
    for v_table in select w from trunkline.outdated_writers() w loop
        begin
            if trunkline.set_writers(v_table) then
                return next format('%s has other writers', v_table::regclass);
            end if;
        exception when lock_not_available or insufficient_privilege or feature_not_supported or object_not_in_prerequisite_state then
            null;
        end;
    end loop;
    for v_captured in
        select c.* from trunkline.captured c
         where c.dropped_at is null
           and (i_thorough or not v_events or c.table_oid = any (v_late) or c.problem is distinct from c.plan ->> 'problem')
         order by c.table_oid
    loop
        begin
            if not exists (select from pg_class c where c.oid = v_captured.table_oid) then
                perform trunkline.note_drop(v_captured);
                return next format('%I.%I was dropped', v_captured.schema_name, v_captured.table_name);
            elsif v_captured.table_oid = any (v_late) or v_captured.problem is distinct from v_captured.plan ->> 'problem'
               or (v_captured.plan ->> 'fingerprint' is null and not v_events)
               or (i_thorough and v_captured.plan <> trunkline.capture_plan(v_captured.table_oid, v_captured.plan))
               or v_captured.plan ->> 'fingerprint' <> trunkline.fingerprint(v_captured.table_oid, (v_captured.plan ->> 'key_index')::oid)
               or trunkline.parts_differ(v_captured.table_oid) then
                if trunkline.refresh_late(v_captured.table_oid) then
                    return next format('%I.%I has changed', v_captured.schema_name, v_captured.table_name);
                end if;
            elsif v_captured.file_nodes is distinct from trunkline.file_nodes(v_captured.table_oid) then
                update trunkline.captured c set file_nodes = trunkline.file_nodes(c.table_oid) where c.table_oid = v_captured.table_oid;
            end if;
        exception when others then
            update trunkline.captured c set problem = format('its capture could not be looked after: %s', sqlerrm)
             where c.table_oid = v_captured.table_oid and sqlstate <> '55P03';
        end;
    end loop;
    if not i_thorough then
        return;
    end if;
    begin
        perform trunkline.drop_functions(c.table_oid) from trunkline.captured c where c.dropped_at is not null;
    exception when others then
        raise warning 'functions of dropped tables: %', sqlerrm;
    end;
    update trunkline.shape s set after_txid = txid_snapshot_xmax(txid_current_snapshot())
      from trunkline.captured c
     where c.shape_id = s.shape_id and s.after_txid is null;
    delete from trunkline.shape s
     using trunkline.shape n, pgq.queue q
     where n.table_oid = s.table_oid and n.queue_id = s.queue_id and n.shape_id > s.shape_id
       and q.queue_id = n.queue_id and n.after_txid <= q.queue_tick_txid;
    get diagnostics v_pruned = row_count;
    if v_pruned > 0 then
        return next format('%s shapes that nothing names any more', v_pruned);
    end if;
    return query select trunkline.suit_forms();
end
$$;
revoke all on function trunkline.upkeep(bool) from public;
grant execute on function trunkline.upkeep(bool) to pgq_admin;
