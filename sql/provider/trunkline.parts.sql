-- Function trunkline.parts(i_root oid): the tables below a partitioned table, at every level; none for any other table.
-- Result: part_oid, parent_oid, level from 1. Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.parts(i_root oid, out part_oid oid, out parent_oid oid, out level int4)
returns setof record
language plpgsql stable rows 4
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    with recursive below (part, parent, level) as (
        select i.inhrelid, i.inhparent, 1
          from pg_inherits i join pg_class c on c.oid = i.inhparent
         where i.inhparent = i_root and c.relkind = 'p'
        union all
        select i.inhrelid, i.inhparent, b.level + 1
          from below b join pg_inherits i on i.inhparent = b.part join pg_class c on c.oid = b.part
         where c.relkind = 'p'
    )
    select b.part, b.parent, b.level from below b;
end
$$;
revoke all on function trunkline.parts(oid) from public;
