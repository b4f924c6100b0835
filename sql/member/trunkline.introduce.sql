-- Function trunkline.introduce(i_queue): what this node says of itself at a meeting of the nodes of a set.
--
-- Result: an object; its readers ignore keys that they do not know.
--   node, name, number, client   who it is (trunkline.node); node null: its schema came with a dump
--   started       when its server was started
--   in_recovery   the server takes no writes at all: a physical copy of another node
--   role, term, since    as in trunkline.my_role; a node that follows without a role is a reader of term 0, or a
--                 copy (trunkline.is_copy); null: a plain database
--   epoch         identity of its queue; null: it has none
--   upstream      the node that it reads from; null: none
--   consumer      as what it reads there, or would read
--   ended         it is fenced, and another node has become the provider where its log ends (trunkline.join)
--   ahead         it is fenced, and has written after the place where another one has become the provider
--   priority      trunkline.node.priority
--   last_tick     of a provider the last tick of its queue, of a fenced one the final tick: [tick, seconds since 1970 by its
--                 clock]
--   untold_at     of a provider: now, in seconds since 1970 by its clock, if it has taken changes that no tick shows yet
--   place         where it stands there: [epoch, tick, tag]; of a fenced node the end of its own log
--   members       the other nodes, as it has last heard of each: node, name, number, client, role, term, last_tick, untold_at,
--                 and age, the seconds since
--   removed       nodes that somebody has taken out of the set: node, and age, the seconds since
--   known_term    the highest term that it has heard of
--   set           the first provider of the set, which tells it from another one of the same name; null: not known
--   history       the rows of trunkline.history
-- Tables: reads role, member, removed_member, history, node, position and pgq.queue. Users: pgq_admin.
create or replace function trunkline.introduce(i_queue text) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
    v_role     record;
    v_position jsonb := '{}';
    v_epoch    bigint;
    v_border   bigint;
    v_wrote    bool := false;
    v_last     jsonb;
    v_untold   bool := false;
begin
    select r.role, r.term, r.since into v_role from trunkline.my_role(i_queue) r;
    if trunkline.follows(i_queue) then
        select jsonb_build_object('upstream', p.followed[1], 'consumer', p.consumer,
                                  'place', jsonb_build_array(p.epoch, p.tick_id, p.tick_tag))
          into v_position
          from trunkline.position p where p.queue = i_queue order by p.applied_at desc, p.consumer limit 1;
        if v_role.role is null then
            select case when trunkline.is_copy() then 'copy' else 'reader' end as role, 0::bigint as term,
                   null::timestamptz as since into v_role;
        end if;
    end if;
    if v_role.role = 'fenced' then
        select b.tick_id into v_border from trunkline.border(i_queue) b;
        if v_border is not null then
            v_wrote := trunkline.wrote_after(i_queue, v_border);
        end if;
        select jsonb_build_object('place', jsonb_build_array(r.final_epoch, r.final_tick_id, r.final_tick_tag),
                                  'ended', v_border is not null and not v_wrote, 'ahead', v_wrote) into v_position
          from trunkline.role r where r.queue_name = i_queue;
    end if;
    if to_regclass('pgq.queue') is not null then
        select q.queue_epoch into v_epoch from pgq.queue q where q.queue_name = i_queue;
        if v_role.role in ('provider', 'fenced') then
            -- Changes of transactions that are open are nobody's yet.
            select jsonb_build_array(t.tick_id, extract(epoch from t.tick_time)),
                   v_role.role = 'provider' and (
                       pg_sequence_last_value(q.queue_event_seq::regclass) > t.tick_event_seq
                       or exists (select from unnest(t.tick_open) x where txid_visible_in_snapshot(x, txid_current_snapshot())))
              into v_last, v_untold
              from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id <= coalesce(q.queue_ends_at, t.tick_id)
             where q.queue_name = i_queue order by t.tick_queue desc, t.tick_id desc limit 1;
        end if;
    end if;
    return v_position || jsonb_build_object(
        'started', pg_postmaster_start_time(), 'in_recovery', pg_is_in_recovery(),
        'role', v_role.role, 'term', v_role.term, 'since', v_role.since, 'epoch', v_epoch, 'last_tick', v_last,
        'untold_at', case when v_untold then extract(epoch from clock_timestamp()) end)
        || coalesce((select jsonb_build_object('node', n.node_id, 'name', n.name, 'number', n.number, 'client', n.client,
                                                'priority', coalesce(n.priority, 100))
                       from trunkline.node n), '{}')
        || coalesce((select jsonb_build_object('consumer', r.consumer) from trunkline.role r
                      where r.queue_name = i_queue and r.consumer is not null and not v_position ? 'consumer'), '{}')
        || jsonb_build_object(
        'members', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'node', m.node_id, 'name', m.name, 'number', m.number, 'client', m.client, 'role', m.role, 'term', m.term,
                       'last_tick', case when m.last_tick_id is not null
                                         then jsonb_build_array(m.last_tick_id, extract(epoch from m.last_tick_time)) end,
                       'untold_at', extract(epoch from m.untold_at),
                       'age', greatest(0, extract(epoch from clock_timestamp() - m.heard_at))) order by m.node_id)
              from trunkline.member m where m.queue_name = i_queue), '[]'),
        'removed', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'node', r.node_id, 'age', greatest(0, extract(epoch from clock_timestamp() - r.removed_at))) order by r.node_id)
              from trunkline.removed_member r where r.queue_name = i_queue), '[]'),
        'known_term', greatest(v_role.term,
            (select max(m.term) from trunkline.member m where m.queue_name = i_queue),
            (select max(h.term) from trunkline.history h where h.queue_name = i_queue)),
        'set', (select h.node_id from trunkline.history h
                 where h.queue_name = i_queue order by h.term, h.began_at limit 1),
        'history', coalesce((
            select jsonb_agg(to_jsonb(h) - 'queue_name' order by h.term, h.node_id)
              from trunkline.history h where h.queue_name = i_queue), '[]'));
end
$$;
revoke all on function trunkline.introduce(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.introduce(text) to pgq_admin;
    end if;
end
$$;
