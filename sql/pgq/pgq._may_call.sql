-- pgq._may_call(i_schema): whether the functions of a schema may be called and its tables read by
-- pgq.maint_operations and whoever runs what it lists: the schema is there, and whoever could have put
-- something into it (its owner, the owners of what it holds, everybody who may create there or make triggers
-- on its tables, and the owners of what its tables call or are made of: a trigger stays when the right to
-- make it is taken away) may act as the owner of pgq's functions and as the session's role anyway. Who may
-- create schemas could else have the rights of both.
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
            union select coalesce(y.typowner, p.proowner, q.proowner)
                    from pg_class c
                   cross join lateral (
                         select 'pg_class'::regclass, c.oid
                         union all select 'pg_class'::regclass, i.indexrelid from pg_index i where i.indrelid = c.oid
                         union all select 'pg_trigger'::regclass, t.oid from pg_trigger t where t.tgrelid = c.oid
                         union all select 'pg_rewrite'::regclass, w.oid from pg_rewrite w where w.ev_class = c.oid
                         union all select 'pg_attrdef'::regclass, a.oid from pg_attrdef a where a.adrelid = c.oid
                         union all select 'pg_constraint'::regclass, k.oid from pg_constraint k where k.conrelid = c.oid
                         union all select 'pg_policy'::regclass, l.oid from pg_policy l where l.polrelid = c.oid
                         union all select 'pg_statistic_ext'::regclass, x.oid from pg_statistic_ext x where x.stxrelid = c.oid
                       ) part (classid, objid)
                    join pg_depend d on d.classid = part.classid and d.objid = part.objid
                    left join pg_type y on d.refclassid = 'pg_type'::regclass and y.oid = d.refobjid
                    left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
                    left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
                    left join pg_proc q on q.oid = o.oprcode
                   where c.relnamespace = n.oid and coalesce(y.oid, p.oid, q.oid) is not null
          ) h (role), (values (current_user), (session_user)) us (name)
         where h.role = 0
            or not case when current_setting('server_version_num')::int4 >= 160000
                        then pg_has_role(h.role, us.name, 'SET') or pg_has_role(h.role, us.name, 'USAGE')
                        else pg_has_role(h.role, us.name, 'MEMBER') end)
      from pg_namespace n where n.nspname = i_schema
    union all select false
    limit 1
$$;
