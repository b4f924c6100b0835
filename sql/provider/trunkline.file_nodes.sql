-- Function trunkline.file_nodes(i_table oid): which files hold a table's rows, its partitions' included.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.file_nodes(i_table oid) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select md5(string_agg(t.oid || ':' || coalesce(pg_relation_filenode(t.oid), 0), ',' order by t.oid))
      from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t;
$$;
revoke all on function trunkline.file_nodes(oid) from public;
