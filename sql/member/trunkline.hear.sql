-- Function trunkline.hear(i_queue, i_said): takes in what another node of a set says of itself (trunkline.introduce).
--
-- What is new is stored in trunkline.member, and its rows of history are taken over. A provider that hears of a higher
-- term is fenced: one try of trunkline.fence, which waits for a moment only, and whose failure is a part of the answer.
-- Nobody is believed whose history has no row in common with this node's: a queue of the same name may be one of
-- another set, which the operator has named by mistake. A copy is not heard: it has the identity of the node that it was
-- copied from. Two providers of one term are two decisions of people: neither is changed. A saying of this node's own
-- identity, by a server that was started at another time, comes from a copy of the cluster's files.
--
-- Result: an object.
--   fenced   true: this call has fenced the node, which was the provider
--   why      why it is or must be fenced
--   error    why it could not be fenced now
--   null: nothing of that. Errors: 22023 what is said is no introduction.
-- Tables: writes member, removed_member, history, role, event, and what a fence writes.
-- Users: the schema's owner, who may grant EXECUTE. Whoever has it can stop all writes of the applications, by speaking
-- of a higher term.
create or replace function trunkline.hear(i_queue text, i_said jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '1 s'
as $$
declare
    v_said   record;
    v_own    bigint := (select n.node_id from trunkline.node n);
    v_role   record;
    v_ours   bool;
    v_why    text;
    v_detail text;
    v_now    timestamptz := clock_timestamp();
begin
    select s.* into v_said
      from jsonb_to_record(i_said) s (node bigint, name text, number int4, started timestamptz, in_recovery bool,
                                      role text, term bigint, since timestamptz, upstream bigint, place jsonb,
                                      last_tick jsonb, history jsonb);
    if v_said.started is null then
        raise exception 'a node that says nothing of itself' using errcode = '22023';
    elsif trunkline.is_copy() or v_own is null or v_said.node is null or v_said.in_recovery or v_said.role is null
          or v_said.role = 'copy' then
        return null;
    end if;
    select r.role, r.term, r.read_only into v_role from trunkline.role r where r.queue_name = i_queue;
    if v_role is null and not trunkline.follows(i_queue) then
        -- A plain database is of no set.
        return null;
    elsif v_said.node = v_own and (
              v_said.started = pg_postmaster_start_time()
              -- Something that was said before this server was started anew may still be under way.
              or clock_timestamp() < pg_postmaster_start_time() + interval '10 s') then
        return null;
    end if;
    select bool_or(exists (
               select from jsonb_to_recordset(v_said.history) t (term bigint, node_id bigint)
                where t.term = h.term and t.node_id = h.node_id)) into v_ours
      from trunkline.history h where h.queue_name = i_queue;
    if not v_ours and v_said.history <> '[]' then
        return null;
    end if;
    perform trunkline.note_member(i_queue, v_said.node, v_said.name, v_said.number, v_said.role, v_said.term,
                                  v_said.since, v_said.upstream, v_said.place, v_said.started);
    update trunkline.member m set client = i_said ->> 'client', consumer = coalesce(i_said ->> 'consumer', m.consumer)
     where m.queue_name = i_queue and m.node_id = v_said.node
       and (m.client, m.consumer) is distinct from (i_said ->> 'client', coalesce(i_said ->> 'consumer', m.consumer));
    -- As seldom as the time when it was heard.
    update trunkline.member m
       set last_tick_id = (v_said.last_tick ->> 0)::bigint, last_tick_time = to_timestamp((v_said.last_tick ->> 1)::float8),
           untold_at = to_timestamp((i_said ->> 'untold_at')::float8)
     where m.queue_name = i_queue and m.node_id = v_said.node and m.heard_at >= v_now and v_said.last_tick <> 'null';
    if v_said.node = v_own then
        return null;
    end if;
    perform trunkline.note_removed(i_queue, v_said.node, i_said -> 'removed');
    perform trunkline.note_history(i_queue, v_said.history);
    perform trunkline.end_freeze(i_queue);
    perform trunkline.end_log(i_queue);
    select case when v_said.term > v_role.term
                then format('node %s has term %s', coalesce(v_said.name, v_said.node::text), v_said.term)
                when h.term > v_role.term
                then format('node %s became the provider of term %s', coalesce(h.node_name, h.node_id::text), h.term)
           end
      into v_why
      from (select null) one
      left join lateral (select * from trunkline.history h where h.queue_name = i_queue
                          order by h.term desc, h.node_id limit 1) h on true;
    if v_role.role = 'standby' and v_said.role = 'provider' and v_said.term > v_role.term then
        update trunkline.role r set term = v_said.term
         where r.queue_name = i_queue and r.role = 'standby' and r.term < v_said.term;
    end if;
    if v_role.role is distinct from 'provider' or v_why is null or v_ours is not true then
        return null;
    end if;
    begin
        perform trunkline.fence(i_queue, v_why, v_role.read_only);
    exception when others then
        -- Whatever keeps it: the others learn it, and meet again.
        get stacked diagnostics v_detail = pg_exception_detail;
        return jsonb_build_object(
            'fenced', false, 'why', v_why, 'error', concat_ws(': ', sqlerrm, nullif(v_detail, '')));
    end;
    perform trunkline.end_log(i_queue);
    perform trunkline.tell_event(i_queue, 'stale_provider_fenced', true, v_why,
                                 (select p.node_id from trunkline.known_provider(i_queue) p));
    return jsonb_build_object('fenced', true, 'why', v_why);
end
$$;
revoke all on function trunkline.hear(text, jsonb) from public;

-- Function trunkline.note_member(...): stores what a node says of itself, at most every ten seconds if it is the same
-- but for time and place. For hear only. Tables: writes member.
create or replace function trunkline.note_member(
    i_queue text, i_node bigint, i_name text, i_number int4, i_role text, i_term bigint, i_since timestamptz,
    i_upstream bigint, i_place jsonb, i_started timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := clock_timestamp();
begin
    if exists (select from trunkline.member m
                where m.queue_name = i_queue and m.node_id = i_node
                  and (m.name, m.number, m.role, m.term, m.upstream, m.server_started)
                          is not distinct from (i_name, i_number, i_role, i_term, i_upstream, i_started)
                  and m.heard_at >= v_now - interval '10 s') then
        return;
    end if;
    insert into trunkline.member as m (queue_name, node_id, name, number, role, term, since, upstream, epoch, tick_id,
                                       tick_tag, server_started, heard_at, start_heard_at)
    values (i_queue, i_node, i_name, i_number, i_role, i_term, i_since, i_upstream, (i_place ->> 0)::bigint,
            (i_place ->> 1)::bigint, (i_place ->> 2)::bigint, i_started, v_now, v_now)
    on conflict (queue_name, node_id) do update
       set name = excluded.name, number = excluded.number, role = excluded.role, term = excluded.term,
           since = excluded.since, upstream = excluded.upstream, epoch = excluded.epoch, tick_id = excluded.tick_id,
           tick_tag = excluded.tick_tag, heard_at = v_now,
           server_started = greatest(m.server_started, excluded.server_started),
           start_heard_at = case when excluded.server_started > m.server_started then v_now else m.start_heard_at end,
           -- What was said before a server was started anew may come a little late, and is no second server.
           twin_heard_at = case when excluded.server_started < m.server_started
                                     and m.start_heard_at < v_now - interval '10 s'
                                then v_now else m.twin_heard_at end;
end
$$;
revoke all on function
    trunkline.note_member(text, bigint, text, int4, text, bigint, timestamptz, bigint, jsonb, timestamptz) from public;

-- Function trunkline.note_removed(i_queue, i_speaker, i_removed): a node that speaks is a member, and those are none that it has
-- heard were removed, unless they were heard here since. The time is told as seconds since then, so that clocks of two hosts are
-- not compared. For hear only. Tables: writes member and removed_member.
create or replace function trunkline.note_removed(i_queue text, i_speaker bigint, i_removed jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from trunkline.removed_member r where r.queue_name = i_queue and r.node_id = i_speaker;
    -- Most sets have none.
    if coalesce(i_removed, '[]') = '[]' then
        return;
    end if;
    insert into trunkline.removed_member (queue_name, node_id, removed_at)
    select i_queue, r.node, clock_timestamp() - r.age * interval '1 s'
      from jsonb_to_recordset(i_removed) r (node bigint, age float8)
     where r.node not in (i_speaker, (select n.node_id from trunkline.node n))
       and not exists (select from trunkline.removed_member o where o.queue_name = i_queue and o.node_id = r.node)
       and not exists (select from trunkline.member m
                        where m.queue_name = i_queue and m.node_id = r.node
                          and m.heard_at > clock_timestamp() - r.age * interval '1 s')
    on conflict do nothing;
    delete from trunkline.member m
     using trunkline.removed_member r
     where m.queue_name = i_queue and r.queue_name = i_queue and r.node_id = m.node_id and m.heard_at <= r.removed_at;
end
$$;
revoke all on function trunkline.note_removed(text, bigint, jsonb) from public;

-- Function trunkline.end_log(i_queue): where another node has become the provider at a tick of this fenced node's log, nobody
-- reads beyond that tick: what comes after it belongs to no other node. For hear only. Tables: reads role and history; writes
-- pgq.queue.
create or replace function trunkline.end_log(i_queue text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- A node that was never fenced may have no queue at all.
    if exists (select from trunkline.role r where r.queue_name = i_queue and r.role = 'fenced') then
        update pgq.queue q set queue_ends_at = h.old_tick_id
          from trunkline.role r
          join trunkline.history h on h.queue_name = r.queue_name and h.term > r.term
         where r.queue_name = i_queue and q.queue_name = i_queue
           and h.old_epoch = q.queue_epoch and h.old_tick_id < q.queue_ends_at;
    end if;
end
$$;
revoke all on function trunkline.end_log(text) from public;

-- Function trunkline.note_history(i_queue, i_rows): takes over rows of another node's history. Two rows of one term are
-- kept: they are two decisions. For hear only. Tables: writes history.
create or replace function trunkline.note_history(i_queue text, i_rows jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into trunkline.history (queue_name, term, kind, node_id, node_name, old_epoch, old_tick_id, old_tick_tag,
                                   epoch, tick_id, tick_tag, began_at)
    select i_queue, h.term, h.kind, h.node_id, h.node_name, h.old_epoch, h.old_tick_id, h.old_tick_tag,
           h.epoch, h.tick_id, h.tick_tag, h.began_at
      from jsonb_populate_recordset(null::trunkline.history, coalesce(i_rows, '[]')) h
     where not exists (select from trunkline.history o
                        where o.queue_name = i_queue and o.term = h.term and o.node_id = h.node_id)
    on conflict do nothing;
end
$$;
revoke all on function trunkline.note_history(text, jsonb) from public;
