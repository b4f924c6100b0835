-- trunkline.next_batch(i_queue, i_from_tick, i_max_events, i_where, i_upto_tick): what replay reads next.
-- Arguments: the tick where it stands; the wished greatest number of events; a condition over the event columns,
-- trusted SQL, or null; the last tick to take, or null.
-- Errors: No such event queue; 55000 the log has ended, and this node follows another one. Result: one row.
--   epoch      identity of the queue
--   from_tag   tag of i_from_tick; null: there is no such tick any more, or events that follow it were truncated
--   to_tick    the last tick at most i_max_events away, but at least the next one; null: nothing newer, or the log ends
--              here (pgq.queue.queue_ends_at)
--   to_tag, to_time   of to_tick
--   last_tick  the last tick of the queue, or of its log
--   events_sql query for the events in between, as pgq.events_sql makes it; null where to_tick or from_tag is
--   to_origins what to_tick contains of other nodes' queues: pgq.tick.tick_origins
--   path       the nodes whose changes may be among the events in between: this one first, then those of the ticks
--              up to to_tick (pgq.tick.tick_path); null: this database has no node id, its schema came with a dump
-- Reads only and locks nothing: the position is the subscriber's, and a replay asks this many times a second.
-- Tables touched: reads queue and tick, by probes of their indexes.
create or replace function trunkline.next_batch(
    i_queue text, i_from_tick bigint, i_max_events bigint, i_where text default null, i_upto_tick bigint default null)
returns table (epoch bigint, from_tag bigint, to_tick bigint, to_tag bigint, to_time timestamptz, last_tick bigint,
               events_sql text, to_origins jsonb, path bigint[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id   int4;
    v_gone bigint;
    v_ends bigint;
    v_from pgq.tick;
    v_last pgq.tick;
    v_to   pgq.tick;
begin
    select q.queue_id, q.queue_epoch, q.queue_truncated_txid, q.queue_ends_at into v_id, epoch, v_gone, v_ends
      from pgq.queue q where q.queue_name = i_queue;
    if not found then
        raise exception 'No such event queue' using errcode = '42704', detail = coalesce(i_queue, 'null');
    end if;
    -- A range in the key's order, and not an equality: before its first ANALYZE the server takes tick_event_seq_idx for an
    -- equality, and reads that index from end to end.
    select * into v_from from pgq.tick t where t.tick_queue = v_id and t.tick_id >= i_from_tick and t.tick_id <= i_from_tick
     order by t.tick_queue, t.tick_id limit 1;
    -- Rotation leaves ticks for a while after the events that follow them.
    if txid_snapshot_xmin(v_from.tick_snapshot) > v_gone then
        from_tag := v_from.tick_tag;
    end if;
    select * into v_last from pgq.tick t where t.tick_queue = v_id
     order by t.tick_queue desc, t.tick_id desc limit 1;
    last_tick := least(v_last.tick_id, v_ends);
    i_upto_tick := least(i_upto_tick, v_ends);
    if v_ends <= i_from_tick and from_tag is not null then
        perform trunkline.refuse_ended(i_queue, v_ends);
    end if;
    if from_tag is null or last_tick <= i_from_tick or i_upto_tick <= i_from_tick then
        return next;
        return;
    end if;
    if v_last.tick_id <= coalesce(i_upto_tick, v_last.tick_id)
       and v_last.tick_event_seq - v_from.tick_event_seq <= i_max_events then
        -- The usual case: near the end.
        v_to := v_last;
    else
        -- tick_event_seq never falls along the chain, so the index finds the last tick that is near enough at once.
        select * into v_to from pgq.tick t
         where t.tick_queue = v_id and t.tick_event_seq <= v_from.tick_event_seq + i_max_events
         order by t.tick_queue desc, t.tick_event_seq desc, t.tick_id desc limit 1;
        if v_to.tick_id > i_upto_tick then
            select * into v_to from pgq.tick t
             where t.tick_queue = v_id and t.tick_id <= i_upto_tick
             order by t.tick_queue desc, t.tick_id desc limit 1;
        end if;
        if v_to.tick_id is null or v_to.tick_id <= i_from_tick then
            select * into v_to from pgq.tick t
             where t.tick_queue = v_id and t.tick_id > i_from_tick and t.tick_id <= coalesce(i_upto_tick, t.tick_id)
             order by t.tick_queue, t.tick_id limit 1;
        end if;
    end if;
    if v_to.tick_id is not null then
        to_tick := v_to.tick_id;
        to_tag := v_to.tick_tag;
        to_time := v_to.tick_time;
        events_sql := pgq._snapshot_events_sql(v_id, v_from.tick_snapshot, v_to.tick_snapshot,
                                               ' and ev_owner is null' || coalesce(' and (' || i_where || ')', ''));
        to_origins := v_to.tick_origins;
        path := v_to.tick_path;
        if to_tick > i_from_tick + 1 then
            -- Of all ticks in between, since a later one may know less: replay here has stopped to read from somebody meanwhile.
            path := array(select distinct a.node
                            from pgq.tick t cross join unnest(t.tick_path) a (node)
                           where t.tick_queue = v_id and t.tick_id > i_from_tick and t.tick_id <= v_to.tick_id
                             and t.tick_path is not null
                           order by a.node);
        end if;
        path := (select n.node_id || path from trunkline.node n);
    end if;
    return next;
end
$$;
revoke all on function trunkline.next_batch(text, bigint, bigint, text, bigint) from public;
grant execute on function trunkline.next_batch(text, bigint, bigint, text, bigint) to pgq_admin;

-- Function trunkline.refuse_ended(i_queue, i_tick): a reader that has all of a log which goes on at another node is told so: it
-- would wait for ever. As long as the node is only fenced, its log may go on here.
create or replace function trunkline.refuse_ended(i_queue text, i_tick bigint) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if trunkline.has_ended(i_queue) then
        raise exception 'the log of queue % ends at tick %: this node is a standby now', quote_literal(i_queue), i_tick
            using errcode = '55000',
                  hint = 'Another node takes the writes. Name all hosts of the set in provider_db: replay finds out whom to follow.';
    end if;
end
$$;
revoke all on function trunkline.refuse_ended(text, bigint) from public;

-- Function trunkline.has_ended(i_queue): whether the log of a queue has ended, and another node goes on. Who comes to read the
-- rest of it is no reason to log what replay writes here now. Tables: reads queue and role. Users: pgq_admin.
create or replace function trunkline.has_ended(i_queue text) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.role') is null then
        return false;
    end if;
    return exists (select from pgq.queue q join trunkline.role r on r.queue_name = q.queue_name
                    where q.queue_name = i_queue and q.queue_ends_at is not null and r.role = 'standby');
end
$$;
revoke all on function trunkline.has_ended(text) from public;
grant execute on function trunkline.has_ended(text) to pgq_admin;
