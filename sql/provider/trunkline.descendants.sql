-- Function trunkline.descendants(i_table oid): the table itself and all its partitions and children, at every level.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.descendants(i_table oid) returns setof oid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive below (one) as (
        select i_table
        union
        select i.inhrelid from below b join pg_inherits i on i.inhparent = b.one
    )
    select b.one from below b;
$$;
revoke all on function trunkline.descendants(oid) from public;
