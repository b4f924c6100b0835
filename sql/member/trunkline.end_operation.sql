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

-- Function trunkline.refuse_operation(...): as trunkline.abort_operation, and leaves a row on a node that does not know of the
-- operation. A freeze, or a beginning, whose answer was lost may be under way still: it finds the row, and fails,
-- whenever it comes.
-- Arguments: as of trunkline.begin_operation. Result, errors and users: as of trunkline.abort_operation.
-- Tables: writes trunkline.operation, position and event.
create or replace function trunkline.refuse_operation(
    i_queue text, i_operation bigint, i_kind text, i_old_node bigint, i_old_name text, i_new_node bigint,
    i_new_name text, i_was_fenced bool, i_error text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform trunkline.be_durable();
    -- One that is just being committed is waited for.
    insert into trunkline.operation (queue_name, operation_id, kind, old_node, old_name, new_node, new_name, was_fenced,
                                     step, error)
    values (i_queue, i_operation, i_kind, i_old_node, i_old_name, i_new_node, i_new_name, i_was_fenced, 'aborted', i_error)
    on conflict do nothing;
    return trunkline.abort_operation(i_queue, i_operation, i_error);
end
$$;
revoke all on function trunkline.refuse_operation(text, bigint, text, bigint, text, bigint, text, bool, text) from public;
