-- trunkline.advance(i_queue, i_consumer, i_tick, i_whole): the consumer needs nothing up to a tick any more.
-- Arguments: i_whole: the tables, by oid, that the consumer's subscriber has whole at the tick; null: not said. It counts
-- only if the consumer does not stand further on: a subscriber that was restored from a backup lacks what came after.
-- Result: whether its position moved; never back, and never beyond an existing tick. An open batch is dropped.
-- Errors: Not subscriber to queue: Q/C; no such tick.
-- Tables touched: locks and updates the subscription's row; also sub_active where the position stays.
-- The position that counts is the subscriber's. This one only holds the queue, so it may come late, and seldom.
create or replace function trunkline.advance(
    i_queue text, i_consumer text, i_tick bigint, i_whole oid[] default null) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub   pgq.subscription;
    v_moves bool;
begin
    select * into v_sub from pgq._subscription(i_queue, i_consumer);
    v_moves := i_tick > v_sub.sub_last_tick;
    if v_moves and not exists (select from pgq.tick t where t.tick_queue = v_sub.sub_queue and t.tick_id = i_tick) then
        raise exception 'tick % of queue % does not exist', i_tick, i_queue using errcode = '42704';
    end if;
    perform pgq._set_position(v_sub, greatest(v_sub.sub_last_tick, i_tick), null, null,
                              case when i_tick >= v_sub.sub_last_tick then i_whole end);
    return v_moves;
end
$$;
revoke all on function trunkline.advance(text, text, bigint, oid[]) from public;
grant execute on function trunkline.advance(text, text, bigint, oid[]) to pgq_admin;
