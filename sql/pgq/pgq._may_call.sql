-- pgq._may_call(i_schema): whether the functions of a schema may be called and its tables read by pgq.maint_operations and whoever
-- runs what it lists: the schema is there, and whoever could have put something into it (its owner, the owners of what it
-- holds, everybody who may create there or make triggers on its tables) may act as the owner of pgq's functions and as the
-- session's role anyway. Who may create schemas could else have the rights of both.
-- What was answered with true stays so: nobody else can change or replace what is there. The programs ask the same of our own
-- schemas before they call anything (sql/src/install/ownership.rs).
-- Result: bool. Tables touched: reads the catalog only. Users must not: nothing to fear.
create or replace function pgq._may_call(i_schema text) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select not exists (
        select from (
            select n.nspowner
            union select a.grantee from aclexplode(n.nspacl) a where a.privilege_type = 'CREATE'
            union select c.relowner from pg_class c where c.relnamespace = n.oid
            union select a.grantee from pg_class c cross join lateral aclexplode(c.relacl) a
                   where c.relnamespace = n.oid and a.privilege_type = 'TRIGGER'
            union select p.proowner from pg_proc p where p.pronamespace = n.oid
            union select t.typowner from pg_type t where t.typnamespace = n.oid
            union select o.oprowner from pg_operator o where o.oprnamespace = n.oid
          ) h (role), (values (current_user), (session_user)) us (name)
         where h.role = 0
            or not case when current_setting('server_version_num')::int4 >= 160000
                        then pg_has_role(h.role, us.name, 'SET') or pg_has_role(h.role, us.name, 'USAGE')
                        else pg_has_role(h.role, us.name, 'MEMBER') end)
      from pg_namespace n where n.nspname = i_schema
    union all select false
    limit 1
$$;
