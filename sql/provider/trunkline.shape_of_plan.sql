-- Function trunkline.shape_of_plan(i_captured, i_plan jsonb): the number of the shape that rows of a plan have in this
-- transaction: the table's, if the plan says the same, else one that this transaction logs.
create or replace function trunkline.shape_of_plan(i_captured trunkline.captured, i_plan jsonb) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_wanted jsonb := trunkline.shape_definition(i_plan);
    v_shape  bigint;
    v_why    text;
begin
    select s.shape_id into v_shape
      from trunkline.shape s
     where s.table_oid = i_captured.table_oid and s.definition - 'shape' = v_wanted
       and (s.shape_id = i_captured.shape_id or s.logged_txid = txid_current())
     order by s.shape_id desc limit 1;
    if not found then
        v_shape := trunkline.log_shape(i_captured.queue_id, i_plan, null, false);
        v_why := coalesce(trunkline.rewritten_by_plan(i_captured, i_plan), case when trunkline.is_late(i_captured.table_oid)
            then 'rows were written by a transaction that could not see what columns they have' end);
        if v_why is not null then
            perform trunkline.log_mark(v_shape, 'resync', json_build_object('why', v_why));
        end if;
    end if;
    return v_shape;
end
$$;
revoke all on function trunkline.shape_of_plan(trunkline.captured, jsonb) from public;
