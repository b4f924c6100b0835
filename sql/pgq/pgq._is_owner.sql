-- pgq._is_owner(i_owner): whether the session may move, finish or drop what a role registered: the role itself, its
-- members, admins of the queue and superusers. The session's role counts, because a SECURITY DEFINER function sees its
-- own as the current one. Argument: the role; null = not recorded, everybody. Result: bool.
-- Tables touched: reads pg_roles.
create or replace function pgq._is_owner(i_owner oid) returns bool
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select i_owner is null
        or i_owner = (select r.oid from pg_roles r where r.rolname = session_user)
        or coalesce(pg_has_role(session_user, 'pgq_admin', 'member'), false)
        or coalesce((select pg_has_role(session_user, r.oid, 'member') from pg_roles r where r.oid = i_owner), false)
$$;
