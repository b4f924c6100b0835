-- Function trunkline.join(i_queue, i_consumer, i_job, i_address): makes a fenced node, which has written nothing after the place
-- where the log of a later provider begins, a standby of that provider. Nothing is copied: the tables are what the later
-- provider has begun with.
--
-- The node becomes a subscriber that stands at that place of its own log (trunkline.border), and whose tables are those of its
-- own log. From there replay moves it to the provider, as it moves any other one (trunkline.place_of, trunkline.heirs). What the
-- log has after it are ticks alone: the provider had it no more when it was promoted, as after a failover.
-- Arguments: i_consumer, i_job the node's replay; i_address where replay finds this node, without credentials; null: unknown.
-- Result: the term of the provider that it joins.
-- Errors: 25001 outside READ COMMITTED; 55000 the node is not fenced; nobody has become the provider at a tick of its log; it
-- was written to after that tick; 55P03 another command is at it.
-- Tables: writes role, position, table_state, sequence_state, captured, captured_sequence, pgq.queue. Users: the schema's owner.
create or replace function trunkline.join(i_queue text, i_consumer text, i_job text, i_address text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set lock_timeout = '300 ms'
as $$
declare
    v_role    trunkline.role;
    v_border  record;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a node joins a set in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    if to_regclass('trunkline.position') is null then
        raise exception 'replay has no tables in this database' using errcode = '55000', hint = 'Run here: replay install';
    end if;
    v_role := trunkline.hold_role(i_queue);
    if trunkline.is_copy() or v_role.role <> 'fenced' then
        raise exception 'this node is no fenced provider of queue %', quote_literal(i_queue) using errcode = '55000';
    end if;
    -- Under the lock: until then another command may have moved the end of the log.
    select * into v_border from trunkline.border(i_queue);
    if v_border.term is null then
        raise exception 'nobody has become the provider of queue % at a tick of the log of this node', quote_literal(i_queue)
            using errcode = '55000', hint = 'What this node has taken since belongs to no other node.';
    elsif exists (select from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) is distinct from 'O')
          or trunkline.wrote_after(i_queue, v_border.tick_id) then
        raise exception 'tables of queue % were or can be written here after tick %', quote_literal(i_queue), v_border.tick_id
            using errcode = '55000', hint = 'What was written since belongs to no other node.';
    end if;
    perform trunkline.stand_at_border(i_queue, i_consumer, i_job, i_address);
    return v_border.term;
end
$$;
revoke all on function trunkline.join(text, text, text, text) from public;

