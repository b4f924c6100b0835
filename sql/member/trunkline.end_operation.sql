-- Function trunkline.end_operation(i_queue, i_operation): notes that an operation is done, as far as this node goes. The
-- old provider's row ends when the node follows the new one: until then it keeps `unfence` from making two providers.
-- Result: whether it ran until now. Errors: 55000 it is not known here, aborted, or the new node is not promoted.
-- Tables: writes trunkline.operation and position. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.end_operation(i_queue text, i_operation bigint) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_row trunkline.operation;
begin
    if exists (select from trunkline.operation o
                where o.queue_name = i_queue and o.operation_id = i_operation and o.step = 'done') then
        return false;
    end if;
    v_row := trunkline.running_operation(i_queue, i_operation);
    if v_row.step not in ('promoted', 'open', 'follow') then
        raise exception 'operation % of queue % is not done: its step is %', i_operation, quote_literal(i_queue), v_row.step
            using errcode = '55000';
    end if;
    update trunkline.operation o set step = 'done', changed_at = clock_timestamp()
     where o.queue_name = i_queue and o.operation_id = i_operation;
    perform trunkline.let_go(i_queue, i_operation);
    return true;
end
$$;
revoke all on function trunkline.end_operation(text, bigint) from public;

-- Function trunkline.abort_operation(i_queue, i_operation, i_error): notes that an operation is given up, which no fence
-- and no promotion of it passes any more. It waits for one that is at work. On the new node first: only if that one says
-- true, may the old one take writes again.
-- Arguments: i_error why. Result: false: it is too late, the new node is the provider. True also where the operation is
-- not known, or was aborted. Errors: 55P03 as trunkline.hold_operation. Tables: writes trunkline.operation,
-- position and event.
-- Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.abort_operation(i_queue text, i_operation bigint, i_error text default null)
returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_row trunkline.operation;
begin
    perform trunkline.be_durable();
    select * into v_row from trunkline.operation o
     where o.queue_name = i_queue and o.operation_id = i_operation for update;
    if v_row.step in ('promoted', 'open', 'follow', 'done') then
        return false;
    end if;
    update trunkline.operation o set step = 'aborted', changed_at = clock_timestamp(), error = i_error
     where o.queue_name = i_queue and o.operation_id = i_operation and o.step <> 'aborted';
    if found then
        perform trunkline.let_go(i_queue, i_operation);
        perform trunkline.tell_event(i_queue, v_row.kind || '_aborted', false, i_error,
            case when v_row.old_node = (select n.node_id from trunkline.node n) then v_row.new_node else v_row.old_node end);
    end if;
    return true;
end
$$;
revoke all on function trunkline.abort_operation(text, bigint, text) from public;
