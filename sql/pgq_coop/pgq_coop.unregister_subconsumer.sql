-- pgq_coop.unregister_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name, i_batch_handling): removes a worker.
-- Arguments: i_batch_handling: what becomes of its open batch: 0 refuse to remove it, 1 drop the batch: its events are
-- not seen again. Result: 1 removed, 0 there is none.
-- Errors: Not subscriber to queue: Q/C; it has an open batch (0); registered by another role.
-- Tables touched: deletes from pgq.subscription, and from pgq.consumer if the name is used nowhere else.
create or replace function pgq_coop.unregister_subconsumer(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_batch_handling int4) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_member pgq.subscription;
begin
    v_member := pgq_coop._member(i_queue_name, i_consumer_name, i_subconsumer_name);
    if v_member.sub_id is null then
        return 0;
    end if;
    if v_member.sub_batch is not null and i_batch_handling is distinct from 1 then
        raise exception 'sub-consumer % of consumer % has an open batch', i_subconsumer_name, i_consumer_name
            using errcode = '55006', hint = 'Finish it, or say 1: drop the batch.';
    end if;
    perform pgq_coop._remove(v_member);
    perform pgq._end_group(v_member);
    return 1;
end
$$;
