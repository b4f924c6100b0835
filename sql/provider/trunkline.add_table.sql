-- Function trunkline.add_table(i_queue, i_consumer, i_schema, i_name, i_identity, i_columns): captures a table for a consumer.
--
-- The first consumer's call makes the triggers, under SHARE ROW EXCLUSIVE: it waits for the writers of the moment no
-- longer than the session's lock_timeout, so the caller sets that short and tries again (55P03). Repeating it is harmless.
-- The table's shape goes into the queue before any of its rows. A partitioned table is captured with all its partitions.
--
-- Arguments: i_consumer its name; '*' is the set of the queue's name (trunkline.ready_table);
--            i_identity how rows are told apart: key (null says the same), full (by all columns) or insert-only;
--            i_columns the key, where it is not the one that the table says by itself.
--
-- Result: shape_id, and added: false if the consumer had the table already.
-- Errors: 42704 no such queue; 42P01 no such table; 0A000, 42501, 55000 as trunkline.refusal says, with a hint; 55000 this node
--         was the provider, and its log cannot begin anew yet (trunkline.begin_new_log);
--         25001 outside READ COMMITTED, whose snapshot could be older than the table's lock.
-- Tables: reads and writes trunkline.captured, trunkline.captured_part, trunkline.shape; creates functions
-- and triggers; logs an event. Users need SELECT and TRIGGER on the table and EXECUTE here (pgq_admin).
create or replace function trunkline.add_table(
    i_queue text,
    i_consumer text,
    i_schema text,
    i_name text,
    i_identity text default null,
    i_columns text[] default null,
    out shape_id bigint,
    out added bool)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_name      text := format('%I.%I', i_schema, i_name);
    v_oid       oid := to_regclass(v_name);
    v_ended     text;
    v_queue_id  int4;
    v_refusal   record;
    v_captured  trunkline.captured;
    v_plan      jsonb;
    v_wanted    jsonb;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'tables are added in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    if i_consumer is null then
        raise exception 'the consumer is null' using errcode = '22004';
    end if;
    select q.queue_id into v_queue_id from pgq.queue q where q.queue_name = i_queue for key share;
    if not found then
        raise exception 'queue % does not exist', quote_literal(i_queue) using errcode = '42704',
            hint = 'Make it with `replay install` or `ticker install`.';
    end if;
    v_ended := case when i_consumer <> '*' then trunkline.begin_new_log(i_queue) end;
    if v_ended is not null then
        raise exception 'table % cannot be followed from here yet: this node was the provider of queue %, and %',
                v_name, quote_literal(i_queue), v_ended
            using errcode = '55000', hint = 'Follow the provider of the set, or try again later.';
    end if;
    if v_oid is null then
        raise exception 'table % does not exist', v_name using errcode = '42P01',
            hint = 'Names are taken as they are, without folding to lower case.';
    end if;
    v_wanted := trunkline.wanted_identity(v_oid, i_identity, i_columns);
    -- Calls for the same table wait for each other: the first calls of two consumers would otherwise both make the triggers.
    perform pg_advisory_xact_lock(hashtext('trunkline.captured'), v_oid::bigint::bit(32)::int4);

    select * into v_captured from trunkline.captured c where c.table_oid = v_oid and c.dropped_at is null for update;
    if found then
        if v_captured.queue_id <> v_queue_id then
            raise exception 'table % is captured into another queue', v_name using errcode = '55000',
                hint = format('Remove it there first: queue %s.',
                              (select q.queue_name from pgq.queue q where q.queue_id = v_captured.queue_id));
        end if;
        added := i_consumer <> all (v_captured.consumers);
        if added then
            if (i_identity is not null or i_columns is not null) and (v_captured.plan -> 'identity' <> v_wanted -> 'identity'
                                           or v_captured.plan -> 'wanted' <> v_wanted -> 'wanted') then
                raise exception 'table % is captured with another identity', v_name using errcode = '55000',
                    hint = format('It is %s for %s: all consumers of a table have one.', v_captured.plan ->> 'identity',
                                  array_to_string(v_captured.consumers, ', '));
            end if;
            select * into v_refusal from trunkline.refusal(v_oid, v_captured.plan);
            if found then
                raise exception 'table % %', v_name, v_refusal.reason using errcode = v_refusal.code, hint = v_refusal.hint;
            end if;
            update trunkline.captured c set consumers = c.consumers || i_consumer where c.table_oid = v_oid;
            perform trunkline.set_writers(v_oid);
            perform trunkline.log_shape(v_queue_id, null, v_captured.shape_id, false);
        end if;
        shape_id := v_captured.shape_id;
        return next;
        return;
    end if;

    select * into v_refusal from trunkline.refusal(v_oid, v_wanted);
    if found then
        raise exception 'table % %', v_name, v_refusal.reason using errcode = v_refusal.code, hint = v_refusal.hint;
    end if;
    -- The first trigger takes the lock; what the functions are made from is read under it.
    perform trunkline.drop_triggers(v_oid);
    execute format('create or replace function trunkline.capture_%s_truncate() returns trigger language plpgsql as %L',
                   v_oid, 'begin return null; end');
    execute format('create trigger trunkline_truncate after truncate on %s for each statement '
                   'execute procedure trunkline.capture_%s_truncate()', v_name, v_oid);
    v_plan := trunkline.capture_plan(v_oid, v_wanted);
    if v_plan ->> 'problem' is not null or format('%I.%I', v_plan ->> 'schema', v_plan ->> 'name') <> v_name then
        raise exception 'table % was changed at the same time', v_name using errcode = '55006',
            detail = v_plan ->> 'problem', hint = 'Add it again.';
    end if;
    shape_id := trunkline.log_shape(v_queue_id, v_plan, null, false);
    perform trunkline.make_capture(v_queue_id, v_plan, shape_id);
    -- A dropped table's number may have come again.
    delete from trunkline.captured c where c.table_oid = v_oid;
    -- Read under the table's lock: a job that begins to write the table later finds it captured (trunkline.set_writers).
    insert into trunkline.captured (table_oid, queue_id, schema_name, table_name, shape_id, consumers, plan, file_nodes, writers, refreshing)
    values (v_oid, v_queue_id, i_schema, i_name, add_table.shape_id, array[i_consumer], v_plan, trunkline.file_nodes(v_oid),
            trunkline.logged_writers(v_queue_id, v_oid, array[i_consumer]), true);
    perform trunkline.make_triggers(v_oid, v_oid, v_plan ->> 'form');
    perform trunkline.add_parts(v_oid);
    update trunkline.captured c set refreshing = false where c.table_oid = v_oid;
    added := true;
    return next;
end
$$;
revoke all on function trunkline.add_table(text, text, text, text, text, text[]) from public;
grant execute on function trunkline.add_table(text, text, text, text, text, text[]) to pgq_admin;
