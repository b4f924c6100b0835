-- Function trunkline.may_read(i_table oid, i_reader text): whether all rows of a table can be read in this
-- way (trunkline.reader) now, without an error.
--
-- Rights are looked at when a table is added, and may be taken away later: REVOKE SELECT, USAGE on its schema, or row level
-- security that comes to hide rows. A read that fails would fail the application's statement, and one that sees half of
-- the rows would take the others for deleted.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.may_read(i_table oid, i_reader text) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_reader = 'none' then
        return false;
    elsif i_reader = 'owner' then
        -- The reader function's owner may be another role now, and may change whom the function runs as, and its search_path.
        return coalesce((select trunkline.may_ask(i_table, c.relowner)
                                and (select bool_and(p.prosecdef and p.proowner = c.relowner
                                                     and p.proconfig = array['search_path=pg_catalog, pg_temp'])
                                       from pg_proc p
                                      where p.pronamespace = 'trunkline'::regnamespace
                                        and p.proname in (format('ask_%s', i_table), format('live_%s', i_table)))
                           from pg_class c where c.oid = i_table), false);
    end if;
    return trunkline.may_ask(i_table, (select r.oid from pg_roles r where r.rolname = current_user))
           and (i_reader = 'self' or trunkline.foreign_code(i_table) is null);
end
$$;
revoke all on function trunkline.may_read(oid, text) from public;

-- Function trunkline.may_ask(i_table oid, i_role oid): whether a role may read a table and sees all of its rows.
create or replace function trunkline.may_ask(i_table oid, i_role oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select has_table_privilege(i_role, c.oid, 'SELECT') and has_schema_privilege(i_role, c.relnamespace, 'USAGE')
               and (not c.relrowsecurity or r.rolsuper or r.rolbypassrls
                    or (pg_has_role(i_role, c.relowner, 'USAGE') and not c.relforcerowsecurity))
          from pg_class c join pg_roles r on r.oid = i_role
         where c.oid = i_table), false);
end
$$;
revoke all on function trunkline.may_ask(oid, oid) from public;
