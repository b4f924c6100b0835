-- Function trunkline.begin_set(i_queue): makes this node, which has the data and takes the writes, the first provider
-- of the set of the queue's name: term 1. Harmless where it has a role.
-- Result: whether it had none. Errors: 42704 no such queue; 55000 replay brings this queue's tables into this database,
-- so that another node is their provider. Tables: writes trunkline.role, history and event.
-- Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.begin_set(i_queue text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from pgq.queue q where q.queue_name = i_queue) then
        raise exception 'queue % does not exist', quote_literal(i_queue) using errcode = '42704',
            hint = 'Make it with `replay install` or `ticker install`.';
    elsif exists (select from trunkline.role r where r.queue_name = i_queue) then
        return false;
    elsif trunkline.follows(i_queue) then
        raise exception 'this database gets the tables of queue % by replay', quote_literal(i_queue)
            using errcode = '55000', hint = 'Its provider is another database: do it there.';
    end if;
    insert into trunkline.role (queue_name, role, term) values (i_queue, 'provider', 1) on conflict do nothing;
    if not found then
        return false;
    end if;
    insert into trunkline.history (queue_name, term, kind, node_id, node_name, epoch, tick_id, tick_tag)
    select i_queue, 1, 'first', n.node_id, n.name, q.queue_epoch, t.tick_id, t.tick_tag
      from trunkline.node n, pgq.queue q
      join lateral (select t.tick_id, t.tick_tag from pgq.tick t where t.tick_queue = q.queue_id
                     order by t.tick_queue desc, t.tick_id desc limit 1) t on true
     where q.queue_name = i_queue;
    perform trunkline.tell_event(i_queue, 'primary_register', true, null, null);
    return true;
end
$$;
revoke all on function trunkline.begin_set(text) from public;
