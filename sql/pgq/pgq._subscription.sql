-- pgq._subscription(i_queue_name, i_consumer_name): the subscription of a consumer, its row locked.
-- Result: the row. Errors: Not subscriber to queue: Q/C; registered by another role; detached.
-- Tables touched: locks the subscription's row, so that two workers under one name never get the same batch.
create or replace function pgq._subscription(i_queue_name text, i_consumer_name text) returns pgq.subscription
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub pgq.subscription;
begin
    select s.* into v_sub
      from pgq.queue q cross join pgq.consumer c cross join lateral pgq._lock_subscription(q.queue_id, c.co_id) s
     where q.queue_name = i_queue_name and c.co_name = i_consumer_name;
    if v_sub.sub_id is null then
        raise exception 'Not subscriber to queue: %/%', coalesce(i_queue_name, 'NULL'),
            coalesce(i_consumer_name, 'NULL');
    end if;
    if not pgq._is_owner(v_sub.sub_owner) then
        raise exception 'consumer % of queue % was registered by another role', i_consumer_name, i_queue_name
            using errcode = '42501', hint = 'Ask that role, or a member of pgq_admin.';
    end if;
    perform pgq._refuse_detached(v_sub, i_queue_name, i_consumer_name);
    return v_sub;
end
$$;

-- pgq._refuse_detached(i_sub, i_queue_name, i_consumer_name): stops a consumer that was detached, because its events may
-- be gone: going on at a later tick would lose them in silence. Errors: consumer C of queue Q was detached ...
create or replace function pgq._refuse_detached(i_sub pgq.subscription, i_queue_name text, i_consumer_name text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_sub.sub_detached is not null then
        raise exception 'consumer % of queue % was detached at %: %',
            i_consumer_name, i_queue_name, date_trunc('second', i_sub.sub_detached), i_sub.sub_detached_why
            using errcode = '55000',
                  hint = 'Its events may be gone. Unregister it, register it again and load its data anew.';
    end if;
end
$$;
