-- pgq.maint_rotate_tables_step2(): ends the rotations that step 1 began; in a transaction after it.
-- Result: 0. Tables touched: updates queue.
create or replace function pgq.maint_rotate_tables_step2() returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id int4;
begin
    -- In the order of the names, as pgq.ticker() locks them.
    for v_id in select q.queue_id from pgq.queue q where q.queue_switch_step2 is null order by q.queue_name loop
        update pgq.queue q set queue_switch_step2 = txid_current()
         where q.queue_id = v_id and q.queue_switch_step2 is null;
    end loop;
    return 0;
end
$$;
