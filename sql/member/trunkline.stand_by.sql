-- Function trunkline.stand_by(i_queue, i_term, i_read_only): makes this node, into which replay brings the tables of a queue, a
-- standby of the set: ordinary sessions do not write these tables any more. The triggers follow (trunkline.follow_role).
--
-- Arguments: i_term the provider's; i_read_only also switches default_transaction_read_only of the database on.
-- Result: whether it was none before. Errors: 42501 a table whose owner this function's owner may not act as; 55000 replay
-- does not bring this queue's tables, or the node is something else in the set.
-- Tables: writes trunkline.role, node and event; alters the database. Users: the schema's owner.
create or replace function trunkline.stand_by(i_queue text, i_term bigint, i_read_only bool default true) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_role     text;
    v_obstacle record;
    v_new      bool;
begin
    if not trunkline.follows(i_queue) then
        raise exception 'replay brings no tables of queue % into this database', quote_literal(i_queue)
            using errcode = '55000', hint = 'Run: replay install';
    end if;
    insert into trunkline.role (queue_name, role, term, read_only) values (i_queue, 'standby', i_term, i_read_only)
        on conflict do nothing;
    v_new := found;
    select r.role into v_role from trunkline.my_role(i_queue) r;
    if v_role <> 'standby' then
        raise exception 'this node is % of queue %, and no standby', v_role, quote_literal(i_queue) using errcode = '55000';
    end if;
    update trunkline.role r set term = greatest(r.term, i_term), read_only = i_read_only
     where r.queue_name = i_queue and (r.term < i_term or r.read_only <> i_read_only);
    -- A prepared transaction only delays a table.
    select * into v_obstacle from trunkline.fence_obstacles(i_queue) o where o.code in ('42501', '0A000');
    if found then
        raise exception 'this node cannot be a standby of queue %: %', quote_literal(i_queue), v_obstacle.reason
            using errcode = v_obstacle.code, hint = v_obstacle.hint;
    end if;
    perform trunkline.follow_read_only();
    if v_new then
        perform trunkline.tell_event(i_queue, 'standby_register', true, null, null);
    end if;
    return v_new;
end
$$;
revoke all on function trunkline.stand_by(text, bigint, bool) from public;

-- Function trunkline.leave_standby(i_queue): makes a standby a plain subscriber again, whose tables everybody may write who has
-- the rights. Waits for the locks of its tables, so the caller sets a lock_timeout and tries again (55P03).
-- Result: whether it was one. Tables: writes trunkline.role and trunkline.node; drops triggers; alters the database.
-- Users: the schema's owner.
create or replace function trunkline.leave_standby(i_queue text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
    v_table  oid;
    v_was    bool;
    v_before text;
    v_captured record;
begin
    delete from trunkline.role r where r.queue_name = i_queue and r.role = 'standby';
    v_was := found;
    if not v_was and exists (select from trunkline.role r where r.queue_name = i_queue) then
        return false;
    end if;
    v_before := trunkline.rest_event_triggers();
    for v_table in select d.oid from trunkline.denied(i_queue) d order by 1 loop
        execute format('drop trigger deny_trunkline on %s', v_table::regclass);
    end loop;
    for v_captured in select c.* from trunkline.captured_for_set(i_queue) c loop
        perform trunkline.remove_table(i_queue, '*', v_captured.schema_name, v_captured.table_name, v_captured.table_oid);
    end loop;
    perform trunkline.follow_read_only();
    perform trunkline.wake_event_triggers(v_before);
    return v_was;
end
$$;
revoke all on function trunkline.leave_standby(text) from public;

-- Function trunkline.captured_for_set(i_queue): the tables that are captured for the set. Tables: reads captured.
create or replace function trunkline.captured_for_set(
    i_queue text, out table_oid oid, out schema_name text, out table_name text)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if to_regclass('trunkline.captured') is not null then
        return query
            select c.table_oid, c.schema_name, c.table_name
              from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
             where q.queue_name = i_queue and '*' = any (c.consumers);
    end if;
end
$$;
revoke all on function trunkline.captured_for_set(text) from public;
