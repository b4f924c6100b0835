-- Function trunkline.step_operation(...): notes which step of an operation is begun on this node, before it is. A step
-- never goes back: an earlier one only says that the command still works at it.
--
-- Arguments: i_step prepare, freeze, fence, catch-up, promote, open or follow; i_epoch, i_tick, i_tag the final tick, once it is
-- known: null leaves what is there.
-- Result: the step that is stored then. Errors: as trunkline.hold_operation; 22023 no such step; 55000 open or follow on
-- the new node, which trunkline.promote has not promoted. Tables: writes trunkline.operation.
-- Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.step_operation(
    i_queue text, i_operation bigint, i_step text, i_epoch bigint default null, i_tick bigint default null,
    i_tag bigint default null) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    c_steps constant text[] := array['prepare', 'freeze', 'fence', 'catch-up', 'promote', 'promoted', 'open', 'follow'];
    v_row   trunkline.operation;
    v_at    int4;
    v_to    int4 := array_position(c_steps, i_step);
begin
    v_row := trunkline.running_operation(i_queue, i_operation);
    v_at := array_position(c_steps, v_row.step);
    if v_to is null or i_step = 'promoted' then
        raise exception 'an operation has no step %', quote_nullable(i_step) using errcode = '22023';
    elsif v_to > array_position(c_steps, 'promoted') and v_at < array_position(c_steps, 'promoted')
          and v_row.new_node = (select n.node_id from trunkline.node n) then
        raise exception 'this node is not promoted' using errcode = '55000';
    end if;
    update trunkline.operation o
       set step = c_steps[greatest(v_at, v_to)], changed_at = clock_timestamp(),
           final_epoch = coalesce(i_epoch, o.final_epoch), final_tick_id = coalesce(i_tick, o.final_tick_id),
           final_tick_tag = coalesce(i_tag, o.final_tick_tag)
     where o.queue_name = i_queue and o.operation_id = i_operation;
    return c_steps[greatest(v_at, v_to)];
end
$$;
revoke all on function trunkline.step_operation(text, bigint, text, bigint, bigint, bigint) from public;
