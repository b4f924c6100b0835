-- Function trunkline.capture_problems(): the captured tables whose changes may be missing from their queue's
-- events, or are captured slowly until upkeep has made their functions anew, and why.
-- Result: a row a table. Tables: reads trunkline.captured and the catalog. Users: pgq_reader.
create or replace function trunkline.capture_problems(
    out queue_name text, out schema_name text, out table_name text, out problem text)
returns setof record
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select q.queue_name, c.schema_name, c.table_name, coalesce(c.problem, 'its capture is to be made anew')
      from trunkline.captured c
      join pgq.queue q on q.queue_id = c.queue_id
     where c.dropped_at is null
       and (c.problem is not null or c.table_oid in (select l from trunkline.late_tables() l))
     order by q.queue_name, c.schema_name, c.table_name;
$$;
revoke all on function trunkline.capture_problems() from public;
grant execute on function trunkline.capture_problems() to pgq_reader;
