-- Function trunkline.refresh_later(i_captured, i_error text): what is done where trunkline.refresh_capture has failed.
--
-- The story: in a REPEATABLE READ transaction ALTER TABLE waits for another session's ALTER TABLE, which is captured. Its
-- own snapshot shows neither that session's columns nor its row of trunkline.captured, so no plan that it could make would be
-- right, and the row cannot be written. Functions left as they are would drop the new column from every row to come.
--
-- Without event triggers the same befalls a REPEATABLE READ writer of a column that came after its snapshot. And a partition
-- needs triggers, which a user's event trigger may refuse.
--
-- So the functions are made such that each call looks at the catalog itself (trunkline.capture_changed) and writes what the
-- table has by then; trunkline.refresh_late makes proper ones of them, at the next upkeep that can. Their mark in the plan is the
-- fingerprint "late". Consumers are told to copy the table again, because nobody knows what is in no event;
-- upkeep tells them again when it is over. Functions that compare the catalog anyway stay as they are: upkeep
-- was only too early.
-- Arguments: i_error null: nothing went wrong but that. Result: false. Tables: writes trunkline.captured if
-- it can; replaces functions; logs an event. Never raises.
-- Users must not call it: it slows down every write to the table.
create or replace function trunkline.refresh_later(i_captured trunkline.captured, i_error text) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem text := format('its capture could not be made anew: %s', i_error);
begin
    if i_error is null or i_captured.plan ->> 'fingerprint' is null then
        begin
            perform trunkline.make_trigger_functions(i_captured.queue_id, i_captured.plan || jsonb_build_object(
                'fingerprint', 'late', 'settings', trunkline.all_output_settings()), i_captured.shape_id);
        exception when others then
            raise warning 'capture of %: %', i_captured.table_oid::regclass, coalesce(i_error, sqlerrm)
                using hint = 'Changes of this table may be lost to replication until it is copied again.';
        end;
    end if;
    if i_error is null then
        return false;
    end if;
    begin
        update trunkline.captured c set problem = v_problem where c.table_oid = i_captured.table_oid;
    exception when others then
        null;
    end;
    begin
        perform trunkline.log_mark(i_captured.shape_id, 'resync', json_build_object('why', v_problem));
    exception when others then
        null;
    end;
    return false;
end
$$;
revoke all on function trunkline.refresh_later(trunkline.captured, text) from public;
