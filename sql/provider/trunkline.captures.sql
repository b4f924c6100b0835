-- Function trunkline.captures(i_queue): what is captured into a queue, or into all where it is null: tables and sequences,
-- by the names that they have now; a table that was dropped has its last one, a sequence none.
--
-- Result: kind: table or sequence; consumers: who wants it; registered: for each of them, whether the queue has that
-- consumer still, the set ('*') always; problem: why its changes cannot be replicated; dropped: it is gone, and its row waits for
-- the consumers; form, why: as what a table's triggers are made (trunkline.capture_form).
-- Tables: reads the catalog, trunkline.captured, trunkline.captured_sequence. Users: pgq_admin.
create or replace function trunkline.captures(i_queue text)
returns table (schema_name text, object_name text, object_oid oid, queue_name text, kind text, consumers text[],
               registered bool[], problem text, dropped bool, form text, why text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    with wanted (oid, queue_id, kind, schema_name, object_name, consumers, problem, form, why) as (
        select c.table_oid, c.queue_id, 'table', c.schema_name, c.table_name, c.consumers, c.problem, trunkline.form_of(c.plan), c.plan ->> 'why'
          from trunkline.captured c
         union all
        select s.seq_oid, s.queue_id, 'sequence', '', '#' || s.seq_oid, s.consumers, null, null, null
          from trunkline.captured_sequence s
    )
    select coalesce(n.nspname, w.schema_name)::text, coalesce(r.relname, w.object_name)::text, w.oid, q.queue_name, w.kind,
           w.consumers,
           array(select a.consumer = '*' or exists (select from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer
                                 where s.sub_queue = w.queue_id and c.co_name = a.consumer)
                   from unnest(w.consumers) with ordinality a (consumer, place) order by a.place),
           w.problem, r.oid is null, w.form, w.why
      from wanted w
      join pgq.queue q on q.queue_id = w.queue_id
      left join pg_class r on r.oid = w.oid and (r.relkind = 'S') = (w.kind = 'sequence')
      left join pg_namespace n on n.oid = r.relnamespace
     where i_queue is null or q.queue_name = i_queue
     order by 4, 5 desc, 1, 2
$$;
revoke all on function trunkline.captures(text) from public;
grant execute on function trunkline.captures(text) to pgq_admin;
