-- Function trunkline.refresh_late(i_table oid): makes capture anew where a schema change was not followed when it was made;
-- to be called outside of the transaction that made it.
--
-- Where event triggers should have told of the change, rows were written meanwhile by functions that did not know of it, or
-- by late ones (trunkline.refresh_later): nobody knows what the consumers have, so they are told to copy the table again.
-- It runs in sessions of the programs, where rows of another role's table are not read, not even as that role
-- (trunkline.may_read_part): trunkline.own_session says so to what is called.
-- Result: whether anything changed; false also where it could not be done, which the row's problem says then.
-- Tables: as trunkline.refresh_capture. Users must not: it is a part of trunkline.upkeep.
create or replace function trunkline.refresh_late(i_table oid) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_before  trunkline.captured;
    v_after   trunkline.captured;
    v_changed bool;
    v_late    bool := trunkline.is_late(i_table);
begin
    -- To the end of the transaction: its commit runs in the same session. (A SET clause would ask for a right on some versions.)
    perform set_config('trunkline.own_session', 'on', true);
    select * into v_before from trunkline.captured c where c.table_oid = i_table;
    begin
        v_changed := trunkline.refresh_capture(i_table);
        select * into v_after from trunkline.captured c where c.table_oid = i_table;
        if v_after.problem is not distinct from v_after.plan ->> 'problem' then
            null;
        elsif v_before.problem is distinct from v_before.plan ->> 'problem' then
            raise exception '%', v_after.problem;
        else
            return false;
        end if;
    exception when raise_exception then
        -- The state is no better than before: consumers need not be told again.
        update trunkline.captured c set problem = v_after.problem where c.table_oid = i_table and c.problem <> v_after.problem;
        return false;
    end;
    if trunkline.is_late(i_table) then
        perform trunkline.make_capture(v_after.queue_id, v_after.plan, v_after.shape_id);
        v_changed := true;
    end if;
    if v_late or v_before.problem is distinct from v_before.plan ->> 'problem'
       or (v_before.plan ->> 'fingerprint' is null
           and exists (select from unnest(array['columns', 'keys', 'live', 'rows', 'partitioned']) k (key)
                        where v_before.plan -> k.key is distinct from v_after.plan -> k.key)) then
        perform trunkline.log_mark(v_after.shape_id, 'resync',
            json_build_object('why', 'its definition was changed without capture being told in time'));
    end if;
    return v_changed;
end
$$;
revoke all on function trunkline.refresh_late(oid) from public;
