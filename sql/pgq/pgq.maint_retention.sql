-- pgq.maint_retention(i_queue_name): looks for consumers whose backlog is above the queue's limit (retention_age,
-- retention_bytes) and, where retention_action is detach, detaches those that were above at the look before, too: they hold no
-- event any more, and every call of theirs fails with an error that says so.
-- Result: 0. Tables touched: updates subscription; reads tick and the event tables' indexes.
-- Twice and at least a second apart, because a clock that jumps ahead makes everybody look late for a moment.
create or replace function pgq.maint_retention(i_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue   pgq.queue;
    v_backlog record;
    v_why     text;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
    for v_backlog in select b.*, s.sub_over_since from pgq._backlogs(v_queue.queue_id) b
                       join pgq.subscription s on s.sub_queue = v_queue.queue_id and s.sub_consumer = b.co_id
                      order by b.co_id loop
        v_why := case
            when v_queue.queue_retention_age > interval '0' and v_backlog.age > v_queue.queue_retention_age then
                format('its oldest undone event was %s old, retention_age is %s',
                       date_trunc('second', v_backlog.age), v_queue.queue_retention_age)
            when v_queue.queue_retention_bytes > 0 and v_backlog.bytes > v_queue.queue_retention_bytes then
                format('%s followed its position, retention_bytes is %s',
                       pg_size_pretty(v_backlog.bytes), pg_size_pretty(v_queue.queue_retention_bytes))
        end;
        if v_why is null then
            update pgq.subscription s set sub_over_since = null
             where s.sub_queue = v_queue.queue_id and s.sub_consumer = v_backlog.co_id and s.sub_over_since is not null;
        elsif v_backlog.sub_over_since is null then
            update pgq.subscription s set sub_over_since = clock_timestamp()
             where s.sub_queue = v_queue.queue_id and s.sub_consumer = v_backlog.co_id;
        elsif v_queue.queue_retention_action = 'detach'
              and abs(extract(epoch from clock_timestamp() - v_backlog.sub_over_since)) >= 1 then
            -- With all members of a cooperating consumer. Not if it has moved since it was looked at.
            update pgq.subscription s
               set sub_detached = clock_timestamp(), sub_detached_why = v_why, sub_batch = null, sub_next_tick = null
             where s.sub_id = v_backlog.sub_id
               and exists (select from pgq.subscription h
                            where h.sub_queue = v_queue.queue_id and h.sub_consumer = v_backlog.co_id
                              and h.sub_last_tick = v_backlog.tick_id);
        end if;
    end loop;
    return 0;
end
$$;

-- pgq._backlogs(i_queue_id): what follows the position of each consumer that is attached to a queue.
-- Result: setof record: co_id, sub_id, tick_id: where it stands; age: by how much the last tick is younger than the first
-- one that it has not done (null: it stands at the last one); since: the time of that first one; txid:
-- rotation must keep events from here on; bytes: estimate of what it has not done. Tables touched: reads
-- subscription, tick, queue, the event tables' indexes.
create or replace function pgq._backlogs(
    i_queue_id int4, out co_id int4, out sub_id int4, out tick_id bigint, out age interval, out since timestamptz,
    out txid bigint, out bytes bigint)
returns setof record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_snapshot txid_snapshot;
begin
    for co_id, sub_id, tick_id, age, since, txid, v_snapshot in
        select s.sub_consumer, s.sub_id, s.sub_last_tick, l.tick_time - n.tick_time, n.tick_time,
               txid_snapshot_xmin(t.tick_snapshot), t.tick_snapshot
          from pgq.subscription s
          join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
          join pgq.queue q on q.queue_id = s.sub_queue
          cross join lateral (select o.tick_time from pgq.tick o where o.tick_queue = s.sub_queue
                                 and (q.queue_ends_at is null or o.tick_id <= q.queue_ends_at)
                               order by o.tick_queue desc, o.tick_id desc limit 1) l
          left join lateral (select o.tick_time from pgq.tick o
                              where o.tick_queue = s.sub_queue and o.tick_id > s.sub_last_tick
                                and (q.queue_ends_at is null or o.tick_id <= q.queue_ends_at)
                              order by o.tick_queue, o.tick_id limit 1) n on true
         where s.sub_queue = i_queue_id and s.sub_detached is null
    loop
        -- From xmax on: older transactions that were open at the tick are no fault of the consumer.
        bytes := case when since is null then 0 else
                      (select sum(pgq._bytes_from(e.name, txid_snapshot_xmax(v_snapshot)))
                         from pgq.queue q, pgq._event_tables(q.queue_data_pfx, q.queue_ntables) e (name)
                        where q.queue_id = i_queue_id) end;
        return next;
    end loop;
end
$$;

-- pgq._bytes_from(i_table, i_txid): about how many bytes of an event table, its index and TOAST included, belong to
-- transactions from i_txid on: events are written one after the other, so it is what follows the first one.
-- Result: bigint. Tables touched: one probe of the event table's index.
create or replace function pgq._bytes_from(i_table text, i_txid bigint) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_page  bigint;
    v_pages bigint;
begin
    execute format('select (e.ctid::text::point)[0]::bigint from only %s e where e.ev_txid >= $1 order by e.ev_txid limit 1',
                   i_table) into v_page using i_txid;
    if v_page is null then
        return 0;
    end if;
    v_pages := greatest(1, pg_relation_size(i_table::regclass) / current_setting('block_size')::int4);
    return (pg_total_relation_size(i_table::regclass)::numeric * greatest(0, v_pages - v_page) / v_pages)::bigint;
end
$$;
