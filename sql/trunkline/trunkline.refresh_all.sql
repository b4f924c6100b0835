-- Makes all capture functions anew at an install over an older version, whose functions may have been made differently.
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
            perform trunkline.make_capture(v_captured.queue_id, v_plan, v_captured.shape_id);
            update trunkline.captured c set plan = v_plan, file_nodes = trunkline.file_nodes(c.table_oid)
             where c.table_oid = v_captured.table_oid;
        else
            perform trunkline.refresh_late(v_captured.table_oid);
        end if;
    end loop;
end
$do$;
