-- Function trunkline.rejoin(i_queue, i_consumer, i_job, i_address, i_upto, i_tables): makes a fenced node, which has written
-- after the place where the log of a later provider begins, a standby of that provider. What it has written is given up: it is in
-- trunkline.lost_change here and on the provider, and a person has decided.
--
-- As trunkline.join, but for the tables that were written: a table is copied again while its rows stay readable, or the rows of
-- the keys that were written are fetched (trunkline.repair_key), and it goes on from the place by itself.
-- Arguments: i_upto the last tick of the stretch that the person has seen; i_tables each table that was written, by its oid:
-- {"oid": "copy" or "keys"}; where the log did not hold the stretch, each table of the queue. One that has only got a column
-- with values need not be among them: its other columns are right, and replay writes a column that the provider has.
-- Result: the term of the provider that it joins.
-- Errors: as trunkline.join; 55000 the changes are not found yet, not on the provider yet, or not all in i_tables.
-- Tables: as trunkline.join; writes lost, table_state and repair_key. Users: the schema's owner.
create or replace function trunkline.rejoin(
    i_queue text, i_consumer text, i_job text, i_address text, i_upto bigint, i_tables jsonb) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set lock_timeout = '300 ms'
as $$
declare
    v_role   trunkline.role;
    v_border record;
    v_lost   trunkline.lost;
    v_left   text;
    v_whole  bool;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a node joins a set in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    v_role := trunkline.hold_role(i_queue);
    if trunkline.is_copy() or v_role.role <> 'fenced' then
        raise exception 'this node is no fenced provider of queue %', quote_literal(i_queue) using errcode = '55000';
    end if;
    select * into v_border from trunkline.border(i_queue);
    select * into v_lost from trunkline.lost l
     where l.queue_name = i_queue and l.epoch = v_border.epoch and l.tick_id = v_border.tick_id and l.handled_at is null
       for update;
    v_whole := found and v_lost.whole and not trunkline.lacks_after(i_queue, v_lost.upto_id);
    if not found or v_lost.upto_id <> i_upto
       or exists (select from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) is distinct from 'O')
       or v_whole and trunkline.wrote_after(i_queue, v_lost.upto_id) then
        raise exception 'what queue % has here after tick % is not all found yet', quote_literal(i_queue), v_border.tick_id
            using errcode = '55000', hint = 'Replay finds it within seconds; if tables can be written, run: trunkline fence';
    elsif v_lost.sent_at is null then
        raise exception 'the provider does not have the changes of queue % yet', quote_literal(i_queue) using errcode = '55000';
    end if;
    select string_agg(c.table_oid::regclass::text, ', ') into v_left
      from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
     where q.queue_name = i_queue and c.dropped_at is null and not i_tables ? c.table_oid::text
       and (not v_whole or exists (
               select from trunkline.lost_change w
                where w.queue_name = i_queue and w.epoch = v_lost.epoch and w.tick_id = v_lost.tick_id and w.table_oid = c.table_oid
                  and w.change <> 'filled'));
    if v_left is not null or not v_whole and exists (select from jsonb_each_text(i_tables) t where t.value <> 'copy') then
        raise exception 'it is not said how each table comes into step again' using errcode = '55000', detail = v_left;
    end if;
    select string_agg(distinct w.table_oid::regclass::text, ', ') into v_left
      from trunkline.lost_change w
     where w.queue_name = i_queue and w.epoch = v_lost.epoch and w.tick_id = v_lost.tick_id
       and i_tables ->> w.table_oid::text = 'keys' and w.key_text is null and w.change <> 'filled';
    if v_left is not null then
        raise exception 'the changes of % are not of rows with a key', v_left using errcode = '55000';
    end if;
    perform trunkline.stand_at_border(i_queue, i_consumer, i_job, i_address);
    update trunkline.table_state s set state = '-', existing = 'swap'
     where s.consumer = i_consumer and i_tables ->> s.provider_oid::text = 'copy';
    update trunkline.table_state s
       set state = 'catching-up', tick_id = v_border.tick_id, tick_tag = v_border.tick_tag, existing = 'keys',
           origins = (select p.origins from trunkline.position p where p.consumer = i_consumer)
     where s.consumer = i_consumer and i_tables ->> s.provider_oid::text = 'keys';
    insert into trunkline.repair_key (consumer, schema_name, table_name, key_text, columns)
    select distinct s.consumer, s.schema_name, s.table_name, c.key_text, c.key_columns
      from trunkline.table_state s
      join trunkline.lost_change c on c.table_oid = s.provider_oid
     where s.consumer = i_consumer and s.existing = 'keys'
       and c.queue_name = i_queue and c.epoch = v_lost.epoch and c.tick_id = v_lost.tick_id and c.key_text is not null;
    update trunkline.lost l
       set handled_at = clock_timestamp(), handled_by = session_user,
           handled_as = coalesce((select jsonb_object_agg(format('%I.%I', s.schema_name, s.table_name), t.value)
                                    from jsonb_each_text(i_tables) t
                                    join trunkline.table_state s on s.consumer = i_consumer and s.provider_oid::text = t.key), '{}')
     where l.queue_name = i_queue and l.epoch = v_lost.epoch and l.tick_id = v_lost.tick_id;
    return v_border.term;
end
$$;
revoke all on function trunkline.rejoin(text, text, text, text, bigint, jsonb) from public;