-- Function trunkline.stand_at_border(i_queue, i_consumer, i_job, i_address): makes the fenced node a subscriber of its own log,
-- at the place where a later provider's begins, with all tables in step. For join and its like, which hold the role's row.
-- Tables: as trunkline.join.
create or replace function trunkline.stand_at_border(i_queue text, i_consumer text, i_job text, i_address text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_border  record;
    v_queue   int4;
    v_names   jsonb;
begin
    select * into v_border from trunkline.border(i_queue);
    select q.queue_id into v_queue from pgq.queue q where q.queue_name = i_queue for no key update;
    -- Where its log begins just there, the place has names in the logs before, and the node that goes on knows one of them: it is
    -- the provider before, which has taken its place back, and has never read this log.
    select t.tick_origins into v_names
      from pgq.tick t
      join trunkline.history h on h.queue_name = i_queue and h.epoch = v_border.epoch and h.tick_id = t.tick_id and h.tick_tag = t.tick_tag
     where t.tick_queue = v_queue and t.tick_id = v_border.tick_id;
    perform trunkline.forget_job(i_consumer);
    delete from trunkline.applied_tick a where a.consumer = i_consumer;
    insert into trunkline.position (consumer, job, queue, epoch, tick_id, tick_tag, tick_time, session_role, address, origins)
    values (i_consumer, i_job, i_queue, v_border.epoch, v_border.tick_id, v_border.tick_tag, v_border.tick_time, 'replica', i_address,
            v_names);
    insert into trunkline.table_state (consumer, schema_name, table_name, provider_oid, state, origin_oids, origins_txid)
    select i_consumer, n.nspname, r.relname, c.table_oid, 'ok', o.names, case when o.names is not null then txid_current() end
      from trunkline.captured c
      join pg_class r on r.oid = c.table_oid
      join pg_namespace n on n.oid = r.relnamespace
     cross join lateral (
           select jsonb_agg(jsonb_build_array(b.epoch, b.log_oid::bigint)) as names
             from trunkline.border_table b
            where v_names is not null and b.queue_id = v_queue and b.table_oid = c.table_oid) o
     where c.queue_id = v_queue and c.dropped_at is null;
    insert into trunkline.sequence_state (consumer, schema_name, sequence_name)
    select i_consumer, n.nspname, r.relname
      from trunkline.captured_sequence s
      join pg_class r on r.oid = s.seq_oid
      join pg_namespace n on n.oid = r.relnamespace
     where s.queue_id = v_queue;
    -- The log ends: nobody can want its continuation. Who has not read all of it stays registered in the queue.
    update trunkline.captured c set consumers = '{*}' where c.queue_id = v_queue and c.dropped_at is null;
    update trunkline.captured_sequence s set consumers = '{*}' where s.queue_id = v_queue;
    update pgq.queue q set queue_ends_at = v_border.tick_id where q.queue_id = v_queue;
    perform pgq.unregister_consumer(i_queue, m.consumer)
       from trunkline.member m
      where m.queue_name = i_queue and m.node_id = v_border.node_id
        and exists (select from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
                     where s.sub_queue = v_queue and c.co_name = m.consumer);
    update trunkline.role r
       set role = 'standby', since = clock_timestamp(), term = v_border.term, reason = null, set_by = session_user,
           final_epoch = null, final_tick_id = null, final_tick_tag = null, final_tick_time = null
     where r.queue_name = i_queue;
    -- What has made it the provider is over, though its command may have waited for others.
    update trunkline.operation o set step = 'done', changed_at = clock_timestamp()
     where o.queue_name = i_queue and o.new_node = (select m.node_id from trunkline.node m) and o.step in ('promoted', 'open', 'follow');
    perform trunkline.tell_event(i_queue, 'node_rejoin', true, null, v_border.node_id);
    perform trunkline.follow_read_only();
end
$$;
revoke all on function trunkline.stand_at_border(text, text, text, text) from public;

-- Function trunkline.border(i_queue): the place in the log of this fenced node at which a later provider has begun, which is its
-- final tick or an earlier one: it is still there with its tag, or rotation has deleted it (trunkline.lacks_after).
-- Result: one row: term and node_id of that provider; epoch, tick_id, tick_tag, tick_time of the place; none: nobody, as far as
-- this node has heard. Tables: reads role, history, queue and tick.
create or replace function trunkline.border(
    i_queue text, out term bigint, out node_id bigint, out epoch bigint, out tick_id bigint, out tick_tag bigint,
    out tick_time timestamptz)
returns setof record
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select h.term, h.node_id, q.queue_epoch, h.old_tick_id, h.old_tick_tag, coalesce(t.tick_time, h.began_at)
          from trunkline.role r
          join pgq.queue q on q.queue_name = r.queue_name and q.queue_epoch = r.final_epoch
          join trunkline.history h on h.queue_name = r.queue_name and h.term > r.term and h.old_epoch = q.queue_epoch
           and h.old_tick_id <= r.final_tick_id
          left join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id = h.old_tick_id
         where r.queue_name = i_queue and r.role = 'fenced'
           and case when t.tick_id is null
                    then h.old_tick_id < (select min(o.tick_id) from pgq.tick o where o.tick_queue = q.queue_id)
                    else t.tick_tag = h.old_tick_tag end
         order by h.term limit 1;
end
$$;
revoke all on function trunkline.border(text) from public;

-- Function trunkline.lacks_after(i_queue, i_tick): whether events that follow a tick are gone from the queue, or the tick is, so
-- that nobody knows what was written after it. Tables: reads queue and tick.
create or replace function trunkline.lacks_after(i_queue text, i_tick bigint) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((select txid_snapshot_xmin(t.tick_snapshot) <= q.queue_truncated_txid
                       from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id = i_tick
                      where q.queue_name = i_queue), true);
end
$$;
revoke all on function trunkline.lacks_after(text, bigint) from public;

-- Function trunkline.wrote_after(i_queue, i_tick): whether rows of a queue's tables were written after a tick, or may have been,
-- because the events are gone. What DDL logs (shapes, new columns without values, whose a table's rows are) changes no row that
-- others have; the values of a new column, and a change that an identity leaves out, are on no other node.
-- Tables: reads queue, tick and the event tables over their indexes.
create or replace function trunkline.wrote_after(i_queue text, i_tick bigint) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue    record;
    v_snapshot txid_snapshot;
    v_table    text;
    v_found    bool;
begin
    if trunkline.lacks_after(i_queue, i_tick) then
        return true;
    end if;
    select q.* into v_queue from pgq.queue q where q.queue_name = i_queue;
    select t.tick_snapshot into v_snapshot from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = i_tick;
    for v_table in select pgq._event_tables(v_queue.queue_data_pfx, v_queue.queue_ntables) loop
        continue when pg_relation_size(v_table::regclass) = 0;
        execute format('select exists (select from only %s e where e.ev_txid >= $1 and not txid_visible_in_snapshot(e.ev_txid, $2) '
                       'and e.ev_type <> ''trunkline.1.shape'' '
                       'and case when e.ev_type <> ''trunkline.1.mark'' then true when e.ev_extra3 = ''own'' then false '
                       'when e.ev_extra3 = ''filled'' then e.ev_data::jsonb ->> ''value'' is not null else true end)', v_table)
           into v_found using txid_snapshot_xmin(v_snapshot), v_snapshot;
        if v_found then
            return true;
        end if;
    end loop;
    return false;
end
$$;
revoke all on function trunkline.wrote_after(text, bigint) from public;
