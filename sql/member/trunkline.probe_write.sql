-- Function trunkline.probe_write(): writes a row, and so finds out whether the disk takes any.
--
-- A row that is written into free space of a page asks the disk for nothing but log, whose files are there already. So
-- each row takes a new page; at a megabyte the table begins anew, unless somebody holds it.
-- Errors: those of the server. Tables: writes trunkline.probe. Users: pgq_reader, pgq_admin.
create or replace function trunkline.probe_write() returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1 s'
as $$
begin
    if pg_relation_size('trunkline.probe') > 1048576 then
        begin
            -- Without waiting: a pg_dump holds the table for its whole run, and is no reason to answer no.
            lock table trunkline.probe in access exclusive mode nowait;
            truncate trunkline.probe;
        exception when lock_not_available then
            null;
        end;
    end if;
    insert into trunkline.probe (probed_at, filler) values (clock_timestamp(), repeat('x', 7000));
end
$$;
revoke all on function trunkline.probe_write() from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.probe_write() to pgq_reader, pgq_admin;
    end if;
end
$$;
