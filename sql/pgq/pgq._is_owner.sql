-- pgq._is_owner(i_owner): whether the session may move, finish or drop what a role registered: the role itself, its
-- members, admins of the queue and superusers. The session's role counts, because a SECURITY DEFINER function sees its
-- own as the current one. Argument: the role; null = not recorded, everybody. Result: bool.
-- Tables touched: the catalog's roles.
-- In PL/pgSQL, which keeps its plans for the session: a function in SQL with settings is planned anew in each statement,
-- and this one is called for each batch.
create or replace function pgq._is_owner(i_owner oid) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_owner is null or i_owner = to_regrole(quote_ident(session_user)::text) then
        return true;
    end if;
    return coalesce(pg_has_role(session_user, 'pgq_admin', 'member'), false)
        or coalesce(pg_has_role(session_user, i_owner, 'member'), false);
end
$$;
