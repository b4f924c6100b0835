-- Function trunkline.relaying(i_consumer): whether tables that a consumer writes are captured here, so that others may
-- come to this database from the log that the consumer reads.
--
-- Result: one row. relays: they are; unmarked: some of them are ok, and trunkline.mark_logged has not marked them yet.
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
        relays := exists (select from trunkline.captured c where c.writers <> '{}' and i_consumer = any (c.writers));
        unmarked := relays and exists (
            select from trunkline.table_state s
             where s.consumer = i_consumer and s.state = 'ok' and s.logged_from is null);
    end if;
end
$$;
revoke all on function trunkline.relaying(text) from public;

-- Function trunkline.mark_logged(i_consumer): notes from which place on all changes of the log that a consumer reads are
-- in this database's log, each tick by itself: its position of now.
--
-- The caller has applied nothing but single ticks since the table became ok, and goes on so. Between two ticks of this
-- database's queue there may be several of the log's. A row that comes with one of them and goes with another is in the
-- events, because no two were applied in one: who stands between the two finds it (trunkline.heirs).
-- Result: how many tables were marked. Tables: reads captured, position; writes table_state. Users must not call it.
create or replace function trunkline.mark_logged(i_consumer text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_marked bigint;
begin
    with captured (schema_name, table_name, oid) as (
        select n.nspname, r.relname, c.table_oid
          from trunkline.captured c
          join pg_class r on r.oid = c.table_oid
          join pg_namespace n on n.oid = r.relnamespace
         where i_consumer = any (c.writers) and c.dropped_at is null
    )
    update trunkline.table_state s
       set logged_from = jsonb_build_array(jsonb_build_array(p.epoch, p.tick_id, p.tick_tag)) || coalesce(p.origins, '[]'),
           target_oid = c.oid
      from captured c, trunkline.position p
     where s.consumer = i_consumer and s.state = 'ok' and s.logged_from is null and p.consumer = s.consumer
       and c.schema_name = coalesce(s.target_schema, s.schema_now, s.schema_name)
       and c.table_name = coalesce(s.target_name, s.name_now, s.table_name);
    get diagnostics v_marked = row_count;
    return v_marked;
end
$$;
revoke all on function trunkline.mark_logged(text) from public;
