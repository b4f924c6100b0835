-- Function trunkline.nodes(i_queue): all nodes of this node's sets, this one first.
--
-- A node that follows without a role is a reader of term 0. It is in a set once it has met another node of it.
-- Result: a row a node.
--   own             it is this node
--   node_id, name, role, term, since, upstream, upstream_name, problem   as in trunkline.members
--   consumer        as what it reads from its provider, or would read; null: nobody has said
--   behind          how many ticks the furthest node that reads from the same log is ahead of it, as far as was heard; null: it
--                   reads from none
--   heard_seconds   as in trunkline.members; 0 of this node
-- Tables: reads role, member, node and position. Users: pgq_reader.
create or replace function trunkline.nodes(
    i_queue text default null,
    out queue_name text, out own bool, out node_id bigint, out name text, out role text, out term bigint,
    out since timestamptz, out upstream bigint, out upstream_name text, out consumer text, out behind bigint,
    out heard_seconds float8, out problem text)
returns setof record
language plpgsql stable security definer rows 5
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_follows jsonb := '[]';
begin
    -- Schema trunkline may have no table of positions.
    if to_regclass('trunkline.position') is not null then
        select coalesce(jsonb_agg(to_jsonb(p)), '[]') into v_follows
          from (select distinct on (p.queue) p.queue as queue_name, p.followed[1] as upstream, p.consumer, p.epoch, p.tick_id
                  from trunkline.position p order by p.queue, p.applied_at desc, p.consumer) p;
    end if;
    return query
        with follows as (
            select f.*
              from jsonb_to_recordset(v_follows)
                       f (queue_name text, upstream bigint, consumer text, epoch bigint, tick_id bigint)
             where exists (select from trunkline.role r where r.queue_name = f.queue_name)
                or exists (select from trunkline.member m where m.queue_name = f.queue_name)),
        place as (
            select f.queue_name, f.epoch, f.tick_id from follows f
             union all
            select m.queue_name, m.epoch, m.tick_id from trunkline.member m where m.role in ('standby', 'reader')),
        furthest as (select p.queue_name, p.epoch, max(p.tick_id) as tick_id from place p group by p.queue_name, p.epoch),
        one as (
            select coalesce(r.queue_name, f.queue_name) as queue_name, n.node_id, n.name,
                   coalesce(r.role, case when trunkline.is_copy() then 'copy' else 'reader' end) as role,
                   coalesce(r.term, 0) as term, r.since, f.upstream, coalesce(f.consumer, (select a.consumer from trunkline.role a where a.queue_name = r.queue_name)) as consumer, f.epoch, f.tick_id
              from trunkline.my_role() r
              full join follows f on f.queue_name = r.queue_name
             cross join trunkline.node n),
        node as (
            select o.queue_name, true as own, o.node_id, o.name, o.role, o.term, o.since, o.upstream,
                   (select u.name from trunkline.member u
                     where u.queue_name = o.queue_name and u.node_id = o.upstream) as upstream_name,
                   o.consumer, o.epoch, o.tick_id, 0::float8 as heard_seconds, null::text as problem
              from one o
             union all
            select s.queue_name, false, s.node_id, s.name, s.role, s.term, s.since, s.upstream, s.upstream_name,
                   m.consumer, case when m.role in ('standby', 'reader') then m.epoch end, m.tick_id, s.heard_seconds, s.problem
              from trunkline.members() s
              join trunkline.member m on m.queue_name = s.queue_name and m.node_id = s.node_id)
        select o.queue_name, o.own, o.node_id, o.name, o.role, o.term, o.since, o.upstream, o.upstream_name, o.consumer,
               x.tick_id - o.tick_id, o.heard_seconds, o.problem
          from node o
          left join furthest x on x.queue_name = o.queue_name and x.epoch = o.epoch
         where i_queue is null or o.queue_name = i_queue
         order by o.queue_name, o.own desc, o.term desc, o.name, o.node_id;
end
$$;
revoke all on function trunkline.nodes(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_reader') then
        grant execute on function trunkline.nodes(text) to pgq_reader;
    end if;
end
$$;
