-- Function trunkline.open_tables(i_queue): switches the deny triggers of a provider's tables off, as many as it gets
-- the locks of in 300 ms; those of tables that left the set while it was fenced are dropped. To be called until none is
-- left: by the command that made this node the provider, and by the ticker's upkeep, should that command be killed. A
-- VACUUM of one table delays that table and no other.
--
-- Result: how many tables are left; 0 too where this node is not the provider. Errors: 25001 outside READ COMMITTED;
-- 55P03 somebody else is at it. Tables: writes trunkline.role; switches and drops triggers. Users: the schema's owner,
-- who may grant EXECUTE.
create or replace function trunkline.open_tables(i_queue text) returns int4
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
        raise exception 'tables are opened in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    update trunkline.role r set toggled_by = txid_current()
     where r.queue_name = i_queue and r.role = 'provider' and r.opening;
    if not found then
        return 0;
    end if;
    v_before := trunkline.rest_event_triggers();
    for v_table in
        select l.root_oid, l.level, l.table_oid as oid, true as is_of_set from trunkline.levels(i_queue) l
         where trunkline.deny_state(l.table_oid) <> 'D'
        union all
        select d.oid, 0, d.oid, false from trunkline.denied(i_queue) d
         where d.oid not in (select l.table_oid from trunkline.levels(i_queue) l)
         order by 1, 2, 3
    loop
        begin
            perform set_config('lock_timeout', trunkline.milliseconds_until(v_until), true);
            execute format(case when v_table.is_of_set then 'alter table only %s disable trigger deny_trunkline'
                                else 'drop trigger deny_trunkline on %s' end, v_table.oid::regclass);
        exception when lock_not_available or deadlock_detected then
            v_left := v_left + 1;
        end;
    end loop;
    update trunkline.role r set toggled_by = null, opening = v_left > 0 where r.queue_name = i_queue;
    perform trunkline.wake_event_triggers(v_before);
    return v_left;
end
$$;
revoke all on function trunkline.open_tables(text) from public;
