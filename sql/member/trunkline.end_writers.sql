-- Function trunkline.end_writers(i_queue): ends the sessions that keep a fence from the locks of a set's tables. What they have
-- not committed is rolled back, and they get 57P01. Processes of the server itself are left alone; a prepared transaction has no
-- session.
-- Result: a row a session: what it is, as trunkline.blockers tells it, and error, why it could not be told to end; null: it was.
-- Tables: reads pg_locks, pg_stat_activity and what trunkline.levels reads. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.end_writers(i_queue text, out what text, out error text)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_one record;
begin
    for v_one in
        select k.pid, min(k.relation::bigint)::oid as relation
          from pg_locks k
          join (select distinct l.table_oid from trunkline.levels(i_queue) l) t on t.table_oid = k.relation
          left join pg_stat_activity a on a.pid = k.pid
         where k.locktype = 'relation' and k.granted and k.mode not in ('AccessShareLock', 'RowShareLock')
           and k.database = (select d.oid from pg_database d where d.datname = current_database())
           and k.pid <> pg_backend_pid() and coalesce(a.backend_type, 'client backend') = 'client backend'
         group by k.pid
    loop
        what := (select b.what from trunkline.blockers(v_one.relation) b where b.pid = v_one.pid limit 1);
        error := null;
        begin
            perform pg_terminate_backend(v_one.pid);
        exception when insufficient_privilege then
            error := sqlerrm;
        end;
        return next;
    end loop;
end
$$;
revoke all on function trunkline.end_writers(text) from public;
