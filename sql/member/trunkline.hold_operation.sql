-- Function trunkline.hold_operation(i_queue, i_operation): locks the row of a running operation until the transaction
-- ends. Whatever an operation does that it must not do after it was aborted, is done in a transaction that has called
-- this first: the fence, and the promotion. So a command that was held up, and wakes after somebody has aborted its
-- operation, changes nothing any more.
-- Errors: 55000 it is not known here, aborted or done; 55P03 after the session's lock_timeout, while
-- somebody else holds it. Tables: reads trunkline.operation. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.hold_operation(i_queue text, i_operation bigint) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform trunkline.running_operation(i_queue, i_operation);
end
$$;
revoke all on function trunkline.hold_operation(text, bigint) from public;

-- Function trunkline.running_operation(i_queue, i_operation): the row that trunkline.hold_operation holds.
create or replace function trunkline.running_operation(i_queue text, i_operation bigint) returns trunkline.operation
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_operation trunkline.operation;
begin
    perform trunkline.be_durable();
    select * into v_operation from trunkline.operation o
     where o.queue_name = i_queue and o.operation_id = i_operation for update;
    if not found then
        raise exception 'operation % of queue % is not known on this node', i_operation, quote_literal(i_queue)
            using errcode = '55000';
    elsif v_operation.step in ('done', 'aborted') then
        raise exception 'operation % of queue % is %', i_operation, quote_literal(i_queue), v_operation.step
            using errcode = '55000', detail = v_operation.error;
    end if;
    return v_operation;
end
$$;
revoke all on function trunkline.running_operation(text, bigint) from public;

-- Function trunkline.be_durable(): has the transaction be on disk when its commit is told, whatever the session's setting is.
-- A server that crashes must not forget what another node has gone on from: that this one is held, or who was elected.
create or replace function trunkline.be_durable() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('synchronous_commit') in ('off', 'local') then
        perform set_config('synchronous_commit', 'on', true);
    end if;
end
$$;
revoke all on function trunkline.be_durable() from public;
