-- Function trunkline.blockers(i_table oid): the sessions that keep a fence from its lock on a table (SHARE ROW
-- EXCLUSIVE), each as a text for a person: pid, program, role, state, since when its transaction is open and its query
-- runs, and the lock. Queries are not told, because they hold values.
-- Result: pid, is_autovacuum (also true where the owner of this function may not see what the session is, and its lock
-- is a vacuum's), what. Tables: reads pg_locks and pg_stat_activity.
create or replace function trunkline.blockers(
    i_table oid,
    i_modes text[] default array['RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                 'ExclusiveLock', 'AccessExclusiveLock'],
    out pid int4, out is_autovacuum bool, out what text)
returns setof record
language plpgsql stable rows 3
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select l.pid,
               l.mode = 'ShareUpdateExclusiveLock'
               and coalesce(a.backend_type, 'autovacuum worker') = 'autovacuum worker',
               concat_ws(', ', format('pid %s', l.pid), nullif(a.application_name, ''), 'role ' || a.usename,
                         nullif(a.backend_type, 'client backend'), a.state,
                         'transaction open since ' || a.xact_start::timestamptz(0),
                         'query since ' || a.query_start::timestamptz(0),
                         case when l.granted then 'holds ' else 'waits for ' end || l.mode)
          from pg_locks l
          left join pg_stat_activity a on a.pid = l.pid
         where l.locktype = 'relation' and l.relation = i_table
           and l.database = (select d.oid from pg_database d where d.datname = current_database())
           and l.pid <> pg_backend_pid()
           and l.mode = any (i_modes)
         order by l.granted desc, a.xact_start nulls last, l.pid;
end
$$;
revoke all on function trunkline.blockers(oid, text[]) from public;
