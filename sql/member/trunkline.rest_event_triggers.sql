-- Function trunkline.rest_event_triggers(): has event triggers of the database's users rest, while we switch triggers of
-- ours: one that writes a log of DDL into a table that it names without a schema does not find that table under the path
-- of our functions. The session becomes a replica for it, if this function's owner may do that.
-- Result: what session_replication_role was, for trunkline.wake_event_triggers; null: nothing was changed.
-- Users must not: it is a part of functions that put the setting back. In a session that stays a replica no capture and
-- no deny trigger fires.
create or replace function trunkline.rest_event_triggers() returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_before text := current_setting('session_replication_role');
begin
    perform set_config('session_replication_role', 'replica', true);
    return v_before;
exception when insufficient_privilege then
    return null;
end
$$;
revoke all on function trunkline.rest_event_triggers() from public;

-- Function trunkline.wake_event_triggers(i_before text): puts session_replication_role back to what it was. It must be
-- called before a function returns: a setting that a function makes otherwise lasts until the transaction ends, and its
-- caller would go on as a replica. After an error the server puts it back itself.
create or replace function trunkline.wake_event_triggers(i_before text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_before is not null then
        perform set_config('session_replication_role', i_before, true);
    end if;
end
$$;
revoke all on function trunkline.wake_event_triggers(text) from public;
