-- pgq.get_holder_info(i_queue_name): who keeps the space of a queue from being used again; null: of all queues.
-- Result: setof record, one row a holder, none where rotation goes on as it should:
--   queue_name    the queue
--   holder_kind   consumer: it has not done the events, or is above the queue's limit; transaction: it is
--                 open since before events that are done (rotation cannot tell yet that it wrote none among
--                 them); prepared: the same, prepared for two-phase commit; lock: a session, as pg_dump, has
--                 a lock on a table that could be emptied; ticker: nothing runs that old, but no tick has
--                 been made since; detached: a consumer that held too much and holds nothing any more
--   holder_name   the consumer, the gid of a prepared transaction, else the session's application_name
--   held_since    since when it waits or is open (null: the installing role may not see that)
--   held_bytes    about how much it holds; what two hold counts for both
--   over_limit    a consumer that is above retention_age or retention_bytes
--   pid, xid      of the session and the transaction, where there is one
--   detail        database and state of a session; why a consumer was detached
-- Tables touched: reads queue, tick, subscription, consumer, the event tables' indexes, pg_stat_activity,
-- pg_prepared_xacts, pg_locks.
create or replace function pgq.get_holder_info(
    i_queue_name text, out queue_name text, out holder_kind text, out holder_name text, out held_since timestamptz,
    out held_bytes bigint, out over_limit bool, out pid int4, out xid bigint, out detail text)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    for v_queue in select * from pgq.queue q where i_queue_name is null or q.queue_name = i_queue_name
                    order by q.queue_name loop
        return query
        select v_queue.queue_name, h.holder_kind, h.holder_name, h.held_since, h.held_bytes, h.over_limit, h.pid, h.xid, h.detail
          from pgq._holders(v_queue) h order by h.held_since nulls first, h.holder_name;
    end loop;
end
$$;

-- pgq.get_holder_info(): of all queues.
create or replace function pgq.get_holder_info(
    out queue_name text, out holder_kind text, out holder_name text, out held_since timestamptz,
    out held_bytes bigint, out over_limit bool, out pid int4, out xid bigint, out detail text)
returns setof record
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select * from pgq.get_holder_info(null) $$;

-- pgq._holders(i_queue): the holders of one queue, for get_holder_info.
create or replace function pgq._holders(
    i_queue pgq.queue, out holder_kind text, out holder_name text, out held_since timestamptz,
    out held_bytes bigint, out over_limit bool, out pid int4, out xid bigint, out detail text)
returns setof record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_tables  text[];
    v_maxima  bigint[];
    v_needed  bigint;
    v_last    pgq.tick;
    v_now     bigint := txid_snapshot_xmax(txid_current_snapshot());
    v_open    bigint;
    v_stuck   bigint;
    v_free    oid[];
    v_bytes   bigint;
begin
    select * into v_last from pgq.tick t where t.tick_queue = i_queue.queue_id
     order by t.tick_queue desc, t.tick_id desc limit 1;
    v_open := txid_snapshot_xmin(v_last.tick_snapshot);
    -- The tables that should be empty by now, each with its youngest event.
    select array_agg(s.name), array_agg(coalesce(s.last_txid, 0)) into v_tables, v_maxima
      from pgq._spare_tables(i_queue.queue_id) s where s.is_full;

    return query
    select 'consumer'::text, c.co_name, b.since, b.bytes,
           coalesce(i_queue.queue_retention_age > interval '0' and b.age > i_queue.queue_retention_age, false)
           or (i_queue.queue_retention_bytes > 0 and b.bytes > i_queue.queue_retention_bytes),
           null::int4, null::bigint, null::text
      from pgq._backlogs(i_queue.queue_id) b
      join pgq.consumer c on c.co_id = b.co_id
     where exists (select from unnest(v_maxima) m (txid) where m.txid >= b.txid and m.txid < v_open)
        or coalesce(i_queue.queue_retention_age > interval '0' and b.age > i_queue.queue_retention_age, false)
        or (i_queue.queue_retention_bytes > 0 and b.bytes > i_queue.queue_retention_bytes);

    -- Events that the last tick shows, of transactions that are younger than one which was open then.
    select max(m.txid), sum(pg_total_relation_size(m.name::regclass)) into v_stuck, v_bytes
      from unnest(v_tables, v_maxima) m (name, txid) where m.txid >= v_open;
    if v_stuck is not null then
        return query
        select o.kind, o.name, o.since, v_bytes, false, o.pid, o.xid, o.detail
          from (select 'transaction'::text as kind, a.application_name as name, a.xact_start as since, a.pid,
                       pgq._full_xid(a.backend_xid, v_now) as xid,
                       format('database %s, %s', a.datname, coalesce(a.state, '?')) as detail
                  from pg_stat_activity a
                 where a.backend_xid is not null and a.pid <> pg_backend_pid()
                union all
                select 'prepared', p.gid, p.prepared, null, pgq._full_xid(p.transaction, v_now),
                       format('database %s', p.database)
                  from pg_prepared_xacts p) o
         where o.xid <= v_stuck;
        if not found then
            return query select 'ticker'::text, null::text, v_last.tick_time, v_bytes, false, null::int4, null::bigint,
                                null::text;
        end if;
    end if;

    -- Event tables that no consumer needs and that still exist although a rotation is due.
    if pgq._is_rotation_due(i_queue) or i_queue.queue_ntables > 3 then
        v_needed := pgq._needed_txid(i_queue.queue_id);
        v_free := array(select m.name::regclass::oid from unnest(v_tables, v_maxima) m (name, txid)
                         where m.txid < v_needed);
        return query
        select 'lock'::text, max(a.application_name), min(a.xact_start),
               sum(pg_total_relation_size(l.relation))::bigint, false, l.pid, null::bigint,
               format('database %s, %s', max(a.datname), coalesce(max(a.state), '?'))
          from (select distinct k.pid, k.relation from pg_locks k
                 where k.locktype = 'relation' and k.granted and k.relation = any (v_free)
                   and k.database = (select d.oid from pg_database d where d.datname = current_database())) l
          join pg_stat_activity a on a.pid = l.pid
         where l.pid <> pg_backend_pid() and coalesce(a.xact_start < clock_timestamp() - interval '1 second', true)
         group by l.pid;
    end if;

    return query
    select 'detached'::text, c.co_name, s.sub_detached, 0::bigint, true, null::int4, null::bigint, s.sub_detached_why
      from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
     where s.sub_queue = i_queue.queue_id and s.sub_detached is not null;
end
$$;

-- pgq._full_xid(i_xid, i_next): the 64-bit number of a transaction that is running or was lately, given the server's next one.
create or replace function pgq._full_xid(i_xid xid, i_next bigint) returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select f.xid - case when f.xid > i_next then 4294967296 else 0 end
      from (select (i_next & ~4294967295) | i_xid::text::bigint as xid) f
$$;
