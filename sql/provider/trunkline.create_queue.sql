-- trunkline.create_queue(i_queue): makes a queue for replication: every look of the ticker at it makes a tick if there
-- is anything new, and nobody but capture writes events of capture's types (pgq.grant_perms).
-- Result: 1 made, 0 it was there (its settings are left alone).
-- Errors and tables touched: as pgq.create_queue.
create or replace function trunkline.create_queue(i_queue text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_made int4 := pgq.create_queue(i_queue);
begin
    if v_made = 1 then
        perform pgq.set_queue_config(i_queue, 'ticker_max_count', '1');
        perform pgq.set_queue_config(i_queue, 'ticker_max_lag', '0');
        perform trunkline.make_put(q.queue_id) from pgq.queue q where q.queue_name = i_queue;
    end if;
    return v_made;
end
$$;
revoke all on function trunkline.create_queue(text) from public;
grant execute on function trunkline.create_queue(text) to pgq_admin;
