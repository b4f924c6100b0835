-- Makes all capture functions anew at an install over an older version, whose functions may have been made differently.
-- Shapes stay: what the functions write is the same.
do $do$
declare
    v_captured trunkline.captured;
begin
    for v_captured in select * from trunkline.captured c where c.dropped_at is null order by c.table_oid loop
        perform trunkline.make_capture(v_captured.queue_id, v_captured.plan, v_captured.shape_id);
    end loop;
end
$do$;
