-- Function trunkline.note_drop(i_captured): tells the queue that a captured table is gone, and takes its functions away.
create or replace function trunkline.note_drop(i_captured trunkline.captured) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_operation text;
    v_shape     bigint := trunkline.log_shape(i_captured.queue_id, i_captured.plan, null, true);
begin
    update trunkline.captured c set dropped_at = now(), shape_id = v_shape, problem = 'it was dropped'
     where c.table_oid = i_captured.table_oid;
    foreach v_operation in array array['insert', 'update', 'delete', 'truncate', 'row'] loop
        execute format('drop function if exists trunkline.capture_%s_%s() cascade', i_captured.table_oid, v_operation);
    end loop;
    perform trunkline.make_readers(jsonb_build_object('oid', i_captured.table_oid));
end
$$;
revoke all on function trunkline.note_drop(trunkline.captured) from public;
