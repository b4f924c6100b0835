-- Function trunkline.parts_differ(i_root oid): whether partitions came, went or changed since they were last looked at.
create or replace function trunkline.parts_differ(i_root oid) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from (select p.part_oid, p.parent_oid from trunkline.parts(i_root) p) p
          full join (select k.part_oid, k.parent_oid from trunkline.captured_part k where k.root_oid = i_root) k
            on k.part_oid = p.part_oid and k.parent_oid = p.parent_oid
         where p.part_oid is null or k.part_oid is null);
$$;
revoke all on function trunkline.parts_differ(oid) from public;
