-- pgq.unregister_consumer(x_queue_name, x_consumer_name): removes a consumer from a queue, with its retries and, for
-- the head of a cooperating consumer, its members.
-- Result: how many were removed; 0 if there is none. Errors: registered by another role.
-- Tables touched: deletes from subscription, retry_queue, and consumer if the name is used nowhere else.
create or replace function pgq.unregister_consumer(x_queue_name text, x_consumer_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub     pgq.subscription;
    v_removed int4;
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
    -- A member has both ticks or none; the head, whose batches the members hold, has its position only.
    if (v_sub.sub_last_tick is null) = (v_sub.sub_next_tick is null)
       and (select count(*) from pgq.subscription s where s.sub_id = v_sub.sub_id) > 1 then
        delete from pgq.subscription s where s.sub_queue = v_sub.sub_queue and s.sub_consumer = v_sub.sub_consumer;
        v_removed := 1;
    else
        delete from pgq.retry_queue r where r.ev_owner = v_sub.sub_id;
        delete from pgq.subscription s where s.sub_id = v_sub.sub_id;
        get diagnostics v_removed = row_count;
    end if;
    delete from pgq.consumer c
     where c.co_id = v_sub.sub_consumer
       and not exists (select from pgq.subscription s where s.sub_consumer = c.co_id);
    return v_removed;
end
$$;
