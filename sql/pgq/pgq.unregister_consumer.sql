-- pgq.unregister_consumer(x_queue_name, x_consumer_name): removes a consumer from a queue, with its retries and, for
-- the head of a cooperating consumer, its members.
-- Result: how many were removed; 0 if there is none. Errors: registered by another role.
-- Tables touched: deletes from subscription, retry_queue, and consumer if the name is used nowhere else.
create or replace function pgq.unregister_consumer(x_queue_name text, x_consumer_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub  pgq.subscription;
    v_gone int4[];
begin
    select s.* into v_sub
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
     where q.queue_name = x_queue_name and c.co_name = x_consumer_name
       for update of s, c;
    if not found then
        return 0;
    end if;
    if not pgq._is_owner(v_sub.sub_owner) then
        raise exception 'consumer % of queue % was registered by another role', x_consumer_name, x_queue_name
            using errcode = '42501', hint = 'Ask that role, or a member of pgq_admin.';
    end if;
    with gone as (
        delete from pgq.subscription s
         where s.sub_queue = v_sub.sub_queue and s.sub_id = v_sub.sub_id
           and (s.sub_consumer = v_sub.sub_consumer or v_sub.sub_head = v_sub.sub_consumer)
        returning s.sub_consumer)
    select array_agg(g.sub_consumer) into v_gone from gone g;
    perform pgq._end_group(v_sub);
    delete from pgq.retry_queue r
     where r.ev_owner = v_sub.sub_id
       and not exists (select from pgq.subscription s where s.sub_id = v_sub.sub_id);
    delete from pgq.consumer c
     where c.co_id = any (v_gone)
       and not exists (select from pgq.subscription s where s.sub_consumer = c.co_id);
    return cardinality(v_gone);
end
$$;

-- pgq._end_group(i_sub): when the last sub-consumer of a subscription's consumer is gone, that is an ordinary one again.
-- Tables touched: updates subscription.
create or replace function pgq._end_group(i_sub pgq.subscription) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    update pgq.subscription s set sub_head = null
     where s.sub_queue = i_sub.sub_queue and s.sub_consumer = i_sub.sub_head
       and not exists (select from pgq.subscription m
                        where m.sub_queue = i_sub.sub_queue and m.sub_head = i_sub.sub_head
                          and m.sub_consumer <> m.sub_head)
$$;
