-- Function trunkline.shapes(i_queue): all shapes of a queue's tables, for a consumer that comes later than their events.
-- Result: shape_id and its definition as JSON text (sql/FORMAT.md). Tables: reads trunkline.shape. Users: pgq_admin.
create or replace function trunkline.shapes(i_queue text)
returns table (shape_id bigint, definition text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select s.shape_id, s.definition::text
      from trunkline.shape s
      join pgq.queue q on q.queue_id = s.queue_id
     where q.queue_name = i_queue
     order by s.shape_id;
$$;
revoke all on function trunkline.shapes(text) from public;
grant execute on function trunkline.shapes(text) to pgq_admin;
-- A consumer of one table filters events by its shapes.
grant select on trunkline.shape to pgq_admin;
