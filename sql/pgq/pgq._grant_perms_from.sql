-- pgq._grant_perms_from(src_schema, src_table, dst_schema, dst_table): gives a table the grants of another one.
-- Result: 1. Tables touched: grants on the second table, as the caller.
create or replace function pgq._grant_perms_from(src_schema text, src_table text, dst_schema text, dst_table text)
returns int4
language plpgsql volatile strict
set search_path = pg_catalog, pg_temp
as $$
declare
    v_grant record;
begin
    for v_grant in
        select a.privilege_type, a.is_grantable or a.grantee = c.relowner as is_grantable,
               case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         cross join aclexplode(c.relacl) a
         where n.nspname = src_schema and c.relname = src_table
         order by 1, 3
    loop
        execute format('grant %s on table %I.%I to %s%s', v_grant.privilege_type, dst_schema, dst_table,
                       v_grant.grantee, case when v_grant.is_grantable then ' with grant option' else '' end);
    end loop;
    return 1;
end
$$;
