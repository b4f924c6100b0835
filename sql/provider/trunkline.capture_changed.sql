-- Function trunkline.capture_changed(i_root oid, i_relid oid, i_operation, i_names): what a capture function does when the table
-- is not what it was made for.
--
-- It logs a shape of the table as it is, once a transaction: what other transactions log meanwhile may not be committed.
-- Then it gives a statement that logs live rows of that shape, which is right whatever was logged before. Where the rows'
-- own columns are others than the catalog shows this snapshot, and in row triggers, whose rows no other statement
-- can see, it cannot be known what was written: the table must be copied again, and an event says so; and
-- whoever logs the new shape says so once more, to consumers who have copied it by the old one (trunkline.refresh_later).
-- Arguments: i_relid the table whose trigger fired; i_names the names of its rows' columns, null: the catalog is current.
-- Result: SQL to be executed in the trigger, or null. Tables: trunkline.shape, events.
-- Users must not: it is called by capture functions, with the rights of their owner.
create or replace function trunkline.capture_changed(i_root oid, i_relid oid, i_operation text, i_names text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_captured trunkline.captured;
    v_plan     jsonb;
    v_shape    bigint;
begin
    select * into v_captured from trunkline.captured c where c.table_oid = i_root and c.dropped_at is null;
    if not found or (i_relid <> i_root and i_root <> all (array(select trunkline.ancestors(i_relid)))) then
        return null;
    end if;
    if i_operation = 'row' or i_names <> trunkline.column_names(i_root) then
        perform trunkline.log_mark(v_captured.shape_id, 'resync',
            json_build_object('why', 'it was written by a transaction that could not see a change of its columns'));
        if i_operation <> 'row' and not trunkline.is_late(i_root) then
            perform trunkline.refresh_later(v_captured, null);
        end if;
        return null;
    end if;
    v_plan := trunkline.capture_plan(i_root, v_captured.plan);
    v_shape := trunkline.shape_of_plan(v_captured, v_plan);
    if i_operation = 'truncate' then
        if i_relid = i_root then
            return format('select trunkline.put_%s(''trunkline.1.truncate'', %L, %L, null, null)',
                          v_captured.queue_id, format('%I.%I', v_plan ->> 'schema', v_plan ->> 'name'), v_shape::text);
        end if;
        perform trunkline.log_mark(v_shape, 'emptied', (trunkline.part_facts(i_relid) - 'where')::json);
        return null;
    end if;
    if v_plan ->> 'identity' <> 'key' then
        return trunkline.capture_sums(i_operation, v_captured.queue_id, v_plan, v_shape, 'newt', 'oldt');
    elsif jsonb_typeof(v_plan -> 'keys') = 'array' then
        -- The functions of another role that read its table are made with the others, and may be as old.
        if v_plan ->> 'reader' = 'owner' or not trunkline.may_read(i_root, v_plan ->> 'reader') then
            perform trunkline.log_mark(v_shape, 'resync',
                json_build_object('why', 'its definition was changed, and capture may not read its rows'));
            return null;
        end if;
        return trunkline.capture_live(i_operation, v_captured.queue_id, v_plan, v_shape, 'newt', 'oldt');
    end if;
    return null;
end
$$;
revoke all on function trunkline.capture_changed(oid, oid, text, text) from public;
