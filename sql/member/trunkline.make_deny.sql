-- Function trunkline.make_deny(i_queue, i_table oid): hangs the deny trigger on a table that joins a set, if the set's
-- node takes no writes. On a provider the trigger is made by the first fence, in the time that switching it on would
-- take. The role is read under a lock: a fence that comes at the same time waits for the table, or the table for the
-- fence.
-- Tables: locks the row of trunkline.role; makes a trigger. Users must not: it is a part of trunkline.make_triggers.
create or replace function trunkline.make_deny(i_queue text, i_table oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_role text;
begin
    select r.role into v_role from trunkline.role r where r.queue_name = i_queue for share;
    if v_role in ('fenced', 'standby') and trunkline.deny_state(i_table) is null then
        perform trunkline.create_deny(i_queue, i_table);
    end if;
end
$$;
revoke all on function trunkline.make_deny(text, oid) from public;

-- Function trunkline.create_deny(i_queue, i_table oid): makes the trigger, which is on from the start. Tables: makes a
-- trigger.
create or replace function trunkline.create_deny(i_queue text, i_table oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('create trigger deny_trunkline before insert or update or delete or truncate on %s '
                   'for each statement execute procedure trunkline.deny(%L)', i_table::regclass, i_queue);
end
$$;
revoke all on function trunkline.create_deny(text, oid) from public;

-- Function trunkline.deny_state(i_table oid): how the deny trigger of a table stands, as pg_trigger.tgenabled has it: O
-- on, D off, A and R what nobody of ours makes of it; ? is a trigger of that name with another function or for other
-- events; null: there is none.
create or replace function trunkline.deny_state(i_table oid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    -- 62 is BEFORE, for INSERT, UPDATE, DELETE and TRUNCATE, for each statement.
    return (select case when t.tgfoid = 'trunkline.deny()'::regprocedure and t.tgtype = 62 and t.tgqual is null
                        then t.tgenabled::text else '?' end
              from pg_trigger t where t.tgrelid = i_table and t.tgname = 'deny_trunkline');
end
$$;
revoke all on function trunkline.deny_state(oid) from public;

-- Function trunkline.switch_deny_on(i_queue, i_table oid): has a table refuse writes. Tables: makes or switches its trigger.
create or replace function trunkline.switch_deny_on(i_queue text, i_table oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    case trunkline.deny_state(i_table)
    when 'O' then
        null;
    when 'D', 'A', 'R' then
        execute format('alter table only %s enable trigger deny_trunkline', i_table::regclass);
    else
        execute format('drop trigger if exists deny_trunkline on %s', i_table::regclass);
        perform trunkline.create_deny(i_queue, i_table);
    end case;
end
$$;
revoke all on function trunkline.switch_deny_on(text, oid) from public;
