-- Function trunkline.lost_beyond(i_queue, i_epoch, i_tick): what somebody has applied of a former provider's log after the place
-- at which a later provider of this set has begun. Asked of the provider, by a subscriber that has no place in its log.
--
-- Result: one row; none: nobody has begun at an earlier tick of that log.
--   tick_id, tick_tag   the place: the last tick of that log that the later provider has
--   old_name     the former provider; null: unknown
--   state        kept: what was written after the place is known at least up to the tick that was asked for; gone: that log did
--                not hold it any more when it was looked through, or somebody has deleted it since; unknown: the former
--                provider has not told yet, or has told the provider of that time, which is another node
--   tables       the tables that were written, by their oids in the former provider's database: {"oid": "keys" or "copy"}: the
--                keys of all changes are known (trunkline.lost_keys), or not of all
-- A former provider that follows a later one has told the node that began at the place of what it has written: where nothing
-- is kept on that node, nothing was written. An epoch may have had several reigns: the place is the end of the one that the tick
-- is of.
-- Tables: reads history, member, lost, lost_change. Users: pgq_admin.
create or replace function trunkline.lost_beyond(
    i_queue text, i_epoch bigint, i_tick bigint, out tick_id bigint, out tick_tag bigint, out old_name text, out state text,
    out tables jsonb)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_border trunkline.history;
    v_old    trunkline.history;
    v_lost   trunkline.lost;
begin
    select * into v_border from trunkline.history h
     where h.queue_name = i_queue and h.old_epoch = i_epoch and h.old_tick_id < i_tick
       and not exists (select from trunkline.history again
                        where again.queue_name = i_queue and again.epoch = i_epoch and again.term > h.term
                          and again.tick_id <= i_tick)
     order by h.term limit 1;
    if not found then
        return;
    end if;
    select * into v_old from trunkline.history h
     where h.queue_name = i_queue and h.epoch = i_epoch and h.term < v_border.term
     order by h.term desc limit 1;
    tick_id := v_border.old_tick_id;
    tick_tag := v_border.old_tick_tag;
    old_name := coalesce(v_old.node_name, (select m.name from trunkline.member m
                                            where m.queue_name = i_queue and m.node_id = v_old.node_id));
    tables := '{}';
    select * into v_lost from trunkline.lost l
     where l.queue_name = i_queue and l.epoch = i_epoch and l.tick_id = v_border.old_tick_id;
    if not found then
        state := case when exists (
            select from trunkline.member m
             where m.queue_name = i_queue and m.node_id = v_old.node_id and m.role = 'standby' and m.term >= v_border.term)
            and exists (select from trunkline.node n where n.node_id = v_border.node_id) then 'kept' else 'unknown' end;
    elsif v_lost.upto_id < i_tick then
        state := 'unknown';
    elsif not v_lost.whole
          or (select count(*) from trunkline.lost_change c
               where c.queue_name = i_queue and c.epoch = i_epoch and c.tick_id = v_border.old_tick_id)
             <> (select coalesce(sum(t.value::bigint), 0) from jsonb_each_text(v_lost.tables) t) then
        state := 'gone';
    else
        state := 'kept';
        select coalesce(jsonb_object_agg(t.table_oid::text, t.way), '{}') into tables
          from (select c.table_oid, case when bool_and(c.key_text is not null) then 'keys' else 'copy' end as way
                  from trunkline.lost_change c
                 where c.queue_name = i_queue and c.epoch = i_epoch and c.tick_id = v_border.old_tick_id
                   -- A column that the provider does not have changes no row in the others.
                   and c.change <> 'filled'
                 group by c.table_oid) t;
    end if;
    return next;
end
$$;
revoke all on function trunkline.lost_beyond(text, bigint, bigint) from public;

-- Function trunkline.lost_keys(i_queue, i_epoch, i_tick, i_after, i_limit): the keys of the changes after such a place, in the
-- order of the changes; the key of a row may come several times. No other values of rows.
-- Arguments: i_after the number of the last change that the caller has; -1: none.
-- Result: number, table_oid in the former provider's database, key_text, key_columns. Tables: reads lost_change.
-- Users: pgq_admin.
create or replace function trunkline.lost_keys(
    i_queue text, i_epoch bigint, i_tick bigint, i_after bigint, i_limit int4, out number bigint, out table_oid oid,
    out key_text text, out key_columns text[])
returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select c.number, c.table_oid, c.key_text, c.key_columns
          from trunkline.lost_change c
         where c.queue_name = i_queue and c.epoch = i_epoch and c.tick_id = i_tick and c.number > i_after and c.key_text is not null
         order by c.number limit i_limit;
end
$$;
revoke all on function trunkline.lost_keys(text, bigint, bigint, bigint, int4) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.lost_beyond(text, bigint, bigint),
            trunkline.lost_keys(text, bigint, bigint, bigint, int4) to pgq_admin;
    end if;
end
$$;
