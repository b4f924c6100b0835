-- Function trunkline.tick_now(i_queue): makes a tick, where the queue makes its own ticks and is not paused.
-- For place_of and for replay, which has something to say that only a tick shows. Tables: reads queue; makes a tick.
create or replace function trunkline.tick_now(i_queue text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    select * into v_queue from pgq.queue q
     where q.queue_name = i_queue and not q.queue_external_ticker and not q.queue_ticker_paused
       for no key update;
    if found then
        perform pgq._insert_tick(v_queue, null, null, null);
    end if;
end
$$;
revoke all on function trunkline.tick_now(text) from public;
