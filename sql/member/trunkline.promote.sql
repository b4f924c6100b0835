-- Function trunkline.promote(i_queue, i_operation, i_kind, i_epoch, i_tick, i_tag, i_set): makes a standby the provider of its
-- set, where the log of the provider before ends. One transaction does all of it or nothing; its commit is the point from
-- which on there is no way back.
--
-- The batch that replay has in hand ends first, or fails: it cannot commit any more, since the position is gone. Tables are
-- opened as far as their locks are to be had; the caller goes on with trunkline.open_tables until none is left, and the ticker's
-- upkeep does so should the caller not.
-- The first tick of this node's log says that it contains just the final tick of the log before, so that all who stand there
-- go on here (trunkline.place_of), and trunkline.border_table says which table is which.
--
-- Arguments: i_operation the running operation (trunkline.hold_operation); i_kind switchover or failover; i_epoch, i_tick, i_tag
--            the final tick of the log before, which must be this node's position, by any of its names
--            (trunkline.own_places); i_set what the provider has (trunkline.set_state): its sequences are taken over as they
--            are. Null for a failover: sequences go on from where replay has set them, ahead of the provider's, and so many
--            steps further (trunkline.elect; 10000 if nobody has said).
-- Result: the new term, the first tick, and how many tables are left to be opened. Called again by the same operation after it is
-- done: the same result.
-- Errors: 25001 outside READ COMMITTED; 55000 this node is no standby, cannot be promoted, or stands at another place; the
-- operation is not running; 55P03 another command or a batch is at it: try again.
-- Tables: writes role, history, border_table, operation, captured, pgq.queue, pgq.tick, pgq.subscription; deletes the job's rows;
-- sets sequences; switches triggers; alters the database. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.promote(
    i_queue text, i_operation bigint, i_kind text, i_epoch bigint, i_tick bigint, i_tag bigint, i_set jsonb,
    out term bigint, out epoch bigint, out tick_id bigint, out tick_tag bigint, out tables_left int4)
