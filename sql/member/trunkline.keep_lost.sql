-- Function trunkline.lost_stretch(i_queue): what this fenced node has to look through: its log after the place where another node
-- has become the provider. It makes a tick first, which shows all that was written.
--
-- Result: one row; none: there is no such place, or nothing was written after it, or all of it is in trunkline.lost already.
--   epoch, tick_id, tick_tag   the place
--   upto_id, upto_tag   the tick that was made
--   term, node_id   the reign that began there, and whose
--   own_id, own_name   this node
--   events_sql      query for the events in between (trunkline.next_batch); null: the log does not reach back to the place
-- Errors: 55P03 the queue is in use: try again. Tables: reads lost and what trunkline.border reads; makes a tick.
-- Users: the schema's owner, who may grant EXECUTE: the events are rows of all tables.
create or replace function trunkline.lost_stretch(
    i_queue text, out epoch bigint, out tick_id bigint, out tick_tag bigint, out upto_id bigint, out upto_tag bigint,
    out term bigint, out node_id bigint, out own_id bigint, out own_name text, out events_sql text)
returns setof record
language plpgsql volatile security definer rows 1
set search_path = pg_catalog, pg_temp
set lock_timeout = '1 s'
as $$
#variable_conflict use_column
declare
    -- A node that was never fenced may have no queue at all.
    v_border record;
    v_gone   bool;
    v_queue  record;
    v_from   record;
    v_upto   record;
begin
    select * into v_border from trunkline.border(i_queue);
    if v_border.term is null or trunkline.is_copy() or not trunkline.wrote_after(i_queue, v_border.tick_id) then
        return;
    end if;
    v_gone := trunkline.lacks_after(i_queue, v_border.tick_id);
    -- What was kept before the events were gone is all that there is.
    if exists (select from trunkline.lost l
                where l.queue_name = i_queue and l.epoch = v_border.epoch and l.tick_id = v_border.tick_id
                  and (v_gone or not trunkline.wrote_after(i_queue, l.upto_id))) then
        return;
    end if;
    select q.* into v_queue from pgq.queue q where q.queue_name = i_queue for no key update;
    select pgq._insert_tick(q, null, null, null) into upto_id from pgq.queue q where q.queue_name = i_queue;
    select t.* into v_upto from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = upto_id;
    select t.* into v_from from pgq.tick t where t.tick_queue = v_queue.queue_id and t.tick_id = v_border.tick_id;
    epoch := v_border.epoch;
    tick_id := v_border.tick_id;
    tick_tag := v_border.tick_tag;
    upto_tag := v_upto.tick_tag;
    term := v_border.term;
    node_id := v_border.node_id;
    select n.node_id, n.name into own_id, own_name from trunkline.node n;
    if not v_gone then
        events_sql := pgq._snapshot_events_sql(v_queue.queue_id, v_from.tick_snapshot, v_upto.tick_snapshot,
                                               ' and ev_owner is null');
    end if;
    return next;
end
$$;
revoke all on function trunkline.lost_stretch(text) from public;

-- Function trunkline.keep_lost(i_queue, i_lost, i_changes, i_first): stores changes that a later provider never had, a portion a
-- call, all calls in one transaction. The first one replaces what was stored of the same place, unless that is handled.
-- Arguments: i_lost columns of trunkline.lost by their names; i_changes rows of trunkline.lost_change, a list of such objects.
-- Errors: 55000 they are handled already. Tables: writes lost and lost_change. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.keep_lost(i_queue text, i_lost jsonb, i_changes jsonb, i_first bool) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_lost trunkline.lost;
begin
    v_lost := jsonb_populate_record(null::trunkline.lost, i_lost);
    if i_first then
        delete from trunkline.lost l
         where l.queue_name = i_queue and l.epoch = v_lost.epoch and l.tick_id = v_lost.tick_id and l.handled_at is null;
        if exists (select from trunkline.lost l
                    where l.queue_name = i_queue and l.epoch = v_lost.epoch and l.tick_id = v_lost.tick_id) then
            raise exception 'the changes after tick % of queue % are handled already', v_lost.tick_id, quote_literal(i_queue)
                using errcode = '55000';
        end if;
        insert into trunkline.lost (queue_name, node_id, node_name, epoch, tick_id, tick_tag, upto_id, upto_tag, term, whole, file,
                                    sent_at)
        values (i_queue, v_lost.node_id, v_lost.node_name, v_lost.epoch, v_lost.tick_id, v_lost.tick_tag, v_lost.upto_id,
                v_lost.upto_tag, v_lost.term, v_lost.whole, v_lost.file, v_lost.sent_at);
    end if;
    insert into trunkline.lost_change (queue_name, epoch, tick_id, number, table_oid, schema_name, table_name, change, key_text,
                                       key_columns, key, row_now)
    select i_queue, v_lost.epoch, v_lost.tick_id, c.number, c.table_oid, c.schema_name, c.table_name, c.change, c.key_text,
           c.key_columns, nullif(c.key, 'null'), nullif(c.row_now, 'null')
      from jsonb_populate_recordset(null::trunkline.lost_change, i_changes) c;
    update trunkline.lost l
       set tables = coalesce((
               select jsonb_object_agg(n.name, n.changes)
                 from (select t.name, sum(t.changes) as changes
                         from (select o.key as name, o.value::bigint as changes from jsonb_each_text(l.tables) o
                               union all
                               select format('%I.%I', c.schema_name, c.table_name), 1
                                 from jsonb_populate_recordset(null::trunkline.lost_change, i_changes) c) t
                        group by t.name) n), '{}')
     where l.queue_name = i_queue and l.epoch = v_lost.epoch and l.tick_id = v_lost.tick_id;
end
$$;
revoke all on function trunkline.keep_lost(text, jsonb, jsonb, bool) from public;

-- Function trunkline.take_lost(i_queue, i_lost, i_changes, i_first): as trunkline.keep_lost, for the changes of another node of
-- the set, which its replay sends. They are kept here for a person; nothing but their keys is read (trunkline.lost_keys).
-- Errors: as keep_lost; 22023 they are said to be of this node. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.take_lost(i_queue text, i_lost jsonb, i_changes jsonb, i_first bool) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if (i_lost ->> 'node_id')::bigint is not distinct from (select n.node_id from trunkline.node n)
       or exists (select from pgq.queue q where q.queue_epoch = (i_lost ->> 'epoch')::bigint)
       or exists (select from trunkline.lost l
                   where l.queue_name = i_queue and l.epoch = (i_lost ->> 'epoch')::bigint
                     and l.node_id is distinct from (i_lost ->> 'node_id')::bigint) then
        raise exception 'these changes are of another node' using errcode = '22023';
    end if;
    perform trunkline.keep_lost(i_queue, i_lost || jsonb_build_object('sent_at', clock_timestamp()), i_changes, i_first);
end
$$;
revoke all on function trunkline.take_lost(text, jsonb, jsonb, bool) from public;
