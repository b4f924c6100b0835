-- Function trunkline.fence(i_queue, i_reason, i_read_only): has a provider take no more writes of the set's tables, and
-- makes the tick that shows all that it took: the final one. One transaction does all of it or nothing.
--
-- A call waits a moment only (trunkline.close_tables): who wants the fence calls it again until it gets it. Everybody
-- who is in the midst of a statement or transaction that wrote is waited for; who writes afterwards gets 25006, in a
-- transaction of any isolation. A node that has no role is made the first provider of its set before. One that is
-- fenced is looked at again: where a trigger is not on any more, or something was written after the final tick, all is
-- done anew, with another final tick. Not kept
-- out: sessions with session_replication_role = replica, owners who disable the trigger, nextval(), DDL, and tables
-- that are not captured into the queue.
--
-- Arguments: i_read_only also switches default_transaction_read_only of the database on (trunkline.follow_read_only);
-- null: as the role's row says, from a fence or a role before.
-- Result: done (false: it was fenced), the final tick (epoch, tick_id, tick_tag, tick_time), how many tables with their
-- partitions, and whether the database says read-only now.
-- Errors: 25001 outside READ COMMITTED; 42704 no such queue; 55000 the node is no provider; 42501, 55006 as
-- trunkline.fence_obstacles says; 55P03 somebody writes, or another command is at it: the detail names who.
-- Tables: writes trunkline.role, history, node and event, pgq.queue, pgq.tick; makes and switches triggers;
-- alters the database.
-- Users: the schema's owner, who may grant EXECUTE. Whoever has it can stop all writes of the applications.
create or replace function trunkline.fence(
    i_queue text, i_reason text default null, i_read_only bool default true,
    out done bool, out epoch bigint, out tick_id bigint, out tick_tag bigint, out tick_time timestamptz,
    out tables int4, out read_only bool)
returns record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
set lock_timeout = '300 ms'
as $$
#variable_conflict use_column
declare
    v_role     trunkline.role;
    v_obstacle record;
    v_epoch    bigint;
    v_tick     bigint;
    v_before   text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a fence is made in READ COMMITTED transactions only' using errcode = '25001',
            hint = 'Its final tick must show all that was committed before.';
    end if;
    v_before := trunkline.rest_event_triggers();
    perform trunkline.begin_set(i_queue);
    v_role := trunkline.hold_role(i_queue);
    if trunkline.is_copy() or v_role.role not in ('provider', 'fenced') then
        raise exception 'this node is no provider of queue %: it is a %', quote_literal(i_queue),
                case when trunkline.is_copy() then 'copy that was restored elsewhere' else v_role.role end
            using errcode = '55000',
            hint = case when trunkline.is_copy() then 'If it is the node that it was: select trunkline.keep_identity().'
                        else 'Writes are taken by another node.' end;
    end if;
    if v_role.role = 'fenced' and trunkline.still_fenced(i_queue, v_role.final_tick_id) then
        done := false;
    elsif v_role.role = 'fenced' and exists (
              select from trunkline.history h
               where h.queue_name = i_queue and h.term > v_role.term and h.old_epoch = v_role.final_epoch) then
        -- Another node has gone on from a tick of this log: where the log ends is not to be changed any more.
        update trunkline.role r set toggled_by = txid_current() where r.queue_name = i_queue;
        perform trunkline.close_tables(i_queue);
        update trunkline.role r set toggled_by = null where r.queue_name = i_queue;
        done := false;
    else
        select * into v_obstacle from trunkline.fence_obstacles(i_queue);
        if found then
            raise exception 'queue % cannot be fenced: %', i_queue, v_obstacle.reason
                using errcode = v_obstacle.code, hint = v_obstacle.hint;
        end if;
        update trunkline.role r set toggled_by = txid_current() where r.queue_name = i_queue;
        perform trunkline.close_tables(i_queue);
        update pgq.queue q set queue_disable_insert = true where q.queue_name = i_queue;
        select q.queue_epoch into v_epoch from pgq.queue q where q.queue_name = i_queue for no key update;
        select pgq._insert_tick(q, null, null, null) into v_tick from pgq.queue q where q.queue_name = i_queue;
        update trunkline.role r
           set role = 'fenced', since = clock_timestamp(), reason = i_reason, set_by = session_user,
               read_only = coalesce(i_read_only, v_role.read_only), inserts_disabled = v_role.inserts_disabled,
               final_epoch = v_epoch, final_tick_id = v_tick, final_tick_tag = t.tick_tag,
               final_tick_time = t.tick_time, opening = false, toggled_by = null
          from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue
         where r.queue_name = i_queue and q.queue_name = i_queue and t.tick_id = v_tick;
        perform trunkline.tell_event(i_queue, 'fenced', true, i_reason, null);
        -- The ticker goes on, and no tick after the final one is anybody's place.
        update pgq.queue q set queue_ends_at = v_tick where q.queue_name = i_queue;
        done := true;
    end if;
    read_only := trunkline.follow_read_only();
    perform trunkline.wake_event_triggers(v_before);
    select count(*) into tables from trunkline.levels(i_queue);
    select r.final_epoch, r.final_tick_id, r.final_tick_tag, r.final_tick_time into epoch, tick_id, tick_tag, tick_time
      from trunkline.role r where r.queue_name = i_queue;
end
$$;
revoke all on function trunkline.fence(text, text, bool) from public;

-- Function trunkline.still_fenced(i_queue, i_final_tick): whether a fence holds: all triggers are on, and the final tick shows
-- all that was written. An owner may have switched triggers off, written, and switched them on again.
create or replace function trunkline.still_fenced(i_queue text, i_final_tick bigint) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return not exists (
               select from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) is distinct from 'O')
       and (select u.is_known and u.oldest is null from trunkline.unapplied(i_queue, i_final_tick) u);
end
$$;
revoke all on function trunkline.still_fenced(text, bigint) from public;

-- Function trunkline.hold_role(i_queue): this node's row for a set, locked until the transaction ends, with
-- inserts_disabled as the queue has it while the node is provider. The table is locked, too: whoever brings a table or a
-- partition reads the row FOR SHARE (trunkline.make_deny), which locks nothing where there was no row yet. Errors: 55P03
-- another command holds it; 42704 the node has no role.
create or replace function trunkline.hold_role(i_queue text) returns trunkline.role
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_role trunkline.role;
begin
    lock table trunkline.role in exclusive mode;
    select * into v_role from trunkline.role r where r.queue_name = i_queue for update;
    if not found then
        raise exception 'this node has no role in a set of queue %', quote_literal(i_queue) using errcode = '42704';
    end if;
    if v_role.role = 'provider' then
        select q.queue_disable_insert into v_role.inserts_disabled from pgq.queue q where q.queue_name = i_queue;
    end if;
    return v_role;
exception when lock_not_available then
    raise exception 'the role of queue % is being used by another command', quote_literal(i_queue)
        using errcode = '55P03', detail = coalesce((
            select string_agg(b.what, '; ') from trunkline.blockers('trunkline.role'::regclass, array['RowShareLock']) b),
            'Whoever held it has let go meanwhile.'),
        hint = 'A fence, or a transaction that adds a table or a partition. Try again.';
end
$$;
revoke all on function trunkline.hold_role(text) from public;
