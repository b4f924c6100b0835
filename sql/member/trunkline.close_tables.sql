-- Function trunkline.close_tables(i_queue): locks all tables of a set against writers and switches their deny triggers
-- on, for trunkline.fence, whose transaction it is a part of.
--
-- The lock is what makes it whole: it is granted when every writer of the table has ended, and whoever gets the table
-- afterwards sees the trigger, whatever its snapshot. A flag in a row would not do: a REPEATABLE READ writer with an
-- older snapshot does not see it, and commits after the final tick. The lock waits in all for 300 ms, and half a
-- millisecond for each table, because every writer of the tables that are locked already waits meanwhile. With long
-- waits, and with a deadlock_timeout of any length, the application is the deadlock's victim; with short ones the fence
-- lets go, and its caller tries again. Autovacuum gives way after deadlock_timeout, which is therefore made 100 ms;
-- where this function's owner may not do that, and such a worker is what blocks, the wait is 1.5 s.
--
-- Result: how many tables. Errors: 55P03 names the table and who holds it; all locks are let go. Tables: makes and
-- switches triggers.
-- Users must not: it is a part of trunkline.fence.
create or replace function trunkline.close_tables(i_queue text) returns int4
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- What is set below goes back at the end.
set lock_timeout = '300 ms'
as $$
declare
    v_levels oid[] := array(select l.table_oid from trunkline.levels(i_queue) l
                             order by l.root_oid, l.level, l.table_oid);
    v_table  oid;
    v_wait   interval := interval '300 ms' + array_length(v_levels, 1) * interval '0.5 ms';
    v_once   interval := interval '300 ms';
    v_until  timestamptz;
    v_who    text;
begin
    begin
        perform set_config('deadlock_timeout', '100ms', true);
    exception when insufficient_privilege then
        if exists (select from unnest(v_levels) v (oid) cross join lateral trunkline.blockers(v.oid) b
                    where b.is_autovacuum) then
            v_once := interval '1.5 s';
            v_wait := greatest(v_wait, v_once);
        end if;
    end;
    v_until := clock_timestamp() + v_wait;
    begin
        foreach v_table in array v_levels loop
            perform set_config('lock_timeout', trunkline.milliseconds_until(least(v_until, clock_timestamp() + v_once)), true);
            execute format('lock table only %s in share row exclusive mode', v_table::regclass);
        end loop;
    exception when lock_not_available or deadlock_detected then
        v_who := (select string_agg(b.what, '; ') from (select b.what from trunkline.blockers(v_table) b limit 5) b);
        raise exception 'table % is in use', v_table::regclass using errcode = '55P03',
            detail = coalesce(v_who, 'Whoever held it has let go meanwhile.'),
            hint = 'Try again, or end that session: select pg_terminate_backend(pid).';
    end;
    -- Without event triggers nobody brings the deny trigger to a partition that came while we waited.
    if exists (select from trunkline.levels(i_queue) l where not l.table_oid = any (v_levels)) then
        raise exception 'tables of queue % have got partitions', quote_literal(i_queue) using errcode = '55P03',
            detail = 'They came while the locks were waited for.', hint = 'Try again.';
    end if;
    foreach v_table in array v_levels loop
        perform trunkline.switch_deny_on(i_queue, v_table);
    end loop;
    return coalesce(array_length(v_levels, 1), 0);
end
$$;
revoke all on function trunkline.close_tables(text) from public;

-- Function trunkline.milliseconds_until(i_time): a time limit that ends then, as a setting; 1 ms at least, as 0 is none.
create or replace function trunkline.milliseconds_until(i_time timestamptz) returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select greatest(1, ceil(1000 * extract(epoch from i_time - clock_timestamp())))::int4::text;
$$;
revoke all on function trunkline.milliseconds_until(timestamptz) from public;
