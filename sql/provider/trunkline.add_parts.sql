-- Function trunkline.add_parts(i_root oid): hangs a newly captured table's functions on its partitions. Their rows are in no
-- event: the copy that follows brings them.
create or replace function trunkline.add_parts(i_root oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_part record;
begin
    for v_part in select p.* from trunkline.parts(i_root) p order by p.level, p.part_oid loop
        perform trunkline.make_triggers(i_root, v_part.part_oid, 'statements');
        insert into trunkline.captured_part (part_oid, root_oid, parent_oid, part)
        values (v_part.part_oid, i_root, v_part.parent_oid, trunkline.part_facts(v_part.part_oid));
    end loop;
end
$$;
revoke all on function trunkline.add_parts(oid) from public;
