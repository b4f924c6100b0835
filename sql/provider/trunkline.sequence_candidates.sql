-- Function trunkline.sequence_candidates(i_queue): the user's sequences that the session's user may read: not temporary,
-- not ours, not of an extension.
-- Result: captured: whether some consumer of the queue has it. Tables: reads the catalog,
-- trunkline.captured_sequence. Users: pgq_admin.
create or replace function trunkline.sequence_candidates(i_queue text)
returns table (schema_name text, sequence_name text, captured bool)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select n.nspname::text, c.relname::text,
           exists (select from trunkline.captured_sequence s join pgq.queue q on q.queue_id = s.queue_id
                    where s.seq_oid = c.oid and q.queue_name = i_queue)
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'S' and c.relpersistence <> 't'
       and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'pgq_coop', 'pgq_ext', 'trunkline')
       and not exists (select from pg_depend d
                        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
       and has_sequence_privilege(session_user, c.oid, 'SELECT');
$$;
revoke all on function trunkline.sequence_candidates(text) from public;
grant execute on function trunkline.sequence_candidates(text) to pgq_admin;
