-- Function trunkline.freeze(...): keeps this node where it stands in the log of a provider that is off, and notes the failover
-- that wants it so. From its commit on no batch commits here: replay moves its position only where nobody holds it, and a batch
-- in hand finds another version of the list of tables. So what the failover then reads of the node's place stays true, should
-- the provider come back at that moment.
--
-- The node is let go when the operation ends or is given up here, or when the node hears of a later provider (trunkline.hear): so
-- does one that was away at the end.
--
-- Arguments: i_operation a random number, the same on all nodes; i_old_node, i_old_name, i_old_term the provider that is off;
--            i_new_node, i_new_name who will probably take its place (trunkline.elect).
-- Result: false: it is held by this operation already.
-- Errors: 55000 the node follows nobody, or has heard of a later provider, or the operation is over; 55006 another operation
-- runs; 55P03 a batch is just being committed: try again.
-- Tables: writes trunkline.operation, position and event; reads history. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.freeze(
    i_queue text, i_operation bigint, i_old_node bigint, i_old_name text, i_old_term bigint, i_new_node bigint, i_new_name text)
returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1 s'
as $$
begin
    if trunkline.is_copy() or not trunkline.follows(i_queue)
       or (select r.role in ('provider', 'fenced') from trunkline.my_role(i_queue) r) then
        raise exception 'this node follows no provider of queue %', quote_literal(i_queue) using errcode = '55000';
    end if;
    perform trunkline.be_durable();
    perform trunkline.refuse_later_provider(i_queue, i_old_term);
    -- An operation that made the provider that is off, and whose command waits for nodes to follow it, is over.
    update trunkline.operation o set step = 'done', changed_at = clock_timestamp()
     where o.queue_name = i_queue and o.step not in ('done', 'aborted') and o.new_node = i_old_node
       and exists (select from trunkline.history h
                    where h.queue_name = i_queue and h.term = i_old_term and h.node_id = i_old_node);
    insert into trunkline.operation (queue_name, operation_id, kind, old_node, old_name, new_node, new_name, was_fenced, step,
                                     old_term)
    values (i_queue, i_operation, 'failover', i_old_node, i_old_name, i_new_node, i_new_name, false, 'freeze', i_old_term)
    on conflict do nothing;
    if found then
        perform trunkline.tell_event(i_queue, 'failover_started', true,
            format('%s is off', coalesce(i_old_name, i_old_node::text)), i_old_node);
    elsif exists (select from trunkline.operation o where o.queue_name = i_queue and o.operation_id = i_operation) then
        perform trunkline.running_operation(i_queue, i_operation);
    else
        perform trunkline.refuse_another_operation(i_queue);
    end if;
    update trunkline.position p set held_by = i_operation, tables_version = p.tables_version + 1
     where p.queue = i_queue and p.held_by is distinct from i_operation;
    return found;
end
$$;
revoke all on function trunkline.freeze(text, bigint, bigint, text, bigint, bigint, text) from public;

-- Function trunkline.refuse_later_provider(i_queue, i_term): 55000 where a node has become the provider after that term.
create or replace function trunkline.refuse_later_provider(i_queue text, i_term bigint) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_later record;
begin
    select coalesce(h.node_name, h.node_id::text) as name, h.term into v_later
      from trunkline.history h where h.queue_name = i_queue and h.term > i_term order by h.term desc limit 1;
    if found then
        raise exception 'node % has become the provider of queue % meanwhile, of term %', v_later.name, quote_literal(i_queue),
                v_later.term using errcode = '55000';
    end if;
end
$$;
revoke all on function trunkline.refuse_later_provider(text, bigint) from public;

-- Function trunkline.let_go(i_queue, i_operation): has replay go on where a failover holds it. For functions of this component
-- only. Tables: writes position.
create or replace function trunkline.let_go(i_queue text, i_operation bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.position') is not null then
        update trunkline.position p set held_by = null where p.queue = i_queue and p.held_by = i_operation;
    end if;
end
$$;
revoke all on function trunkline.let_go(text, bigint) from public;

-- Function trunkline.end_freeze(i_queue): lets this node go where a failover holds it, and a later provider has begun: the
-- command that holds it may be dead, or the node was away when the command ended. For hear only.
-- Tables: reads history; writes operation and position.
create or replace function trunkline.end_freeze(i_queue text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_row record;
begin
    for v_row in
        select o.operation_id, o.new_node = (select n.node_id from trunkline.node n) as is_new
          from trunkline.operation o
         where o.queue_name = i_queue and o.kind = 'failover' and o.step not in ('done', 'aborted')
           and (o.step in ('prepare', 'freeze', 'promote', 'follow') or o.new_node <> (select n.node_id from trunkline.node n))
           and exists (select from trunkline.history h where h.queue_name = i_queue and h.term > o.old_term
                          and h.node_id <> (select n.node_id from trunkline.node n))
           for update
    loop
        update trunkline.operation o
           set step = case when v_row.is_new then 'aborted' else 'done' end, changed_at = clock_timestamp(),
               error = case when v_row.is_new then 'another node has become the provider' end
         where o.queue_name = i_queue and o.operation_id = v_row.operation_id;
        perform trunkline.let_go(i_queue, v_row.operation_id);
    end loop;
end
$$;
revoke all on function trunkline.end_freeze(text) from public;
