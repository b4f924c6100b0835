-- pgq.insert_event(queue_name, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4): inserts an event.
-- pgq.insert_event(queue_name, ev_type, ev_data): the same, without extra columns.
-- Result: its number. Errors: Queue name must not be NULL; No such queue; Insert into queue disallowed (unless
-- session_replication_role is replica); Queue 'Q' allows max N events from one TX; a type that begins with 'trunkline.',
-- which only capture writes.
-- Tables touched: inserts into the queue's current event table, takes a number of its sequence.
--
-- pgq._make_insert_event(): makes both functions, whose text finds the queue by its name with a few comparisons (a
-- binary search in byte order) and calls its pgq._insert_N. Run when a queue is made or dropped. A queue that they do
-- not know yet goes the long way, through insert_event_raw.
create or replace function pgq._make_insert_event() returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $make$
declare
    v_ids   int4[];
    v_names text[];
    v_form  record;
begin
    -- Two at once would replace the same functions; the next one sees the queues of the one before.
    perform pg_advisory_xact_lock(8391172886302027376);
    select array_agg(q.queue_id order by q.queue_name collate "C"),
           array_agg(q.queue_name order by q.queue_name collate "C")
      into v_ids, v_names
      from pgq.queue q;
    for v_form in
        select * from (values
            ('', 'null, null, null, null'),
            (', ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text', '$4, $5, $6, $7')) f (more, extras)
    loop
        execute format($f$
create or replace function pgq.insert_event(queue_name text, ev_type text, ev_data text%s) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as %L$f$, v_form.more, format($f$
begin
    if left($2, 10) = 'trunkline.' then
        perform pgq._refuse_type($2);
    end if;%s
    return pgq._insert_unknown($1, $2, $3, %s);
end
$f$, pgq._insert_branch(v_ids, v_names, '$2, $3, ' || v_form.extras, '    '), v_form.extras));
    end loop;
end
$make$;

-- pgq._insert_branch(i_ids, i_names, i_arguments, i_indent): the statements that find a queue among some, in byte order
-- of their names. Result: text of PL/pgSQL. Tables touched: none.
create or replace function pgq._insert_branch(i_ids int4[], i_names text[], i_arguments text, i_indent text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_count int4 := coalesce(array_length(i_ids, 1), 0);
    v_half  int4 := v_count / 2;
    v_text  text := '';
begin
    if v_count <= 3 then
        for i in 1 .. v_count loop
            v_text := v_text || format(E'\n%sif $1 = %L then return pgq._insert_%s(%s); end if;',
                                       i_indent, i_names[i], i_ids[i], i_arguments);
        end loop;
        return v_text;
    end if;
    return format(E'\n%1$sif $1 < %2$L collate "C" then%3$s\n%1$selse%4$s\n%1$send if;', i_indent, i_names[v_half + 1],
                  pgq._insert_branch(i_ids[: v_half], i_names[: v_half], i_arguments, i_indent || '    '),
                  pgq._insert_branch(i_ids[v_half + 1 :], i_names[v_half + 1 :], i_arguments, i_indent || '    '));
end
$$;

-- pgq._refuse_type(i_type): types that begin with 'trunkline.' are written by capture only.
create or replace function pgq._refuse_type(i_type text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if left(i_type, 10) = 'trunkline.' then
        raise exception 'event type "%" is reserved', i_type using errcode = '42501',
            hint = 'Types that begin with "trunkline." are written by capture only.';
    end if;
end
$$;

-- pgq._insert_unknown(...): the end of insert_event() for a queue that its text does not name: there is none, or it was
-- made by a transaction that this one's snapshot does not tell apart. Result and errors: as insert_event.
create or replace function pgq._insert_unknown(
    i_queue_name text, i_type text, i_data text, i_extra1 text, i_extra2 text, i_extra3 text, i_extra4 text)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue_name;
    if v_queue.queue_per_tx_limit is not null then
        perform pgq._count_insert(v_queue.queue_id, v_queue.queue_name, v_queue.queue_per_tx_limit, 1);
    end if;
    return pgq.insert_event_raw(i_queue_name, null, null, null, null, i_type, i_data,
                                i_extra1, i_extra2, i_extra3, i_extra4);
end
$$;

-- Makes the functions of the existing queues again: after an upgrade their text may differ.
do $$
begin
    perform pgq._make_insert(q.queue_id) from pgq.queue q order by q.queue_id;
    perform pgq._make_insert_event();
end
$$;
