-- Function trunkline.log_origins(i_queue): what a tick of one of this database's queues contains of other nodes'
-- queues, as far as replay writes tables that are captured into it. Called in the statement that takes the tick's
-- snapshot (pgq._tick_origins).
--
-- Result: one row.
--   origins  the position of replay in the queue of the same name, in front of that position's origins:
--            [[epoch, tick, tag], ...]; null unless one consumer alone writes the queue's tables, reads a queue of
--            the same name, and is in step with it in each of these tables, each alone (no merge): else the rows, or the log,
--            are no tick's
--   path     the nodes whose changes may be in the queue's tables, from the paths of the consumers that write them;
--            null: none
-- A consumer counts as long as a table holds rows of its provider, those of an unfinished copy, too. Its position gets
-- the path before or in the transaction that writes the rows (trunkline.position), so no tick shows a row of a node that
-- its path does not name.
-- Tables: reads captured, position, table_state. Users must not: nothing to fear.
create or replace function trunkline.log_origins(i_queue text, out origins jsonb, out path bigint[])
returns record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue   int4;
    v_writers text[];
begin
    -- Capture may be missing, or older than replay: an error here would stop all ticks.
    if to_regprocedure('trunkline.captured_root(oid)') is null then
        return;
    end if;
    select q.queue_id into v_queue from pgq.queue q where q.queue_name = i_queue;
    -- By the index of rows with writers, of which a plain provider has none.
    select array_agg(distinct w) into v_writers
      from trunkline.captured c cross join unnest(c.writers) w
     where c.queue_id = v_queue and c.writers <> '{}' and c.dropped_at is null;
    if v_writers is null then
        return;
    end if;
    -- What was committed before a node was left, and since the last tick, belongs to this tick.
    select array_agg(distinct n order by n) into path
      from trunkline.position p
     cross join unnest(p.path || case when trunkline.was_ticked(v_queue, p.left_txid) then '{}' else p.left_nodes end) n
     where p.consumer = any (v_writers) and trunkline.holds_rows(p.consumer);
    select jsonb_build_array(jsonb_build_array(p.epoch, p.tick_id, p.tick_tag)) || coalesce(p.origins, '[]') into origins
      from trunkline.position p
     where array[p.consumer] = v_writers and p.queue = i_queue
       and not exists (
               select from trunkline.table_state s
                 join lateral (
                      -- By the catalog: to_regclass() fails where the schema may not be looked into, and no tick would be made.
                      select r.oid
                        from pg_namespace n join pg_class r on r.relnamespace = n.oid
                       where n.nspname = coalesce(s.target_schema, s.schema_now, s.schema_name)
                         and r.relname = coalesce(s.target_name, s.name_now, s.table_name)
                       union all
                      -- A table that was renamed here alone is parked, and its name is in no list.
                      select s.target_oid) t on t.oid is not null
                 join trunkline.captured c on c.table_oid = trunkline.captured_root(t.oid)
                where s.consumer = p.consumer and (s.state <> 'ok' or s.merge_filter is not null) and c.queue_id = v_queue);
end
$$;
revoke all on function trunkline.log_origins(text) from public;
-- Ticks are made as the owner of schema pgq, who may be another role.
do $do$
declare
    v_owner text := (select pg_catalog.pg_get_userbyid(n.nspowner) from pg_catalog.pg_namespace n where n.nspname = 'pgq');
begin
    if v_owner is not null then
        execute pg_catalog.format('grant execute on function trunkline.log_origins(text) to %I', v_owner);
    end if;
end
$do$;

-- Function trunkline.was_ticked(i_queue int4, i_txid bigint): whether the queue's last tick shows a transaction.
create or replace function trunkline.was_ticked(i_queue int4, i_txid bigint) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select txid_visible_in_snapshot(i_txid, t.tick_snapshot) from pgq.tick t
             where t.tick_queue = i_queue order by t.tick_queue desc, t.tick_id desc limit 1);
end
$$;
revoke all on function trunkline.was_ticked(int4, bigint) from public;

-- Function trunkline.holds_rows(i_consumer text): whether some table of a consumer holds rows of its provider, also those
-- of an unfinished copy. Tables: reads table_state.
create or replace function trunkline.holds_rows(i_consumer text) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (select from trunkline.table_state s
                    where s.consumer = i_consumer and (s.state = 'ok' or s.tick_id is not null or s.loading));
end
$$;
revoke all on function trunkline.holds_rows(text) from public;
