-- pgq.event_retry_raw(...): puts an event into the retry queue by its columns, for a consumer of a queue.
-- Result: the event's number. Errors: consumer not registered; a type that begins with 'trunkline.'.
-- Tables touched: inserts into retry_queue.
create or replace function pgq.event_retry_raw(
    x_queue text, x_consumer text, x_retry_after timestamptz, x_ev_id bigint, x_ev_time timestamptz, x_ev_retry int4,
    x_ev_type text, x_ev_data text, x_ev_extra1 text, x_ev_extra2 text, x_ev_extra3 text, x_ev_extra4 text)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sub pgq.subscription;
    v_id  bigint;
begin
    begin
        v_sub := pgq._subscription(x_queue, x_consumer);
    exception
        when raise_exception then
            raise exception 'consumer not registered';
    end;
    perform pgq._refuse_retry(x_ev_type);
    v_id := coalesce(x_ev_id, nextval((select q.queue_event_seq from pgq.queue q
                                        where q.queue_id = v_sub.sub_queue)::regclass));
    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data,
                                 ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_after, v_sub.sub_queue, v_id, x_ev_time, v_sub.sub_id, x_ev_retry,
            x_ev_type, x_ev_data, x_ev_extra1, x_ev_extra2, x_ev_extra3, x_ev_extra4);
    return v_id;
end
$$;

-- pgq._refuse_retry(i_type): changes of tables must keep their order: such an event cannot come back later.
create or replace function pgq._refuse_retry(i_type text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if left(i_type, 10) = 'trunkline.' then
        raise exception 'event type "%" cannot be retried', i_type using errcode = '42501',
            hint = 'Types that begin with "trunkline." are changes of tables, which must be applied in their order.';
    end if;
end
$$;

-- pgq._batch_retry(i_batch_id, i_ev_id, i_at): puts one event of an open batch, or all, into the retry queue.
-- Result: how many were put there; those that are there already do not count. Users must not: call it.
create or replace function pgq._batch_retry(i_batch_id bigint, i_ev_id bigint, i_at timestamptz) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_sub   pgq.subscription;
    v_event record;
    v_found int4 := 0;
    v_added int4 := 0;
begin
    v_sub := pgq._subscription_of(i_batch_id);
    if v_sub.sub_batch is null then
        raise exception '%', case when i_ev_id is null then
                                      format('batch_retry: batch %s not found', coalesce(i_batch_id::text, '<NULL>'))
                                  else 'event not found' end;
    end if;
    if not pgq._is_owner(v_sub.sub_owner) then
        raise exception 'the consumer of batch % was registered by another role', i_batch_id
            using errcode = '42501', hint = 'Ask that role, or a member of pgq_admin.';
    end if;
    for v_event in execute format('select * from (%s) ev %s order by ev_id', pgq.batch_event_sql(i_batch_id),
                                  'where ev_id = ' || i_ev_id) loop
        v_found := v_found + 1;
        continue when exists (select from pgq.retry_queue r
                               where r.ev_owner = v_sub.sub_id and r.ev_id = v_event.ev_id);
        perform pgq._refuse_retry(v_event.ev_type);
        insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data,
                                     ev_extra1, ev_extra2, ev_extra3, ev_extra4)
        values (i_at, v_sub.sub_queue, v_event.ev_id, v_event.ev_time, v_sub.sub_id, coalesce(v_event.ev_retry, 0) + 1,
                v_event.ev_type, v_event.ev_data,
                v_event.ev_extra1, v_event.ev_extra2, v_event.ev_extra3, v_event.ev_extra4)
        on conflict do nothing;
        if found then
            v_added := v_added + 1;
        end if;
    end loop;
    if i_ev_id is not null and v_found = 0 then
        raise exception 'event not found' using detail = i_ev_id::text;
    end if;
    return v_added;
end
$$;

-- pgq.event_retry(x_batch_id, x_event_id, x_retry_time): the consumer wants one event of its open batch again, at a
-- given time. Result: 1, or 0 if it is waiting already. Errors: batch not found; event not found.
-- Tables touched: reads the event tables, inserts into retry_queue.
create or replace function pgq.event_retry(
    x_batch_id bigint, x_event_id bigint, x_retry_time timestamptz) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if x_event_id is null then
        raise exception 'event not found';
    end if;
    return pgq._batch_retry(x_batch_id, x_event_id, x_retry_time);
end
$$;

-- pgq.event_retry(x_batch_id, x_event_id, x_retry_seconds): the same, after a number of seconds.
create or replace function pgq.event_retry(
    x_batch_id bigint, x_event_id bigint, x_retry_seconds int4) returns int4
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq.event_retry(x_batch_id, x_event_id, now() + x_retry_seconds * interval '1 second') $$;

-- pgq.batch_retry(i_batch_id, i_retry_seconds): the consumer wants all events of its open batch again.
-- Result: how many were queued. Errors: batch_retry: batch N not found.
create or replace function pgq.batch_retry(i_batch_id bigint, i_retry_seconds int4) returns int4
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq._batch_retry(i_batch_id, null, now() + i_retry_seconds * interval '1 second') $$;
