-- Function trunkline.make_current_table(i_queue_id): makes or replaces trunkline.current_table_N, which gives
-- the number of the event table that capture writes queue N's events into.
--
-- It is IMMUTABLE and has no settings of its own, so that a plan holds its answer as a constant: the simple way, to
-- look at pgq.queue once a second and keep the answer in a setting, cost a tenth of what a captured row costs. To replace
-- it makes those plans invalid, as a change of a table would. A transaction that has not heard of it yet writes into
-- the table before, which harms nothing: readers look at every event table.
-- Result: none. Tables: reads pgq.queue; creates the function. Users must not: it is a part of trunkline.make_put.
create or replace function trunkline.make_current_table(i_queue_id int4) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('create or replace function trunkline.current_table_%s() returns int4 language sql immutable as %L', i_queue_id,
                   'select ' || (select q.queue_cur_table from pgq.queue q where q.queue_id = i_queue_id));
    execute format('revoke all on function trunkline.current_table_%s() from public', i_queue_id);
end
$$;
revoke all on function trunkline.make_current_table(int4) from public;

-- Function trunkline.on_rotation(): trigger on pgq.queue that keeps trunkline.current_table_N level with the queue's row. It is
-- the only one that replaces the function, under the lock of that row. ENABLE ALWAYS: a session that is a replica must
-- not leave it behind. Users must not: disable the trigger; events would go on into the table before.
create or replace function trunkline.on_rotation() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regprocedure(format('trunkline.current_table_%s()', new.queue_id)) is not null then
        perform trunkline.make_current_table(new.queue_id);
    end if;
    return null;
end
$$;
revoke all on function trunkline.on_rotation() from public;

do $$
begin
    if not exists (select from pg_catalog.pg_trigger t
                    where t.tgrelid = 'pgq.queue'::regclass and t.tgname = 'queue_rotated') then
        create trigger queue_rotated
            after update of queue_cur_table on pgq.queue
            for each row when (new.queue_cur_table <> old.queue_cur_table) execute procedure trunkline.on_rotation();
        alter table pgq.queue enable always trigger queue_rotated;
    end if;
end
$$;
