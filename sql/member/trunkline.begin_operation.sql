-- Function trunkline.begin_operation(...): notes on one of the two nodes that an operation begins: on the new provider
-- first, so that an operation that the old one knows is known there, too, and can be aborted there.
--
-- Arguments: i_operation a random number, the same on both nodes; the others as in trunkline.operation.
-- Result: false: it has begun here already. Errors: 55000 this node is neither of the two, has another role than its
-- part needs, or the operation is over; 55006 another operation runs. Tables: writes trunkline.operation and
-- trunkline.event.
-- Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.begin_operation(
    i_queue text, i_operation bigint, i_kind text, i_old_node bigint, i_old_name text, i_new_node bigint,
    i_new_name text, i_was_fenced bool) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_own   bigint := (select n.node_id from trunkline.node n);
    v_role  text := (select r.role from trunkline.my_role(i_queue) r);
    v_needs text[] := case v_own when i_old_node then array['provider', 'fenced'] when i_new_node then array['standby'] end;
begin
    if v_needs is null then
        raise exception 'this node has no part in the operation' using errcode = '55000';
    elsif v_role is null or not v_role = any (v_needs) then
        raise exception 'this node is % for queue %, and not %', coalesce(v_role, 'a plain database'),
                quote_literal(i_queue), array_to_string(v_needs, ' or ')
            using errcode = '55000';
    end if;
    perform trunkline.be_durable();
    -- The primary key keeps the same operation from beginning twice, the other index another one beside it.
    insert into trunkline.operation (queue_name, operation_id, kind, old_node, old_name, new_node, new_name, was_fenced,
                                     step)
    values (i_queue, i_operation, i_kind, i_old_node, i_old_name, i_new_node, i_new_name, i_was_fenced, 'prepare')
    on conflict do nothing;
    if found then
        perform trunkline.tell_event(i_queue, i_kind || '_started', true,
            format('%s from %s to %s', i_kind, coalesce(i_old_name, i_old_node::text), coalesce(i_new_name, i_new_node::text)),
            case v_own when i_old_node then i_new_node else i_old_node end);
        return true;
    end if;
    if exists (select from trunkline.operation o where o.queue_name = i_queue and o.operation_id = i_operation) then
        perform trunkline.running_operation(i_queue, i_operation);
        return false;
    end if;
    perform trunkline.refuse_another_operation(i_queue);
    return false;
end
$$;
revoke all on function trunkline.begin_operation(text, bigint, text, bigint, text, bigint, text, bool) from public;

-- Function trunkline.refuse_another_operation(i_queue): 55006, which names the operation that runs. Tables: reads operation.
create or replace function trunkline.refuse_another_operation(i_queue text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_other record;
begin
    select o.kind, coalesce(o.old_name, o.old_node::text) as old, coalesce(o.new_name, o.new_node::text) as new, o.step
      into v_other
      from trunkline.operation o
     where o.queue_name = i_queue and o.step not in ('done', 'aborted');
    raise exception 'another operation of queue % runs: %', quote_literal(i_queue),
            format('%s from %s to %s, step %s', v_other.kind, v_other.old, v_other.new, v_other.step)
        using errcode = '55006', hint = format('If it has been left: trunkline %s %s --resume, or --abort.', v_other.kind, i_queue);
end
$$;
revoke all on function trunkline.refuse_another_operation(text) from public;
