-- Function trunkline.is_late(i_table oid): whether a captured table's functions are those of trunkline.refresh_later.
create or replace function trunkline.is_late(i_table oid) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_proc p
         where p.pronamespace = 'trunkline'::regnamespace and p.proname = format('capture_%s_truncate', i_table)
           and strpos(p.prosrc, 'is distinct from ''late''') > 0);
$$;
revoke all on function trunkline.is_late(oid) from public;
