-- The three roles of the queue: pgq_reader consumes, pgq_writer inserts, pgq_admin does both and administers.
-- Roles belong to the whole server: another database's install may make them at the same time, which is no error.
-- Tables touched: none of ours. Users must not: drop them while any database of the server has the queue.
do $$
declare
    v_role text;
begin
    foreach v_role in array array['pgq_reader', 'pgq_writer', 'pgq_admin'] loop
        if not exists (select from pg_catalog.pg_roles r where r.rolname = v_role) then
            begin
                execute pg_catalog.format('create role %I nologin', v_role);
            exception
                -- A concurrent create ends as one or the other, depending on how far it was.
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
    -- By a query of the catalog: its lock has the session take note of roles that the other install has just
    -- committed. A function that takes a role's name would still find in the session's cache that there is no
    -- such role.
    if (select pg_catalog.count(distinct r.oid)
          from pg_catalog.pg_auth_members m
          join pg_catalog.pg_roles r on r.oid = m.roleid
          join pg_catalog.pg_roles a on a.oid = m.member
         where a.rolname = 'pgq_admin' and r.rolname in ('pgq_reader', 'pgq_writer')) < 2 then
        begin
            grant pgq_reader, pgq_writer to pgq_admin;
        exception
            when unique_violation or internal_error then
                -- "tuple concurrently updated": the other install granted it.
                null;
        end;
    end if;
end
$$;
