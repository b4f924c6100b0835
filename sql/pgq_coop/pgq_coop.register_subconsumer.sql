-- pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name): makes a worker of a consumer, and
-- the consumer itself if it is not there.
-- Result: 1 new, 0 it was there. Errors: Invalid NULL value; those of pgq.register_consumer; the consumer has an open
-- batch of its own; the name is another consumer's; registered by another role.
-- Tables touched: inserts into pgq.consumer and pgq.subscription.
create or replace function pgq_coop.register_subconsumer(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name   text := i_consumer_name || '.' || i_subconsumer_name;
    v_head   pgq.subscription;
    v_member pgq.subscription;
    v_co_id  int4;
begin
    if v_name is null then
        raise exception 'Invalid NULL value';
    end if;
    perform pgq.register_consumer(i_queue_name, i_consumer_name);
    v_member := pgq_coop._member(i_queue_name, i_consumer_name, i_subconsumer_name);
    if v_member.sub_id is not null then
        return 0;
    end if;
    v_head := pgq._subscription(i_queue_name, i_consumer_name);
    if v_head.sub_head <> v_head.sub_consumer then
        raise exception 'consumer % of queue % is a sub-consumer itself', i_consumer_name, i_queue_name
            using errcode = '55000';
    end if;
    if v_head.sub_batch is not null then
        raise exception 'consumer % of queue % has an open batch', i_consumer_name, i_queue_name
            using errcode = '55006', hint = 'Finish it first: the batches of a cooperating consumer are its workers''.';
    end if;
    insert into pgq.consumer (co_name) values (v_name)
    on conflict (co_name) do update set co_name = excluded.co_name
    returning co_id into v_co_id;
    if exists (select from pgq.subscription s where s.sub_queue = v_head.sub_queue and s.sub_consumer = v_co_id) then
        raise exception 'there is a consumer % of queue % already', v_name, i_queue_name using errcode = '42710';
    end if;
    update pgq.subscription s set sub_head = s.sub_consumer
     where s.sub_queue = v_head.sub_queue and s.sub_consumer = v_head.sub_consumer and s.sub_head is null;
    insert into pgq.subscription (sub_id, sub_queue, sub_consumer, sub_owner, sub_head)
    values (v_head.sub_id, v_head.sub_queue, v_co_id, v_head.sub_owner, v_head.sub_consumer);
    return 1;
end
$$;
