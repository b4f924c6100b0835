-- Function trunkline.ancestors(i_table oid): the table itself and all tables that it is a partition or a child of.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.ancestors(i_table oid) returns setof oid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive above (one) as (
        select i_table
        union
        select i.inhparent from above a join pg_inherits i on i.inhrelid = a.one
    )
    select a.one from above a;
$$;
revoke all on function trunkline.ancestors(oid) from public;
