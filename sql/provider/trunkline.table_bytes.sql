-- Function trunkline.table_bytes(i_table oid): bytes of a table with its partitions, TOAST included, indexes not.
create or replace function trunkline.table_bytes(i_table oid) returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(sum(pg_table_size(t.oid)), 0)::bigint
      from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t;
$$;
revoke all on function trunkline.table_bytes(oid) from public;
