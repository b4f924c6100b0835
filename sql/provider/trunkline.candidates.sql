-- Function trunkline.candidates(i_queue, i_identity, i_columns): the user's tables, and which of them could be captured.
--
-- Left out: system tables, temporary ones, our own, and tables that belong to an extension.
-- Arguments: i_identity, i_columns as add_table takes them; a table that lacks one of i_columns cannot be added.
-- Result: captured (into this queue, by whomever); reason why it cannot be added, and hint what to do, both null if it can;
-- key_columns, by which its rows would be told apart, null if it cannot; is_part: a partition,
-- captured with the table that it is a partition of.
-- Tables: reads the catalog and trunkline.captured. Users: pgq_admin.
create or replace function trunkline.candidates(i_queue text, i_identity text default null, i_columns text[] default null)
returns table (schema_name text, table_name text, table_oid oid, captured bool, reason text, hint text,
               key_columns text[], is_part bool)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select n.nspname::text, c.relname::text, c.oid,
           exists (select from trunkline.captured k join pgq.queue q on q.queue_id = k.queue_id
                    where k.table_oid = c.oid and k.dropped_at is null and q.queue_name = i_queue),
           r.reason, r.hint,
           case when r.reason is null then array(
               select k.key ->> 'name'
                 from jsonb_array_elements(nullif(trunkline.capture_plan(c.oid, w.wanted) -> 'keys', 'null')) with ordinality k (key, place)
                order by k.place) end,
           c.relispartition
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      cross join lateral (
          select case when k.plan is not null and i_identity is null and i_columns is null then k.plan
                      when not exists (select from unnest(i_columns) o (name)
                                        where not exists (select from pg_attribute a
                                                           where a.attrelid = c.oid and a.attname = o.name and a.attnum > 0 and not a.attisdropped))
                      then trunkline.wanted_identity(c.oid, i_identity, i_columns) end as wanted
            from (values (1)) one
            left join trunkline.captured k on k.table_oid = c.oid and k.dropped_at is null) w
      left join lateral (
          select 'does not have the columns of the identity' as reason, null::text as hint where w.wanted is null
          union all
          select f.reason, f.hint from trunkline.refusal(c.oid, w.wanted) f where w.wanted is not null) r on true
     where c.relkind in ('r', 'p') and c.relpersistence <> 't'
       and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'pgq_coop', 'pgq_ext', 'trunkline')
       and left(n.nspname, 8) <> 'pg_toast' and left(n.nspname, 7) <> 'pg_temp'
       and not exists (select from pg_depend d
                        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
$$;
revoke all on function trunkline.candidates(text, text, text[]) from public;
grant execute on function trunkline.candidates(text, text, text[]) to pgq_admin;
