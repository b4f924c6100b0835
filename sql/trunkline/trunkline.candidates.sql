-- Function trunkline.candidates(i_queue): the user's tables, and which of them could be captured.
--
-- Left out: system tables, temporary ones, our own, and tables that belong to an extension.
-- Result: captured (into this queue, by whomever); reason why it cannot be added, and hint what to do, both null if it can;
-- key_columns, by which its rows would be told apart, null if it cannot.
-- Tables: reads the catalog and trunkline.captured. Users: pgq_admin.
create or replace function trunkline.candidates(i_queue text)
returns table (schema_name text, table_name text, table_oid oid, captured bool, reason text, hint text,
               key_columns text[])
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select n.nspname::text, c.relname::text, c.oid,
           exists (select from trunkline.captured k join pgq.queue q on q.queue_id = k.queue_id
                    where k.table_oid = c.oid and k.dropped_at is null and q.queue_name = i_queue),
           r.reason, r.hint,
           case when r.reason is null then array(
               select k.key ->> 'name'
                 from jsonb_array_elements(trunkline.capture_plan(c.oid, null) -> 'keys') with ordinality k (key, place)
                order by k.place) end
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      left join lateral trunkline.refusal(c.oid) r on true
     where c.relkind in ('r', 'p') and c.relpersistence <> 't'
       and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'trunkline')
       and n.nspname not like 'pg\_toast%' and n.nspname not like 'pg\_temp%'
       and not exists (select from pg_depend d
                        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
$$;
revoke all on function trunkline.candidates(text) from public;
grant execute on function trunkline.candidates(text) to pgq_admin;
