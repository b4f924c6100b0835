-- Function trunkline.remove_table(i_queue, i_consumer, i_schema, i_name, i_oid): a consumer does not want a table any more.
--
-- The last consumer's call drops the functions and with them the triggers, which takes ACCESS EXCLUSIVE on the table
-- for a moment: the caller sets lock_timeout and tries again (55P03). Works for a table that is gone, too. The functions
-- are dropped, not the triggers: who has made a trigger by the right TRIGGER may not drop it, but may drop its function.
-- The deny trigger of a fenced provider stays until the fence is taken away.
--
-- i_oid, if it is known, finds a table that was renamed; the name is for one that nobody knows the oid of.
-- Result: false if the consumer did not have the table.
-- Tables: writes trunkline.captured and trunkline.shape; logs an event; drops functions and triggers. Users: pgq_admin.
create or replace function trunkline.remove_table(
    i_queue text, i_consumer text, i_schema text, i_name text, i_oid oid default null)
returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_captured trunkline.captured;
    v_table    regclass;
    v_left     text[];
    v_stays    bool := false;
begin
    select c.* into v_captured
      from trunkline.captured c
      join pgq.queue q on q.queue_id = c.queue_id
     where q.queue_name = i_queue and i_consumer = any (c.consumers)
       and case when i_oid is not null then c.table_oid = i_oid
                else c.table_oid = to_regclass(format('%I.%I', i_schema, i_name))
                     or (c.schema_name = i_schema and c.table_name = i_name) end
     order by (c.table_oid = to_regclass(format('%I.%I', i_schema, i_name))) is true desc
     limit 1
       for update of c;
    if not found then
        return false;
    end if;
    v_left := trunkline.consumers_left(i_queue, v_captured.consumers, i_consumer);
    if v_left <> '{}' then
        update trunkline.captured c set consumers = v_left where c.table_oid = v_captured.table_oid;
        return true;
    end if;
    -- The row first: the event trigger must not take this for somebody's theft of triggers.
    delete from trunkline.captured c where c.table_oid = v_captured.table_oid;
    -- Rows that are written from here on are in no event. A subscriber that was restored from an earlier backup, in which the
    -- table was ok, must not read over that gap to the events of a later capture.
    if v_captured.dropped_at is null then
        perform trunkline.log_shape(v_captured.queue_id,
            v_captured.plan || jsonb_build_object('problem', 'its capture was ended'), null, false);
    end if;
    -- A table that leaves a set takes writes again. One of a fenced provider stays closed: the last subscriber has mostly
    -- become the place where the application writes, and a row that was written here would be lost in silence.
    -- trunkline.open_tables takes its trigger away, and trunkline.leave_set where the queue is dropped.
    if to_regclass('trunkline.role') is not null then
        perform from trunkline.role r where r.queue_name = i_queue and r.role = 'fenced' for share;
        v_stays := found;
    end if;
    for v_table in
        select t.tgrelid::regclass from pg_trigger t
         where not v_stays and t.tgname = 'deny_trunkline' and t.tgfoid = to_regprocedure('trunkline.deny()')
           and t.tgrelid in (select v_captured.table_oid union all
                             select p.part_oid from trunkline.parts(v_captured.table_oid) p)
    loop
        execute format('drop trigger deny_trunkline on %s', v_table);
    end loop;
    perform trunkline.drop_functions(v_captured.table_oid);
    return true;
end
$$;
revoke all on function trunkline.remove_table(text, text, text, text, oid) from public;
grant execute on function trunkline.remove_table(text, text, text, text, oid) to pgq_admin;

-- Function trunkline.consumers_left(i_queue, i_consumers, i_consumer): who wants a table or sequence still, when a consumer does
-- not. The set ('*') wants it for itself only where this node waits to become the provider, or to come back: else capture is for
-- those who follow. Tables: reads role.
create or replace function trunkline.consumers_left(i_queue text, i_consumers text[], i_consumer text) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_left text[] := array_remove(i_consumers, i_consumer);
begin
    if v_left <> '{*}' then
        return v_left;
    elsif to_regclass('trunkline.role') is not null then
        if exists (select from trunkline.role r where r.queue_name = i_queue and r.role in ('standby', 'fenced')) then
            return v_left;
        end if;
    end if;
    return '{}';
end
$$;
revoke all on function trunkline.consumers_left(text, text[], text) from public;
