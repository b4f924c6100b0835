-- pgq_coop._member(i_queue_name, i_consumer_name, i_subconsumer_name): the subscription of a sub-consumer, a row of
-- pgq.subscription under the name CONSUMER.SUB with the sub_id of its consumer, the head. The head's row is locked too,
-- and first: that makes all that the group does one after the other.
-- Result: the row; all nulls if there is no such sub-consumer.
-- Errors: Not subscriber to queue: Q/C; registered by another role.
-- Tables touched: locks rows of subscription.
create or replace function pgq_coop._member(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text) returns pgq.subscription
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_head   pgq.subscription;
    v_member pgq.subscription;
begin
    v_head := pgq._subscription(i_queue_name, i_consumer_name);
    select s.* into v_member
      from pgq.consumer c cross join lateral pgq._lock_subscription(v_head.sub_queue, c.co_id) s
     where c.co_name = i_consumer_name || '.' || i_subconsumer_name;
    if v_member.sub_head <> v_head.sub_consumer or v_member.sub_head is null then
        v_member := null;
    end if;
    return v_member;
end
$$;
