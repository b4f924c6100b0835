-- Function trunkline.drop_triggers(i_table oid): takes our triggers off a table that still exists: capture's, and the
-- one that refuses writes where a set takes none. Whoever made a trigger by the right TRIGGER alone may not drop it:
-- then it stays, and its function finds that the table is no part any more.
create or replace function trunkline.drop_triggers(i_table oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_trigger record;
begin
    for v_trigger in
        select t.tgname, t.tgrelid::regclass as name from pg_trigger t
          join pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'trunkline'::regnamespace
         where t.tgrelid = i_table and not t.tgisinternal
           and (left(t.tgname, 10) = 'trunkline_' or t.tgname = 'deny_trunkline')
    loop
        begin
            execute format('drop trigger %I on %s', v_trigger.tgname, v_trigger.name);
        exception when insufficient_privilege then
            null;
        end;
    end loop;
end
$$;
revoke all on function trunkline.drop_triggers(oid) from public;
