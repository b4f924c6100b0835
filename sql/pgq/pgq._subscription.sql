-- pgq._subscription(i_queue_name, i_consumer_name): the subscription of a consumer, its row locked.
-- Result: the row. Errors: Not subscriber to queue: Q/C; registered by another role.
-- Tables touched: locks the subscription's row, so that two workers under one name never get the same batch.
create or replace function pgq._subscription(i_queue_name text, i_consumer_name text) returns pgq.subscription
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub pgq.subscription;
begin
    select s.* into v_sub
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
     where q.queue_name = i_queue_name and c.co_name = i_consumer_name
       for no key update of s;
    if not found then
        raise exception 'Not subscriber to queue: %/%', i_queue_name, i_consumer_name using errcode = '42704';
    end if;
    if not pgq._is_owner(v_sub.sub_owner) then
        raise exception 'consumer % of queue % was registered by another role', i_consumer_name, i_queue_name
            using errcode = '42501', hint = 'Ask that role, or a member of pgq_admin.';
    end if;
    return v_sub;
end
$$;
