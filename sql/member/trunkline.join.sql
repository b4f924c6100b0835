-- Function trunkline.join(i_queue, i_consumer, i_job, i_address): makes a fenced node, whose log ends where that of a later
-- provider begins, a standby of that provider. Nothing is copied: the tables are what the later provider has begun with.
--
-- The node becomes a subscriber that stands at the end of its own log, and whose tables are those of its own log. From there
-- replay moves it to the provider, as it moves any other one (trunkline.place_of, trunkline.heirs).
-- Arguments: i_consumer, i_job the node's replay; i_address where replay finds this node, without credentials; null: unknown.
-- Result: the term of the provider that it joins.
-- Errors: 25001 outside READ COMMITTED; 55000 the node is not fenced; nobody has become the provider at the end of its log; it
-- was written to after the final tick; 55P03 another command is at it.
-- Tables: writes role, position, table_state, sequence_state, captured, captured_sequence, pgq.queue. Users: the schema's owner.
create or replace function trunkline.join(i_queue text, i_consumer text, i_job text, i_address text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set lock_timeout = '300 ms'
as $$
declare
    v_role    trunkline.role;
    v_term    bigint;
    v_node    bigint;
    v_queue   int4;
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
    v_term := trunkline.successor(i_queue);
    if v_term is null then
        raise exception 'nobody has become the provider of queue % at tick %, where the log of this node ends',
                quote_literal(i_queue), v_role.final_tick_id
            using errcode = '55000', hint = 'What this node has taken since belongs to no other node.';
    elsif exists (select from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) is distinct from 'O')
          or trunkline.wrote_after(i_queue, v_role.final_tick_id) then
        raise exception 'tables of queue % were or can be written here after the final tick %', quote_literal(i_queue), v_role.final_tick_id
            using errcode = '55000', hint = 'What was written since belongs to no other node.';
    end if;
    select h.node_id into v_node from trunkline.history h where h.queue_name = i_queue and h.term = v_term;
    select q.queue_id into v_queue from pgq.queue q where q.queue_name = i_queue for no key update;
    perform trunkline.forget_job(i_consumer);
    delete from trunkline.applied_tick a where a.consumer = i_consumer;
    insert into trunkline.position (consumer, job, queue, epoch, tick_id, tick_tag, tick_time, session_role, address)
    values (i_consumer, i_job, i_queue, v_role.final_epoch, v_role.final_tick_id, v_role.final_tick_tag, v_role.final_tick_time,
            'replica', i_address);
    insert into trunkline.table_state (consumer, schema_name, table_name, provider_oid, state)
    select i_consumer, n.nspname, r.relname, c.table_oid, 'ok'
      from trunkline.captured c
      join pg_class r on r.oid = c.table_oid
      join pg_namespace n on n.oid = r.relnamespace
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
    perform pgq.unregister_consumer(i_queue, m.consumer)
       from trunkline.member m
      where m.queue_name = i_queue and m.node_id = v_node
        and exists (select from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
                     where s.sub_queue = v_queue and c.co_name = m.consumer);
    update trunkline.role r
       set role = 'standby', since = clock_timestamp(), term = v_term, reason = null, set_by = session_user,
           final_epoch = null, final_tick_id = null, final_tick_tag = null, final_tick_time = null
     where r.queue_name = i_queue;
    perform trunkline.tell_event(i_queue, 'node_rejoin', true, null, v_node);
    perform trunkline.follow_read_only();
    return v_term;
end
$$;
revoke all on function trunkline.join(text, text, text, text) from public;

-- Function trunkline.successor(i_queue): the term of the provider that has begun just where the log of this fenced node ends;
-- null: there is none, as far as this node has heard. Tables: reads role and history.
create or replace function trunkline.successor(i_queue text) returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select min(h.term)
              from trunkline.role r
              join trunkline.history h on h.queue_name = r.queue_name and h.term > r.term
               and (h.old_epoch, h.old_tick_id, h.old_tick_tag) = (r.final_epoch, r.final_tick_id, r.final_tick_tag)
             where r.queue_name = i_queue and r.role = 'fenced');
end
$$;
revoke all on function trunkline.successor(text) from public;

-- Function trunkline.wrote_after(i_queue, i_tick): whether rows of a queue's tables were written after a tick. What DDL logs
-- (shapes, values of new columns, whose a table's rows are) changes no row that others have. Tables: reads queue, tick and the
-- event tables over their indexes.
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
    select q.* into v_queue from pgq.queue q where q.queue_name = i_queue;
    select t.tick_snapshot into v_snapshot from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = i_tick;
    for v_table in select pgq._event_tables(v_queue.queue_data_pfx, v_queue.queue_ntables) loop
        continue when pg_relation_size(v_table::regclass) = 0;
        execute format('select exists (select from only %s e where e.ev_txid >= $1 and not txid_visible_in_snapshot(e.ev_txid, $2) '
                       'and e.ev_type <> ''trunkline.1.shape'' '
                       'and not (e.ev_type = ''trunkline.1.mark'' and e.ev_extra3 in (''own'', ''ignored'', ''filled'')))', v_table)
           into v_found using txid_snapshot_xmin(v_snapshot), v_snapshot;
        if v_found then
            return true;
        end if;
    end loop;
    return false;
end
$$;
revoke all on function trunkline.wrote_after(text, bigint) from public;
