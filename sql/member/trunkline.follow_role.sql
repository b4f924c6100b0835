-- Function trunkline.follow_role(i_queue): makes the deny triggers of a standby's tables what its role asks, as many as it
-- gets the locks of in 300 ms: on for each table and partition that replay brings, gone from those that left. Called by
-- replay now and then, and after a table is added.
-- Result: how many tables are left; 0 too where this node is no standby. Errors: 25001 outside READ COMMITTED; 42501 a
-- table whose owner this function's owner may not act as; 55P03 somebody else is at it.
-- Tables: writes trunkline.role; makes, switches and drops triggers. Users: the schema's owner.
create or replace function trunkline.follow_role(i_queue text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
set lock_timeout = '300 ms'
as $$
declare
    v_until timestamptz := clock_timestamp() + interval '300 ms';
    v_table record;
    v_left  int4 := 0;
    v_before text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'roles are followed in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    if not exists (select from trunkline.role r where r.queue_name = i_queue and r.role = 'standby') then
        return 0;
    end if;
    if trunkline.stands_as_asked(i_queue) then
        return 0;
    end if;
    -- Held to the end: a node that is made a plain subscriber meanwhile must not get another trigger.
    perform from trunkline.role r where r.queue_name = i_queue and r.role = 'standby' for no key update;
    if not found then
        return 0;
    end if;
    v_before := trunkline.rest_event_triggers();
    for v_table in
        select l.table_oid as oid, true as is_of_set
          from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) is distinct from 'O'
        union all
        select d.oid, false from trunkline.denied(i_queue) d
         where d.oid not in (select l.table_oid from trunkline.levels(i_queue) l)
    loop
        begin
            update trunkline.role r set toggled_by = txid_current()
             where r.queue_name = i_queue and r.role = 'standby' and r.toggled_by is null;
            perform set_config('lock_timeout', trunkline.milliseconds_until(v_until), true);
            if v_table.is_of_set then
                perform trunkline.switch_deny_on(i_queue, v_table.oid);
            else
                execute format('drop trigger deny_trunkline on %s', v_table.oid::regclass);
            end if;
        exception when lock_not_available or deadlock_detected then
            v_left := v_left + 1;
        end;
    end loop;
    update trunkline.role r set toggled_by = null where r.queue_name = i_queue and r.toggled_by is not null;
    perform trunkline.wake_event_triggers(v_before);
    return v_left;
end
$$;
revoke all on function trunkline.follow_role(text) from public;

-- Function trunkline.stands_as_asked(i_queue): whether just the tables of the set have a deny trigger, switched on. Nothing
-- is locked or written while there is nothing to do.
create or replace function trunkline.stands_as_asked(i_queue text) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return not exists (
               select from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) is distinct from 'O')
       and not exists (
               select from trunkline.denied(i_queue) d
                where d.oid not in (select l.table_oid from trunkline.levels(i_queue) l));
end
$$;
revoke all on function trunkline.stands_as_asked(text) from public;

-- Function trunkline.denied(i_queue): the tables that have a deny trigger of this queue.
create or replace function trunkline.denied(i_queue text, out oid oid) returns setof oid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select t.tgrelid from pg_trigger t
     where t.tgname = 'deny_trunkline' and t.tgfoid = 'trunkline.deny()'::regprocedure
       and t.tgargs = convert_to(i_queue, getdatabaseencoding()) || '\x00'::bytea;
$$;
revoke all on function trunkline.denied(text) from public;
