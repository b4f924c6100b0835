-- Function trunkline.next_event(i_queue): the oldest event of a queue that is not told yet, with what the command may be
-- given beside it, as it is now.
--
-- Result: one row or none.
--   event_id, event, ok, details, term, tries   as in trunkline.event
--   happened_at   in UTC, as the server writes times
--   node, other_node   their numbers; of a node that has none its id; other_node '': there is none
--   provider, client   the provider's name (its id, if it has none) and how clients reach it; '': not known
-- No row of a copy that was restored elsewhere: its events happened to another node.
-- Tables: reads event, node, member, role, history. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.next_event(
    i_queue text, out event_id bigint, out event text, out ok bool, out happened_at text, out details text,
    out term bigint, out node text, out other_node text, out provider text, out client text, out tries int4)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if not exists (select from trunkline.event e where e.queue_name = i_queue and e.told_at is null)
       or trunkline.is_copy() then
        return;
    end if;
    return query
        select e.event_id, e.event, e.ok, to_char(e.happened_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00',
               coalesce(e.details, ''), e.term, coalesce(n.number, n.node_id)::text,
               coalesce(m.number::text, e.other_node::text, ''), coalesce(p.name, p.node_id::text, ''),
               coalesce(p.client, ''), e.tries
          from trunkline.event e
         cross join trunkline.node n
          left join trunkline.member m on m.queue_name = e.queue_name and m.node_id = e.other_node
          left join trunkline.known_provider(i_queue) p on true
         where e.queue_name = i_queue and e.told_at is null
         order by e.event_id limit 1;
end
$$;
revoke all on function trunkline.next_event(text) from public;

-- Function trunkline.mark_event(i_event, i_error): notes that an event is told, or why it is not yet. For replay.
-- Tables: writes trunkline.event. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.mark_event(i_event bigint, i_error text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update trunkline.event e
       set told_at = case when i_error is null then clock_timestamp() end,
           tries = e.tries + case when i_error is null then 0 else 1 end, error = left(i_error, 2000)
     where e.event_id = i_event and e.told_at is null;
end
$$;
revoke all on function trunkline.mark_event(bigint, text) from public;
