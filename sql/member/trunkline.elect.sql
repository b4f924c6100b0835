-- Function trunkline.elect(...): notes on a node that is held by a failover which node becomes the provider, and where the log of
-- the provider before ends. On the other nodes first, the new provider last, then it is promoted: so whoever goes on with an
-- operation whose command has died knows from any node which one may be the provider already.
--
-- Arguments: i_epoch, i_tick, i_tag, i_tick_time the new provider's place in the log before; i_heard_tick, i_heard_time the last
--            tick of that log that any node has heard of, null: none; i_margin how many steps more its sequences are set forward.
-- Errors: 55000 the operation is not running, or another node was elected, which may be the provider.
-- Tables: writes trunkline.operation. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.elect(
    i_queue text, i_operation bigint, i_new_node bigint, i_new_name text, i_epoch bigint, i_tick bigint, i_tag bigint,
    i_tick_time timestamptz, i_heard_tick bigint, i_heard_time timestamptz, i_margin int4) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_row trunkline.operation;
begin
    v_row := trunkline.running_operation(i_queue, i_operation);
    if v_row.kind <> 'failover' or v_row.step not in ('freeze', 'promote') then
        raise exception 'operation % of queue % elects nobody: its step is %', i_operation, quote_literal(i_queue), v_row.step
            using errcode = '55000';
    elsif v_row.step = 'promote' and v_row.new_node <> i_new_node then
        raise exception 'node % was elected, and may be the provider of queue %', coalesce(v_row.new_name, v_row.new_node::text),
                quote_literal(i_queue)
            using errcode = '55000', hint = format('If it is off for ever: trunkline failover %s --abort --force.', i_queue);
    end if;
    update trunkline.operation o
       set step = 'promote', changed_at = clock_timestamp(), new_node = i_new_node, new_name = i_new_name,
           final_epoch = i_epoch, final_tick_id = i_tick, final_tick_tag = i_tag, final_tick_time = i_tick_time,
           heard_tick_id = i_heard_tick, heard_tick_time = i_heard_time, sequence_margin = i_margin
     where o.queue_name = i_queue and o.operation_id = i_operation;
end
$$;
revoke all on function
    trunkline.elect(text, bigint, bigint, text, bigint, bigint, bigint, timestamptz, bigint, timestamptz, int4) from public;
