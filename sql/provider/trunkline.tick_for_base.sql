-- Function trunkline.tick_for_base(i_queue): makes a tick, and exports a snapshot that shows just what the tick shows: the
-- rows that it shows are the rows at that tick. For replay, which makes a base of an archive.
-- Result: the tick's number and tag, the exported snapshot's name (good until the caller's transaction ends); no row
-- where another transaction has ended between the tick's snapshot and the exported one: the caller rolls back and asks again.
-- Errors: no such queue, or one that makes no ticks of its own or is paused; a caller that is not READ COMMITTED.
-- Tables touched: locks the queue's row, inserts into tick.
-- Users must not: keep the transaction open; no tick of the queue is made until it ends.
--
-- The tick's snapshot is taken inside pgq._insert_tick, and a snapshot can be exported by its own statement only. Two
-- snapshots of the same text show the same transactions: the list has each one that runs below its xmax, and whoever
-- ends moves a bound or leaves the list.
create or replace function trunkline.tick_for_base(
    i_queue text, out tick_id bigint, out tick_tag bigint, out snapshot text) returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue    pgq.queue;
    v_tick     bigint;
    v_exported text;
    v_shown    text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a base''s tick is made in a READ COMMITTED transaction' using errcode = '25001';
    end if;
    select * into v_queue from pgq.queue q
     where q.queue_name = i_queue and not q.queue_external_ticker and not q.queue_ticker_paused
       for no key update;
    if not found then
        raise exception 'queue % is not there, or makes no ticks of its own, or is paused', i_queue
            using errcode = '55000';
    end if;
    v_tick := pgq._insert_tick(v_queue, null, null, null);
    select pg_export_snapshot(), txid_current_snapshot()::text into v_exported, v_shown;
    return query
        select t.tick_id, t.tick_tag, v_exported from pgq.tick t
         where t.tick_queue = v_queue.queue_id and t.tick_id = v_tick and t.tick_snapshot::text = v_shown;
end
$$;
revoke all on function trunkline.tick_for_base(text) from public;
