-- Function trunkline.note_drop(i_captured): tells the queue that a captured table is gone, and takes its
-- functions away. A user's event trigger may refuse that; then they are in nobody's way, and upkeep takes
-- them away later.
create or replace function trunkline.note_drop(i_captured trunkline.captured) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_shape bigint := trunkline.log_shape(i_captured.queue_id, i_captured.plan, null, true);
begin
    update trunkline.captured c set dropped_at = now(), shape_id = v_shape, problem = 'it was dropped'
     where c.table_oid = i_captured.table_oid;
    begin
        perform trunkline.drop_functions(i_captured.table_oid);
    exception when others then
        null;
    end;
end
$$;
revoke all on function trunkline.note_drop(trunkline.captured) from public;
