-- Function trunkline.refresh_capture(i_table oid): makes a captured table's functions anew if its plan has changed, and
-- logs the new shape. Called inside the transaction that changed the table, under that change's own lock.
--
-- Never raises: the user's ALTER must not fail for us. What goes wrong is a WARNING and stands in trunkline.captured.problem.
-- Result: whether anything changed. Tables: reads and writes trunkline.captured, trunkline.shape; replaces functions; logs an event.
-- Users must not call it without a lock that keeps the table's writers out.
create or replace function trunkline.refresh_capture(i_table oid) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_captured trunkline.captured;
    v_plan     jsonb;
    v_shape    bigint;
begin
    select * into v_captured from trunkline.captured c where c.table_oid = i_table and c.dropped_at is null;
    if not found then
        return false;
    end if;
    v_plan := trunkline.capture_plan(i_table, v_captured.plan);
    if v_plan is null or v_plan = v_captured.plan then
        return false;
    end if;
    v_shape := trunkline.log_shape(v_captured.queue_id, v_plan, null, false);
    perform trunkline.make_capture(v_captured.queue_id, v_plan, v_shape);
    update trunkline.captured c
       set schema_name = v_plan ->> 'schema', table_name = v_plan ->> 'name', shape_id = v_shape, plan = v_plan,
           problem = v_plan ->> 'problem'
     where c.table_oid = i_table;
    return true;
exception when others then
    raise warning 'capture of %: %', i_table::regclass, sqlerrm
        using hint = 'Changes of this table may be lost to replication until `replay resync`.';
    update trunkline.captured c set problem = format('its capture could not be made anew: %s', sqlerrm)
     where c.table_oid = i_table;
    return false;
end
$$;
revoke all on function trunkline.refresh_capture(oid) from public;
