-- Makes all capture functions anew at an install over an older version, whose functions may have been made differently, and
-- notes anew what tells partitions' rows from others.
-- Shapes stay where the rows stay what they were: what the functions write is the same.
do $do$
declare
    v_captured trunkline.captured;
    v_plan     jsonb;
begin
    for v_captured in select * from trunkline.captured c where c.dropped_at is null order by c.table_oid loop
        v_plan := trunkline.capture_plan(v_captured.table_oid, v_captured.plan);
        if v_plan is null then
            continue;
        elsif v_plan -> 'columns' = v_captured.plan -> 'columns' and v_plan -> 'problem' = v_captured.plan -> 'problem' then
            -- The triggers stay as they are, so the functions must be theirs; upkeep changes both.
            v_plan := v_plan || jsonb_build_object('form', trunkline.form_of(v_captured.plan));
            perform trunkline.make_capture(v_captured.queue_id, v_plan, v_captured.shape_id);
            update trunkline.captured c set plan = v_plan, file_nodes = trunkline.file_nodes(c.table_oid)
             where c.table_oid = v_captured.table_oid;
        else
            perform trunkline.refresh_late(v_captured.table_oid);
        end if;
    end loop;
    perform pgq.grant_perms(q.queue_name) from pgq.queue q
      where exists (select from trunkline.captured c where c.queue_id = q.queue_id);
    update trunkline.captured_part k set part = f.part
      from (select p.part_oid, trunkline.part_facts(p.part_oid) as part from trunkline.captured_part p) f
     where f.part_oid = k.part_oid and f.part <> k.part;
end
$do$;
