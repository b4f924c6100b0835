-- Function trunkline.members(i_queue): the other nodes of this node's sets, as it has last heard of each, with what is
-- wrong with them.
--
-- Result: a row a node.
--   node_id, name, role, term, since, upstream   as in trunkline.member
--   upstream_name   the name of that node, if it is known
--   heard_seconds   seconds since it was heard, at most some ten too many
--   problem         why no node of the set can be trusted to be the provider; null: nothing is wrong
-- Tables: reads member, role, node. Users: pgq_reader.
create or replace function trunkline.members(
    i_queue text default null,
    out queue_name text, out node_id bigint, out name text, out role text, out term bigint, out since timestamptz,
    out upstream bigint, out upstream_name text, out heard_seconds float8, out problem text)
returns setof record
language plpgsql stable security definer rows 5
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select m.queue_name, m.node_id, m.name, m.role, m.term, m.since, m.upstream,
               coalesce(u.name, case when m.upstream = n.node_id then n.name end),
               greatest(0, extract(epoch from clock_timestamp() - m.heard_at))::float8,
               case
                   when m.node_id = n.node_id
                       then 'another server has the identity of this node: a copy of the files of its cluster'
                   when m.twin_heard_at is not null
                       then 'two servers have the identity of this node: one is a copy of the other''s files'
                   when r.role = 'provider' and m.role = 'provider' and m.term = r.term
                       then format('two providers of term %s: this node is one, too', m.term)
                   when r.role = 'provider' and m.term > r.term
                       then format('it has term %s: this node is a provider of term %s and must be fenced',
                                    m.term, r.term)
               end
          from trunkline.member m
         cross join trunkline.node n
          left join trunkline.role r on r.queue_name = m.queue_name
          left join trunkline.member u on u.queue_name = m.queue_name and u.node_id = m.upstream
         where i_queue is null or m.queue_name = i_queue
         order by m.queue_name, m.term desc, m.name, m.node_id;
end
$$;
revoke all on function trunkline.members(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_reader') then
        grant execute on function trunkline.members(text) to pgq_reader;
    end if;
end
$$;

-- Function trunkline.forget_member(i_queue, i_node): takes a node out of a set that is gone for ever: also that it was a
-- second provider, or a second server of one identity. The other nodes hear of it at their next meeting with this one
-- (trunkline.hear), so that what they have heard of the node does not count any more. Should it be heard again, it is
-- known again.
-- Result: whether it was known. Tables: writes member and removed_member. Users: the schema's owner.
create or replace function trunkline.forget_member(i_queue text, i_node bigint) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- A row of this node's own id is another server, and what is known of this node stays.
    insert into trunkline.removed_member (queue_name, node_id)
    select i_queue, i_node where i_node is distinct from (select n.node_id from trunkline.node n)
        on conflict (queue_name, node_id) do update set removed_at = clock_timestamp();
    delete from trunkline.member m where m.queue_name = i_queue and m.node_id = i_node;
    return found;
end
$$;
revoke all on function trunkline.forget_member(text, bigint) from public;
