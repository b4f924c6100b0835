-- Function trunkline.place_of(i_queue, i_places): where in a queue somebody goes on who has applied another one.
--
-- Arguments: i_places: the tick that is applied, by all names that it has: its own, then those in the logs further up,
--            nearest first: [[epoch, tick, tag], ...], as pgq.tick.tick_origins has them.
-- Result: one row, none if there is no such queue.
--   answer   here      a place is of this queue, and its tick is there with its tag
--            exact     a tick of this queue contains just that place: the last such tick, if no rows were written since the first
--            one overlap   the place is between two ticks: the last one before it, and the first one after it (until_*)
--            wait      this node reads the log of the place, and its queue shows it up to an earlier one as yet
--            ahead     the place is of this queue, which does not have that tick (any more): it was restored
--            gone      none of it, or no more; why says which
--   place    the place that the answer is about, counted from 0; null: none
--   epoch    identity of this queue
--   tick_id, tick_tag, tick_time, origins, until_id, until_tag, until_time, until_origins   of the two ticks
--
-- Only what is written down proves a place: epoch, number and tag are compared. Of a place between two ticks that is what
-- this node has noted when it stood there itself (trunkline.applied_tick).
-- A place of this queue decides alone: what else the caller has seen says nothing about a queue that went back in time.
-- Tables: reads queue, tick, position, applied_tick; makes a tick if the node's position is further than its last tick says.
-- Users: pgq_admin.
create or replace function trunkline.place_of(i_queue text, i_places jsonb)
returns table (answer text, place int4, why text, epoch bigint,
               tick_id bigint, tick_tag bigint, tick_time timestamptz, origins jsonb,
               until_id bigint, until_tag bigint, until_time timestamptz, until_origins jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pgq.queue;
    v_place record;
    v_found record;
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue;
    if not found then
        return;
    end if;
    epoch := v_queue.queue_epoch;
    answer := 'gone';
    why := 'its log and that of the subscriber''s position have nothing in common';
    for v_place in
        select p.number, p.epoch, p.tick, p.tag, p.epoch = v_queue.queue_epoch as is_own
          from trunkline._places(i_places) p order by p.epoch <> v_queue.queue_epoch, p.number
    loop
        if v_place.is_own then
            select * into v_found from trunkline._tick_here(v_queue, v_place.tick, v_place.tag);
        else
            select * into v_found from trunkline._ticks_around(v_queue, v_place.epoch, v_place.tick, v_place.tag);
            if v_found.tick_id is not null and not trunkline._goes_on(v_queue, v_place.epoch, v_place.tick) then
                v_found.answer := 'gone';
                v_found.why := format('none of its tables has logged all changes since tick %s of the log that both come from', v_place.tick);
                v_found.tick_id := null;
                v_found.until_id := null;
            end if;
        end if;
        -- An answer for a nearer place is kept, unless a farther one is a place to go on.
        if v_found.answer in ('here', 'exact', 'overlap') or place is null and v_found.answer is not null then
            answer := v_found.answer;
            why := v_found.why;
            place := v_place.number;
            tick_id := v_found.tick_id;
            until_id := v_found.until_id;
        end if;
        exit when v_place.is_own or tick_id is not null;
    end loop;
    select t.tick_tag, t.tick_time, t.tick_origins into tick_tag, tick_time, origins
      from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = place_of.tick_id;
    select t.tick_tag, t.tick_time, t.tick_origins into until_tag, until_time, until_origins
      from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = place_of.until_id;
    return next;
end
$$;
revoke all on function trunkline.place_of(text, jsonb) from public;
grant execute on function trunkline.place_of(text, jsonb) to pgq_admin;

-- Function trunkline._places(i_places): the places of such a list, nearest first, counted from 0. For place_of only.
create or replace function trunkline._places(i_places jsonb)
returns table (number int4, epoch bigint, tick bigint, tag bigint)
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select (a.number - 1)::int4, (a.place ->> 0)::bigint, (a.place ->> 1)::bigint, (a.place ->> 2)::bigint
      from jsonb_array_elements(i_places) with ordinality a (place, number)
$$;
revoke all on function trunkline._places(jsonb) from public;

-- Function trunkline._stands_at(i_queue, i_epoch): the tick of a log up to which replay has applied the queue of the
-- same name here; null if this node is not fed from that log. For place_of only. Tables: reads position.
create or replace function trunkline._stands_at(i_queue text, i_epoch bigint) returns bigint
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_tick bigint;
begin
    if trunkline.knows_writers() then
        select max(o.tick) into v_tick
          from trunkline.position p
         cross join trunkline._places(
                jsonb_build_array(jsonb_build_array(p.epoch, p.tick_id, p.tick_tag)) || coalesce(p.origins, '[]')) o
         where p.queue = i_queue and o.epoch = i_epoch;
    end if;
    return v_tick;
end
$$;
revoke all on function trunkline._stands_at(text, bigint) from public;

-- Function trunkline._stood_at(i_queue, i_epoch, i_tick, i_tag): whether replay has stood here at that tick of the log that
-- it reads, or read before this node became the provider. For place_of only. Tables: reads position, role, applied_tick.
create or replace function trunkline._stood_at(i_queue text, i_epoch bigint, i_tick bigint, i_tag bigint) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not trunkline.knows_writers() then
        return false;
    end if;
    if exists (
        select from trunkline.position p join trunkline.applied_tick a on a.consumer = p.consumer
         where p.queue = i_queue and a.epoch = i_epoch and a.tick_id = i_tick and a.tick_tag = i_tag) then
        return true;
    elsif to_regclass('trunkline.role') is null then
        return false;
    end if;
    return exists (
        select from trunkline.role r join trunkline.applied_tick a on a.consumer = r.consumer
         where r.queue_name = i_queue and a.epoch = i_epoch and a.tick_id = i_tick and a.tick_tag = i_tag);
end
$$;
revoke all on function trunkline._stood_at(text, bigint, bigint, bigint) from public;

-- Function trunkline._goes_on(i_queue, i_epoch, i_place): whether at least one table of the queue is known by its oid in that
-- log, and has all of its changes after that place in this one (trunkline.heirs); true, too, where no table is captured. A node
-- that has none could give a place only, and every table would have to be repaired. For place_of only.
-- Tables: reads captured, border_table, position, table_state.
create or replace function trunkline._goes_on(i_queue pgq.queue, i_epoch bigint, i_place bigint) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from trunkline.captured c where c.queue_id = i_queue.queue_id and c.dropped_at is null) then
        return true;
    elsif exists (select from trunkline.border_table b
                    join trunkline.captured c on c.table_oid = b.table_oid and c.queue_id = b.queue_id and c.dropped_at is null
                   where b.queue_id = i_queue.queue_id and b.epoch = i_epoch
                     and trunkline._unlogged(b.logged_from, i_epoch, i_place) is null) then
        return true;
    elsif not trunkline.knows_writers() then
        return false;
    end if;
    return exists (select from trunkline.table_origins(i_queue.queue_name) o
                     join trunkline.table_state s on s.consumer = o.consumer and s.target_oid = o.table_oid
                    where o.epoch = i_epoch and s.state = 'ok' and trunkline._unlogged(s.logged_from, i_epoch, i_place) is null);
