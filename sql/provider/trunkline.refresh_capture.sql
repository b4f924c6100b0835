-- Function trunkline.refresh_capture(i_table oid): makes a captured table's functions anew if its plan has changed, logs the new
-- shape and what the change did to rows, and follows partitions that came and went. Called inside the transaction that
-- changed the table, under that change's own lock, or by upkeep where there are no event triggers.
--
-- Never raises: the user's ALTER must not fail for us. What goes wrong is left to trunkline.refresh_later.
-- Result: whether anything changed. Tables: reads and writes trunkline.captured, trunkline.captured_part,
-- trunkline.shape; replaces functions; logs events.
-- Users must not call it where functions do not compare the catalog themselves, without a lock that keeps writers out.
create or replace function trunkline.refresh_capture(i_table oid) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_captured trunkline.captured;
    v_plan     jsonb;
    v_shape    bigint;
    v_why      text;
    v_changed  bool;
begin
    select * into v_captured from trunkline.captured c where c.table_oid = i_table and c.dropped_at is null;
    if not found or v_captured.refreshing then
        return false;
    end if;
    v_plan := trunkline.capture_plan(i_table, v_captured.plan);
    if v_plan is null
       or (v_plan = v_captured.plan and v_captured.rewritten = 0 and not (v_plan ->> 'partitioned')::bool
           and v_captured.problem is not distinct from v_plan ->> 'problem') then
        return false;
    end if;
    update trunkline.captured c set refreshing = true where c.table_oid = i_table;
    v_shape := v_captured.shape_id;
    if v_plan <> v_captured.plan then
        -- Rows of the same shape may need other functions: of a new fingerprint, of a foreign key's actions.
        if trunkline.shape_definition(v_plan) <> trunkline.shape_definition(v_captured.plan) then
            v_shape := trunkline.log_shape(v_captured.queue_id, v_plan, null, false);
        end if;
        perform trunkline.make_capture(v_captured.queue_id, v_plan, v_shape);
        if v_plan ->> 'form' <> trunkline.form_of(v_captured.plan) then
            perform trunkline.drop_triggers(i_table);
            perform trunkline.make_triggers(i_table, i_table, v_plan ->> 'form');
        end if;
        -- Where functions compare the catalog, the first writer after the change may have said it already; twice is harmless.
        if v_captured.plan ->> 'fingerprint' is not null then
            v_why := trunkline.rewritten_by_plan(v_captured, v_plan);
            if v_why is not null then
                perform trunkline.log_mark(v_shape, 'resync', json_build_object('why', v_why));
            end if;
        end if;
    end if;
    if v_captured.plan ->> 'fingerprint' is null and (v_plan <> v_captured.plan or v_captured.rewritten <> 0) then
        perform trunkline.log_rewrites(v_captured, v_plan, v_shape);
    end if;
    if v_plan <> v_captured.plan or v_captured.rewritten <> 0 or v_captured.problem is distinct from v_plan ->> 'problem' then
        update trunkline.captured c
           set schema_name = v_plan ->> 'schema', table_name = v_plan ->> 'name', shape_id = v_shape, plan = v_plan,
               rewritten = 0, file_nodes = trunkline.file_nodes(i_table), problem = v_plan ->> 'problem'
         where c.table_oid = i_table;
    end if;
    v_changed := trunkline.refresh_parts(i_table);
    update trunkline.captured c set refreshing = false where c.table_oid = i_table;
    return v_changed or v_plan <> v_captured.plan;
exception
    when lock_not_available then
        -- Functions that compare the catalog can wait for the next upkeep.
        return v_captured.plan ->> 'fingerprint' is null and trunkline.refresh_later(v_captured, sqlerrm);
    when others then
        return trunkline.refresh_later(v_captured, sqlerrm);
end
$$;
revoke all on function trunkline.refresh_capture(oid) from public;
