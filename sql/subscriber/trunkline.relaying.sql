-- Function trunkline.relaying(i_consumer): whether tables that a consumer writes are captured here, into the queue of the same
-- name, so that others may come to this database from the log that the consumer reads.
--
-- Result: one row. relays: they are; unmarked: trunkline.mark_logged has something to note: some of them are ok and not
--         marked yet, or some are still marked that are not captured any more.
-- Tables: reads captured, table_state. Users must not: nothing to fear.
create or replace function trunkline.relaying(i_consumer text, out relays bool, out unmarked bool)
returns record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    relays := false;
    unmarked := false;
    -- Capture may be missing, or older than replay.
    if to_regprocedure('trunkline.set_writers(oid)') is not null then
        -- By the index of rows with writers, of which a plain provider has none.
        relays := exists (
            select from trunkline.captured c
              join pgq.queue q on q.queue_id = c.queue_id
              join trunkline.position p on p.consumer = i_consumer and p.queue = q.queue_name
             where c.writers <> '{}' and i_consumer = any (c.writers));
        -- By an index of marked rows: nobody pays for this who has none.
        unmarked := case when relays
            then exists (select from trunkline.table_state s
                          where s.consumer = i_consumer and s.state = 'ok' and s.logged_from is null)
            else exists (select from trunkline.table_state s where s.consumer = i_consumer and s.logged_from is not null) end;
    end if;
end
$$;
revoke all on function trunkline.relaying(text) from public;

-- Function trunkline.mark_logged(i_consumer): notes from which place on all changes of the log that a consumer reads are
-- in this database's log, each tick by itself: its position of now. Where none of its tables are captured any more, that
-- place is forgotten: what is applied from now on is in no log.
--
-- The caller has applied nothing but single ticks since the table became ok, and goes on so. Between two ticks of this
-- database's queue there may be several of the log's. A row that comes with one of them and goes with another is in the
-- events, because no two were applied in one: who stands between the two finds it (trunkline.heirs).
-- Result: how many rows were changed. Tables: reads captured, position; writes table_state. Users must not call it.
create or replace function trunkline.mark_logged(i_consumer text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_marked bigint;
begin
    if not (select r.relays from trunkline.relaying(i_consumer) r) then
        update trunkline.table_state s set logged_from = null, logged_txid = null where s.consumer = i_consumer and s.logged_from is not null;
        get diagnostics v_marked = row_count;
        delete from trunkline.applied_tick a where a.consumer = i_consumer;
        return v_marked;
    end if;
    with captured (schema_name, table_name, oid) as (
        select n.nspname, r.relname, c.table_oid
          from trunkline.captured c
          join pg_class r on r.oid = c.table_oid
          join pg_namespace n on n.oid = r.relnamespace
         where i_consumer = any (c.writers) and c.dropped_at is null
    )
    update trunkline.table_state s
       set logged_from = jsonb_build_array(jsonb_build_array(p.epoch, p.tick_id, p.tick_tag)) || coalesce(p.origins, '[]'),
           logged_txid = txid_current(),
           target_oid = c.oid
      from captured c, trunkline.position p
     where s.consumer = i_consumer and s.state = 'ok' and s.logged_from is null and p.consumer = s.consumer
       and c.schema_name = coalesce(s.target_schema, s.schema_now, s.schema_name)
       and c.table_name = coalesce(s.target_name, s.name_now, s.table_name);
    get diagnostics v_marked = row_count;
    -- Who stands at this position, too, may come here.
    insert into trunkline.applied_tick (consumer, epoch, tick_id, tick_tag)
    select p.consumer, p.epoch, p.tick_id, p.tick_tag from trunkline.position p where p.consumer = i_consumer and v_marked > 0
        on conflict (consumer, epoch, tick_id) do update set tick_tag = excluded.tick_tag, applied_at = excluded.applied_at;
    return v_marked;
end
$$;
revoke all on function trunkline.mark_logged(text) from public;