returns record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
set lock_timeout = '300 ms'
as $$
#variable_conflict use_column
declare
    v_role     trunkline.role;
    v_position record;
    v_queue    record;
    v_here     jsonb;
    v_relays   bool;
    v_before   text;
    v_reasons  text;
    v_hint     text;
    v_old      bigint;
    v_how      record;
    v_sequences oid[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a node is promoted in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    if exists (select from trunkline.operation o
                where o.queue_name = i_queue and o.operation_id = i_operation and o.new_node = (select n.node_id from trunkline.node n)
                  and o.step in ('promoted', 'open', 'follow', 'done'))
       and (select r.role = 'provider' from trunkline.my_role(i_queue) r) then
        select h.term, h.epoch, h.tick_id, h.tick_tag into term, epoch, tick_id, tick_tag
          from trunkline.history h join trunkline.node n on n.node_id = h.node_id
         where h.queue_name = i_queue order by h.term desc limit 1;
        tables_left := trunkline.open_tables(i_queue);
        return;
    end if;
    perform trunkline.hold_operation(i_queue, i_operation);
    if i_kind = 'switchover' and i_set is null then
        raise exception 'a switchover takes over what the provider has' using errcode = '22004', hint = 'trunkline.set_state() there.';
    elsif not exists (select from trunkline.operation o join trunkline.node n on n.node_id = o.new_node
                       where o.queue_name = i_queue and o.operation_id = i_operation and o.kind = i_kind) then
        raise exception 'the operation is not one that makes this node the provider' using errcode = '55000';
    end if;
    select o.old_term, coalesce(o.sequence_margin, 10000) as margin,
           format('after tick %s of %s', o.final_tick_id, coalesce(to_char(o.final_tick_time at time zone 'UTC',
                  'YYYY-MM-DD HH24:MI:SS.MS "UTC"'), 'an unknown time'))
           || case when o.heard_tick_id is not null then format('; %s was heard of last at its tick %s',
                                                                coalesce(o.old_name, o.old_node::text), o.heard_tick_id) else '' end as lost
      into v_how
      from trunkline.operation o where o.queue_name = i_queue and o.operation_id = i_operation;
    perform trunkline.refuse_later_provider(i_queue, v_how.old_term);
    v_before := trunkline.rest_event_triggers();
    v_role := trunkline.hold_role(i_queue);
    -- The list of tables is looked at below, and must not change before the commit.
    perform from trunkline.position p where p.queue = i_queue for update;
    select string_agg(p.reason, '; '), max(p.hint) into v_reasons, v_hint from trunkline.not_promotable(i_queue, i_set) p;
    if v_reasons is not null then
        raise exception 'this node cannot become the provider of queue %: %', quote_literal(i_queue), v_reasons
            using errcode = '55000', hint = v_hint;
    end if;
    select * into strict v_position from trunkline.position p where p.queue = i_queue;
    v_here := trunkline.own_places(i_queue, v_position.consumer);
    if not v_here @> jsonb_build_array(jsonb_build_array(i_epoch, i_tick, i_tag)) then
        raise exception 'this node stands at tick % of the log of the provider of queue %, and the log ends at tick %',
                v_position.tick_id, quote_literal(i_queue), i_tick
            using errcode = '55000', hint = 'Let replay apply the rest first.';
    end if;
    select h.node_id into v_old from trunkline.history h where h.queue_name = i_queue order by h.term desc limit 1;
    term := 1 + greatest(
        v_role.term, (select max(m.term) from trunkline.member m where m.queue_name = i_queue),
        (select max(h.term) from trunkline.history h where h.queue_name = i_queue));
    select * into v_queue from pgq.queue q where q.queue_name = i_queue for no key update;
    epoch := v_queue.queue_epoch;
    -- A provider that has come back, and has applied nothing since, goes on with its own log.
    v_relays := v_position.epoch = epoch or v_queue.queue_ends_at is null and not exists (
        select from trunkline.captured c where c.queue_id = v_queue.queue_id and c.writers = '{}' and c.dropped_at is null);
    select pgq._insert_tick(q, null, null, null) into tick_id from pgq.queue q where q.queue_name = i_queue;
    update pgq.tick t
       set tick_origins = v_here
     where t.tick_queue = v_queue.queue_id and t.tick_id = promote.tick_id
    returning t.tick_tag into tick_tag;
    if not v_relays then
        -- Nothing of what replay has applied here is in this log.
        perform trunkline.log_begins(i_queue, tick_id);
    end if;
    perform trunkline.note_border(i_queue, v_position.consumer, v_here, v_relays);
    perform trunkline.take_sequences(v_position.consumer, i_set);
    v_sequences := case when i_kind = 'failover' then trunkline.carried_sequences(v_position.consumer) end;
    perform trunkline.forget_job(v_position.consumer);
    if not v_relays then
        delete from trunkline.applied_tick a where a.consumer = v_position.consumer;
    end if;
    update pgq.queue q set queue_disable_insert = false, queue_ends_at = null where q.queue_id = v_queue.queue_id;
    perform pgq.register_consumer_at(i_queue, m.consumer, promote.tick_id)
       from trunkline.member m
      where m.queue_name = i_queue and m.role <> 'copy' and m.consumer is not null and m.consumer <> v_position.consumer
        -- Who is away may come back within a day; for a longer time nobody's disk is held.
        and m.heard_at > clock_timestamp() - interval '1 day'
        and (v_here @> jsonb_build_array(jsonb_build_array(m.epoch)) or m.role in ('provider', 'fenced'))
        and not exists (select from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
                         where s.sub_queue = v_queue.queue_id and c.co_name = m.consumer);
    insert into trunkline.history (queue_name, term, kind, node_id, node_name, old_epoch, old_tick_id, old_tick_tag,
                                   epoch, tick_id, tick_tag)
    select i_queue, promote.term, i_kind, n.node_id, n.name, i_epoch, i_tick, i_tag, promote.epoch, promote.tick_id, promote.tick_tag
      from trunkline.node n;
    update trunkline.role r
       set role = 'provider', since = clock_timestamp(), term = promote.term, reason = null, set_by = session_user, opening = true,
           relaying = false, consumer = v_position.consumer
     where r.queue_name = i_queue;
    update trunkline.operation o set step = 'promoted', changed_at = clock_timestamp()
     where o.queue_name = i_queue and o.operation_id = i_operation;
    -- repmgr tells both, and handlers that were written for it may know the first one only.
    perform trunkline.tell_event(i_queue, 'standby_promote', true, format('term %s begins', promote.term)
        || case when i_kind = 'failover' then ' ' || v_how.lost else '' end, v_old);
    if i_kind = 'switchover' then
        perform trunkline.tell_event(i_queue, 'standby_switchover', true, format('term %s begins', promote.term), v_old);
    end if;
    perform trunkline.follow_read_only();
    tables_left := trunkline.open_tables(i_queue);
    perform trunkline.wake_event_triggers(v_before);
    -- Last of all: what is set forward stays so, should anything before it fail and be tried again.
    perform trunkline.put_sequences_forward(v_sequences, v_how.margin);
end
$$;
revoke all on function trunkline.promote(text, bigint, text, bigint, bigint, bigint, jsonb) from public;

-- Function trunkline.note_border(i_queue, i_consumer, i_here, i_relays): notes which table here was which one in the logs before.
-- i_here: the place where the log begins, by all names that it has. For promote only. Tables: writes border_table.
create or replace function trunkline.note_border(i_queue text, i_consumer text, i_here jsonb, i_relays bool) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue int4 := (select q.queue_id from pgq.queue q where q.queue_name = i_queue);
begin
    delete from trunkline.border_table b where b.queue_id = v_queue;
    insert into trunkline.border_table (queue_id, epoch, log_oid, table_oid, logged_from)
    select v_queue, o.epoch, o.oid, t.own_oid, case when i_relays then coalesce(t.logged_from, i_here) else i_here end
      from trunkline.set_tables(i_queue) t
     cross join lateral (
           select (i_here #>> '{0,0}')::bigint, t.log_oid
            union
           select (u.origin ->> 0)::bigint, (u.origin ->> 1)::bigint::oid
             from jsonb_array_elements(t.origin_oids) u (origin)) o (epoch, oid)
     where t.consumer = i_consumer
        on conflict do nothing;
end
$$;

-- Function trunkline.own_places(i_queue, i_consumer): where a job stands, by all names that the place has, nearest first: the
-- position, its names in the logs further up, and where a provider's log began just there, or ended: nothing is in between.
-- Result: [[epoch, tick, tag], ...]. Tables: reads position and history. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.own_places(i_queue text, i_consumer text) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_places jsonb;
begin
    select jsonb_build_array(jsonb_build_array(p.epoch, p.tick_id, p.tick_tag)) || coalesce(p.origins, '[]') into v_places
      from trunkline.position p where p.consumer = i_consumer;
    return v_places || coalesce((
        select jsonb_agg(w.other order by h.term desc)
          from trunkline.history h
         cross join lateral (values
               (jsonb_build_array(h.old_epoch, h.old_tick_id, h.old_tick_tag), jsonb_build_array(h.epoch, h.tick_id, h.tick_tag)),
               (jsonb_build_array(h.epoch, h.tick_id, h.tick_tag), jsonb_build_array(h.old_epoch, h.old_tick_id, h.old_tick_tag)))
               w (one, other)
         where h.queue_name = i_queue and h.kind <> 'first'
           and v_places @> jsonb_build_array(w.one) and not v_places @> jsonb_build_array(w.other)), '[]');
end
$$;
revoke all on function trunkline.own_places(text, text) from public;

-- Function trunkline.take_sequences(i_consumer, i_set): sets the sequences that a job carries over as the provider had them. For
-- promote only. Tables: reads sequence_state; sets sequences.
create or replace function trunkline.take_sequences(i_consumer text, i_set jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_missing text;
begin
    if i_set is null then
        return;
    end if;
    select string_agg(format('%I.%I', s.schema_name, s.sequence_name), ', ') into v_missing
      from trunkline.sequence_state s
     where s.consumer = i_consumer
       and not exists (select from jsonb_to_recordset(i_set -> 'sequences') w (schema text, name text)
                        where w.schema = s.schema_name and w.name = s.sequence_name);
    if v_missing is not null then
        raise exception 'the provider has said no value of %', v_missing
            using errcode = '55000', hint = 'Is the sequence gone there? replay remove-seq';
    end if;
    perform setval(format('%I.%I', s.schema_name, s.sequence_name)::regclass, w.value, w.called)
       from trunkline.sequence_state s
       join jsonb_to_recordset(i_set -> 'sequences') w (schema text, name text, value bigint, called bool)
         on w.schema = s.schema_name and w.name = s.sequence_name
      where s.consumer = i_consumer;
end
$$;

-- Function trunkline.carried_sequences(i_consumer): the sequences that a job carries over and that do not cycle. For promote
-- only.
-- Tables: reads sequence_state and the catalog.
create or replace function trunkline.carried_sequences(i_consumer text) returns oid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select c.seqrelid
          from trunkline.sequence_state s
          join pg_sequence c on c.seqrelid = to_regclass(format('%I.%I', s.schema_name, s.sequence_name))
         where s.consumer = i_consumer and not c.seqcycle);
end
$$;
revoke all on function trunkline.carried_sequences(text) from public;

-- Function trunkline.put_sequences_forward(i_sequences, i_margin): sets sequences so many steps forward: the provider that is off
-- has given out numbers since that nobody here knows of. No more than half of the values that are left up to a sequence's bound
-- are passed over. For promote only. Tables: sets sequences.
create or replace function trunkline.put_sequences_forward(i_sequences oid[], i_margin int4) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sequence record;
    v_now      bigint;
begin
    for v_sequence in
        select c.seqrelid, c.seqincrement::numeric as step, case when c.seqincrement > 0 then c.seqmax else c.seqmin end as bound
          from pg_sequence c
         where c.seqrelid = any (i_sequences) and i_margin > 0
    loop
        begin
            v_now := nextval(v_sequence.seqrelid);
            perform setval(v_sequence.seqrelid, (v_now + v_sequence.step * least(i_margin,
                        div(abs(v_sequence.bound::numeric - v_now), 2 * abs(v_sequence.step))))::bigint);
        exception when sequence_generator_limit_exceeded then
            -- It is at its end there, too.
            null;
        end;
    end loop;
end
$$;

-- Function trunkline.forget_job(i_consumer): this node follows nobody any more: the job's tables are its own. For promote and
-- join only. Kept are the ticks that it has stood at, which prove the places of others in its log (trunkline.place_of), and the
-- providers where its consumer may be left.
-- Tables: deletes the job's rows.
create or replace function trunkline.forget_job(i_consumer text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from trunkline.kept_ddl d where d.consumer = i_consumer;
    delete from trunkline.copied_range d where d.consumer = i_consumer;
    delete from trunkline.skipped_change d where d.consumer = i_consumer;
    delete from trunkline.conflict d where d.consumer = i_consumer;
    delete from trunkline.sequence_state d where d.consumer = i_consumer;
    delete from trunkline.table_state d where d.consumer = i_consumer;
    delete from trunkline.position d where d.consumer = i_consumer;
end
$$;
revoke all on function
    trunkline.note_border(text, text, jsonb, bool), trunkline.take_sequences(text, jsonb),
    trunkline.put_sequences_forward(oid[], int4), trunkline.forget_job(text)
    from public;
