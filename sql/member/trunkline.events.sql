-- Function trunkline.events(i_queue, i_limit): the newest events of this node, or of one of its queues, the newest first.
--
-- Result: a row an event, as in trunkline.event; other_name is the name of the other node, if it is known.
-- Tables: reads event, member. Users: pgq_reader.
create or replace function trunkline.events(
    i_queue text default null, i_limit int4 default 100,
    out event_id bigint, out queue_name text, out event text, out ok bool, out happened_at timestamptz,
    out term bigint, out details text, out other_node bigint, out other_name text, out told_at timestamptz,
    out tries int4, out error text)
returns setof record
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select e.event_id, e.queue_name, e.event, e.ok, e.happened_at, e.term, e.details, e.other_node, m.name, e.told_at,
               e.tries, e.error
          from trunkline.event e
          left join trunkline.member m on m.queue_name = e.queue_name and m.node_id = e.other_node
         where i_queue is null or e.queue_name = i_queue
         order by e.event_id desc limit i_limit;
end
$$;
revoke all on function trunkline.events(text, int4) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.events(text, int4) to pgq_reader, pgq_admin;
    end if;
end
$$;

-- Function trunkline.waiting_events(): the queues of this node with an event that its command has failed for.
--
-- Result: a row a queue: queue_name, the number of events that wait, and of the oldest of them event, error and seconds
-- since it happened. Tables: reads event. Users: pgq_reader.
create or replace function trunkline.waiting_events(
    out queue_name text, out events bigint, out event text, out error text, out seconds float8)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select distinct on (e.queue_name) e.queue_name, count(*) over (partition by e.queue_name), e.event, e.error,
               greatest(0, extract(epoch from clock_timestamp() - e.happened_at))::float8
          from trunkline.event e
         where e.told_at is null
           and exists (select from trunkline.event f
                        where f.queue_name = e.queue_name and f.told_at is null and f.error is not null)
         order by e.queue_name, e.event_id;
end
$$;
revoke all on function trunkline.waiting_events() from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.waiting_events() to pgq_reader, pgq_admin;
    end if;
end
$$;
