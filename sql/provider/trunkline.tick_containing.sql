-- trunkline.tick_containing(i_queue, i_snapshot): the first tick that sees all that a snapshot sees. Of a log that has ended the
-- last tick sees all rows that any later snapshot does.
-- Result: the tick's number, or null if there is none yet (or no such queue). Tables touched: reads queue and tick.
-- Along the chain, once a tick contains the snapshot all later ones do: halving finds the first in a few probes.
create or replace function trunkline.tick_containing(i_queue text, i_snapshot txid_snapshot) returns bigint
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id   int4;
    v_ends bigint;
    v_low  bigint;
    v_high bigint;
    v_tick record;
begin
    select q.queue_id, q.queue_ends_at into v_id, v_ends from pgq.queue q where q.queue_name = i_queue;
    select t.tick_id, t.tick_snapshot into v_tick from pgq.tick t where t.tick_queue = v_id
     order by t.tick_queue desc, t.tick_id desc limit 1;
    if not found or not pgq.snapshot_contains(v_tick.tick_snapshot, i_snapshot) then
        return v_ends;
    end if;
    -- The answer is in v_low .. v_high, and v_high is a tick that contains the snapshot.
    v_high := v_tick.tick_id;
    select t.tick_id into v_low from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id >= q.queue_first_tick
     where q.queue_id = v_id order by t.tick_queue, t.tick_id limit 1;
    while v_low < v_high loop
        -- The last tick up to the middle; numbers have gaps, but v_low is one, so there is one.
        select t.tick_id, t.tick_snapshot into v_tick from pgq.tick t
         where t.tick_queue = v_id and t.tick_id between v_low and (v_low + v_high) / 2
         order by t.tick_queue desc, t.tick_id desc limit 1;
        if pgq.snapshot_contains(v_tick.tick_snapshot, i_snapshot) then
            v_high := v_tick.tick_id;
        else
            select t.tick_id into v_low from pgq.tick t
             where t.tick_queue = v_id and t.tick_id > v_tick.tick_id
             order by t.tick_queue, t.tick_id limit 1;
        end if;
    end loop;
    return least(v_high, v_ends);
end
$$;
revoke all on function trunkline.tick_containing(text, txid_snapshot) from public;
grant execute on function trunkline.tick_containing(text, txid_snapshot) to pgq_admin;
