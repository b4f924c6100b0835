-- Function trunkline.refresh_parts(i_root oid): follows the partitions of a captured table, at every level.
--
-- A new one gets triggers, and if it holds rows they are logged as if they were written now: nobody else can reach them
-- between the ATTACH and here. Of one that is gone (DETACH, or dropped) a mark says which rows went with it. Where there
-- are no event triggers this comes late, so then the mark and the rows that are there now are logged for both: what was
-- written meanwhile is right again after it.
-- Result: whether there was any. Tables: writes trunkline.captured_part; makes triggers; logs events.
-- Users must not: it is a part of trunkline.refresh_capture.
create or replace function trunkline.refresh_parts(i_root oid) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_captured trunkline.captured;
    v_part     record;
    v_changed  bool := false;
    v_late     bool;
begin
    select * into v_captured from trunkline.captured c where c.table_oid = i_root;
    v_late := v_captured.plan ->> 'fingerprint' is not null;
    for v_part in
        select k.*, k.parent_oid = i_root
               or exists (select from trunkline.parts(i_root) p where p.part_oid = k.parent_oid) as is_top
          from trunkline.captured_part k
         where k.root_oid = i_root
           and not exists (select from trunkline.parts(i_root) p where p.part_oid = k.part_oid and p.parent_oid = k.parent_oid)
         order by k.part_oid
    loop
        v_changed := true;
        delete from trunkline.captured_part k where k.part_oid = v_part.part_oid;
        perform trunkline.drop_triggers(v_part.part_oid);
        -- The partitions below it are detached with it, so only the uppermost one is logged.
        if v_part.is_top then
            perform trunkline.log_part(v_captured, v_part.part, true, case when v_late then i_root end);
        end if;
    end loop;
    for v_part in
        select p.part_oid, p.parent_oid,
               p.parent_oid = i_root or exists (select from trunkline.captured_part k where k.part_oid = p.parent_oid) as is_top
          from trunkline.parts(i_root) p
          join pg_class c on c.oid = p.part_oid
         where not exists (select from trunkline.captured_part k where k.part_oid = p.part_oid)
           -- A foreign table takes no trigger of ours; the shape says so (trunkline.plan_problem), if nothing fails here.
           and c.relkind in ('r', 'p')
         order by p.level desc, p.part_oid
    loop
        v_changed := true;
        -- Of another captured table that this one was, or of a partition that came back.
        perform trunkline.drop_triggers(v_part.part_oid);
        perform trunkline.make_triggers(i_root, v_part.part_oid, 'statements');
        if v_part.is_top then
            perform trunkline.log_part(v_captured, trunkline.part_facts(v_part.part_oid), v_late, v_part.part_oid);
        end if;
        insert into trunkline.captured_part (part_oid, root_oid, parent_oid, part)
        values (v_part.part_oid, i_root, v_part.parent_oid, trunkline.part_facts(v_part.part_oid));
    end loop;
    -- Names change, and a default partition's bound with each one beside it.
    update trunkline.captured_part k set part = f.part
      from (select k.part_oid, trunkline.part_facts(k.part_oid) as part from trunkline.captured_part k where k.root_oid = i_root) f
     where f.part_oid = k.part_oid and f.part <> k.part;
    return v_changed;
end
$$;
revoke all on function trunkline.refresh_parts(oid) from public;
