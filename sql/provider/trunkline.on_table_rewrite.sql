-- Function trunkline.on_table_rewrite(): event trigger that notes that a command is going to write new values into the rows of
-- a captured table; trunkline.refresh_capture tells the queue at the command's end.
--
-- Only rewrites that change values count: a default that is computed for each row (2) or a column's new type or expression (4).
-- SET LOGGED, SET ACCESS METHOD and the like rewrite rows as they are; VACUUM FULL and CLUSTER do not come here at all.
-- Never raises. Tables: writes trunkline.captured. Users must not disable it.
create or replace function trunkline.on_table_rewrite() returns event_trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_table oid := pg_event_trigger_table_rewrite_oid();
    v_bits  int4 := pg_event_trigger_table_rewrite_reason() & 6;
begin
    if v_bits <> 0 then
        update trunkline.captured c set rewritten = c.rewritten | v_bits
         where c.dropped_at is null
           and (c.table_oid = v_table
                or c.table_oid = (select k.root_oid from trunkline.captured_part k where k.part_oid = v_table));
    end if;
exception when others then
    raise warning 'capture could not look at this command: %', sqlerrm;
end
$$;
revoke all on function trunkline.on_table_rewrite() from public;