end
$$;
revoke all on function trunkline._goes_on(pgq.queue, bigint, bigint) from public;

-- Function trunkline._tick_here(i_queue, i_tick, i_tag): whether one can go on after a tick of the queue itself.
-- For place_of only. Result: answer here with tick_id, ahead or gone. Tables: reads tick.
create or replace function trunkline._tick_here(
    i_queue pgq.queue, i_tick bigint, i_tag bigint, out answer text, out why text, out tick_id bigint, out until_id bigint)
returns record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_tick pgq.tick;
begin
    select * into v_tick from pgq.tick t where t.tick_queue = i_queue.queue_id and t.tick_id = i_tick;
    if v_tick.tick_tag <> i_tag
       or i_tick > (select max(t.tick_id) from pgq.tick t where t.tick_queue = i_queue.queue_id) then
        answer := 'ahead';
        why := format('tick %s of its queue is not the one that was applied: it went back in time', i_tick);
    elsif i_tick > i_queue.queue_ends_at then
        answer := 'gone';
        why := format('its log ends at tick %s, where another node became the provider, and the subscriber has applied more of it',
                      i_queue.queue_ends_at);
    elsif txid_snapshot_xmin(v_tick.tick_snapshot) > i_queue.queue_truncated_txid then
        answer := 'here';
        tick_id := i_tick;
    else
        answer := 'gone';
        why := format('it no longer holds the events after tick %s of its queue', i_tick);
    end if;
end
$$;
revoke all on function trunkline._tick_here(pgq.queue, bigint, bigint) from public;

-- Function trunkline._ticks_around(i_queue, i_epoch, i_tick, i_tag): the ticks of a queue around a tick of another log.
-- For place_of only. Result: answer exact with tick_id, overlap with both, wait or gone; null: nothing here is of that
-- log. A tick whose events are gone does not count. Reads all ticks of the queue; makes one if this node has applied
-- more than its ticks say.
create or replace function trunkline._ticks_around(
    i_queue pgq.queue, i_epoch bigint, i_tick bigint, i_tag bigint,
    out answer text, out why text, out tick_id bigint, out until_id bigint)
