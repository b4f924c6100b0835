-- Function trunkline.set_writers(i_table oid): has capture of a table log what replay of this database writes to it,
-- or not any more, as the jobs' lists say now.
--
-- What replay writes as a replica fires no trigger but those that are ENABLE ALWAYS. So the triggers of a table that
-- a job writes are ENABLE ALWAYS: then the queue is the log of the table's rows, whoever writes them, and others can
-- follow this database as they follow any provider. They are put so before the first row is written: by add_table,
-- and by `replay add` where the table is captured already. Replay refuses to write a table whose triggers do not fire
-- for it (trunkline.acting_role).
-- Arguments: i_table the captured table, or a partition of it.
-- Result: whether anything was changed. Errors: those of trunkline.relay_refusal; 55P03, the caller sets lock_timeout.
-- Tables: locks the table in SHARE ROW EXCLUSIVE mode; writes trunkline.captured, and what end_writing writes. Users must not: a
-- table that is captured with triggers that do not fire is silent.
create or replace function trunkline.set_writers(i_table oid) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_root     oid := trunkline.captured_root(i_table);
    v_captured trunkline.captured;
    v_writers  text[];
    v_refusal  record;
begin
    select * into v_captured from trunkline.captured c where c.table_oid = v_root and c.dropped_at is null for update;
    v_writers := trunkline.logged_writers(v_captured.queue_id, v_root, v_captured.consumers);
    if v_captured.table_oid is null or v_writers = v_captured.writers then
        return false;
    end if;
    if not v_captured.writers <@ v_writers then
        perform trunkline.end_writing(v_captured, v_writers);
    end if;
    if (v_writers = '{}') = (v_captured.writers = '{}') then
        update trunkline.captured c set writers = v_writers where c.table_oid = v_root;
        return true;
    end if;
    select * into v_refusal from trunkline.relay_refusal(v_root, v_writers);
    if found then
        raise exception 'table % %', v_root::regclass, v_refusal.reason using errcode = v_refusal.code, hint = v_refusal.hint;
    end if;
    if v_writers = '{}' and v_captured.consumers = '{*}' and trunkline.stands_by(v_captured.queue_id) then
        -- What is written from here on is in no event. A subscriber that was restored from an earlier backup, in which the table
        -- was ok, must not read over that gap to the events of a later capture.
        perform trunkline.log_shape(v_captured.queue_id,
            v_captured.plan || jsonb_build_object('problem', 'its capture stands by'), null, false);
    end if;
    -- The event trigger must not take this for somebody's theft of triggers.
    update trunkline.captured c set writers = v_writers, refreshing = true where c.table_oid = v_root;
    perform trunkline.enable_triggers(t.part_oid, v_writers <> '{}')
       from (select v_root as part_oid, 0 as level union all select p.part_oid, p.level from trunkline.parts(v_root) p) t
      order by t.level, t.part_oid;
    update trunkline.captured c set refreshing = false where c.table_oid = v_root;
    return true;
end
$$;
revoke all on function trunkline.set_writers(oid) from public;

-- Function trunkline.end_writing(i_captured, i_writers): tells who follows a captured table that its rows are its own from
-- now on, because some of its writers are none of these any more. The rows of a node that has become the provider are those
-- of the log that it has read, up to the end of that log. For set_writers only, before it stores the new ones.
-- Tables: reads role; writes table_state; logs an event.
create or replace function trunkline.end_writing(i_captured trunkline.captured, i_writers text[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if not i_captured.writers <@ (i_writers || trunkline.promoted_consumer(i_captured.queue_id)) then
        perform trunkline.log_mark(i_captured.shape_id, 'own', '{}');
    end if;
    if trunkline.knows_writers() then
        -- Another table has the name by now: what was noted of this one is not of that.
        update trunkline.table_state s set logged_from = null, logged_txid = null, target_oid = null
         where s.target_oid = i_captured.table_oid and s.consumer <> all (i_writers);
    end if;
end
$$;
revoke all on function trunkline.end_writing(trunkline.captured, text[]) from public;

-- Function trunkline.promoted_consumer(i_queue): as what this node has read a queue until it became the provider of the queue's
-- set by a promotion; null: it did not. Tables: reads role.
create or replace function trunkline.promoted_consumer(i_queue int4) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.role') is null then
        return null;
    end if;
    return (select r.consumer from trunkline.role r join pgq.queue q on q.queue_name = r.queue_name
             where q.queue_id = i_queue and r.role in ('provider', 'fenced') and r.term > 1);
end
$$;
revoke all on function trunkline.promoted_consumer(int4) from public;

-- Function trunkline.enable_triggers(i_table oid, i_always bool): capture's triggers of one table, without its
-- partitions, fire in all sessions, or in ordinary ones only. A trigger that somebody has disabled stays so:
-- trunkline.plan_problem tells of it.
create or replace function trunkline.enable_triggers(i_table oid, i_always bool) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name    text;
    v_trigger name;
begin
    select format('%I.%I', n.nspname, c.relname) into v_name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = i_table;
    for v_trigger in
        select t.tgname from pg_trigger t
          join pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'trunkline'::regnamespace
         where t.tgrelid = i_table and left(t.tgname, 10) = 'trunkline_' and not t.tgisinternal
           and t.tgenabled = case when i_always then 'O' else 'A' end
         order by t.tgname
    loop
        execute format('alter table only %s enable %s trigger %I', v_name, case when i_always then 'always' end, v_trigger);
    end loop;
end
$$;
revoke all on function trunkline.enable_triggers(oid, bool) from public;
