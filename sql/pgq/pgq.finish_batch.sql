-- pgq.finish_batch(x_batch_id): the consumer is done with a batch: its position moves to the batch's end.
-- Result: 1; 0 with a warning if there is no such open batch. Errors: registered by another role.
-- Tables touched: updates subscription.
create or replace function pgq.finish_batch(x_batch_id bigint) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub pgq.subscription;
begin
    v_sub := pgq._subscription_of(x_batch_id);
    v_sub := pgq._lock_subscription(v_sub.sub_queue, v_sub.sub_consumer);
    -- Somebody may have finished it while we waited for the lock.
    if v_sub.sub_batch is distinct from x_batch_id or x_batch_id is null then
        raise warning 'finish_batch: batch % not found', x_batch_id;
        return 0;
    end if;
    if not pgq._is_owner(v_sub.sub_owner) then
        raise exception 'the consumer of batch % was registered by another role', x_batch_id
            using errcode = '42501', hint = 'Ask that role, or a member of pgq_admin.';
    end if;
    -- A sub-consumer has no position: its head's moved when it got the batch.
    perform pgq._set_position(v_sub, case when v_sub.sub_head <> v_sub.sub_consumer then null
                                          else v_sub.sub_next_tick end, null, null);
    return 1;
end
$$;