returns record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_stands bigint := trunkline._stands_at(i_queue.queue_name, i_epoch);
    v_exact  bigint;
    v_before bigint;
    v_after  bigint;
    v_other  bool;
    v_far    bool;
    v_last   bigint;
    v_same   bigint;
begin
    for v_look in 1..2 loop
        select min(t.tick_id) filter (where o.tick = i_tick and o.tag = i_tag),
               max(t.tick_id) filter (where o.tick = i_tick and o.tag = i_tag),
               bool_or(o.tick = i_tick and o.tag <> i_tag),
               max(t.tick_id) filter (where o.tick < i_tick),
               min(t.tick_id) filter (where o.tick > i_tick),
               bool_or(o.number > 0), max(o.tick) filter (where o.tick < i_tick)
          into v_exact, v_same, v_other, v_before, v_after, v_far, v_last
          from pgq.tick t cross join trunkline._places(t.tick_origins) o
         where t.tick_queue = i_queue.queue_id and t.tick_origins is not null and o.epoch = i_epoch
           and txid_snapshot_xmin(t.tick_snapshot) > i_queue.queue_truncated_txid;
        exit when v_exact is not null or v_after is not null or v_look = 2 or v_stands is null or v_stands < i_tick;
        perform trunkline.tick_now(i_queue.queue_name);
    end loop;
    if v_other or v_after < v_before then
        answer := 'gone';
        why := format('tick %s of the log that both come from is another one here', i_tick);
    elsif v_exact is not null then
        answer := 'exact';
        -- Ticks that say the same show the same rows, if nobody has written here in between. From the last one on no tick names
        -- the nodes above of before: the former provider itself may be one of them, and would take this for a circle.
        tick_id := case when trunkline._same_rows(i_queue, v_exact, v_same) then v_same else v_exact end;
    elsif v_before is not null and v_after is not null and v_far then
        -- Somebody in between has applied several of its ticks at once: a row that came and went is in no event here.
        answer := 'gone';
        why := format('tick %s of a log that it does not read itself is between two of its ticks', i_tick);
    elsif v_before is not null and v_after is not null and not trunkline._stood_at(i_queue.queue_name, i_epoch, i_tick, i_tag) then
        answer := 'gone';
        why := format('it has never stood at tick %s of the log that both come from', i_tick);
    elsif v_before is not null and v_after is not null then
        answer := 'overlap';
        tick_id := v_before;
        until_id := v_after;
    elsif v_before is not null and v_stands is null then
        answer := 'gone';
        why := format('its log goes on from tick %s of the log that both come from, where it became the provider, and the subscriber '
                      'has applied more of that', v_last);
    elsif v_after is not null then
        answer := 'gone';
        why := format('its own log begins after tick %s of the log that both come from', i_tick);
    elsif v_stands < i_tick then
        answer := 'wait';
        why := format('it is at tick %s of the log that both come from, the subscriber at tick %s', v_stands, i_tick);
    elsif v_stands is not null then
        answer := 'wait';
        why := 'no tick of its queue says what it contains: its tables are not captured, or not all of them are in step';
    end if;
end
$$;
revoke all on function trunkline._ticks_around(pgq.queue, bigint, bigint, bigint) from public;

-- Function trunkline._same_rows(i_queue, i_from, i_to): whether no rows were written between two ticks of a queue. What DDL logs
-- (shapes, values of new columns, whose a table's rows are) changes none that others have, and what an identity leaves out comes
-- to nobody. For place_of only. Tables: reads queue, tick and the event tables over their indexes.
create or replace function trunkline._same_rows(i_queue pgq.queue, i_from bigint, i_to bigint) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sql   text;
    v_wrote bool;
begin
    if i_from = i_to then
        return true;
    end if;
    select pgq._snapshot_events_sql(i_queue.queue_id, f.tick_snapshot, t.tick_snapshot,
               ' and ev_owner is null and ev_type <> ''trunkline.1.shape'''
               ' and not (ev_type = ''trunkline.1.mark'' and ev_extra3 in (''own'', ''ignored'', ''filled''))')
      into v_sql
      from pgq.tick f, pgq.tick t
     where f.tick_queue = i_queue.queue_id and f.tick_id = i_from and t.tick_queue = i_queue.queue_id and t.tick_id = i_to;
    execute format('select exists (select from (%s) e)', v_sql) into v_wrote;
    return not v_wrote;
end
$$;
revoke all on function trunkline._same_rows(pgq.queue, bigint, bigint) from public;
