-- Function trunkline.rows_written(i_table oid): how many rows of a captured table, its partitions included,
-- this session has written that are not yet in the server's statistics: those of this transaction, also what
-- was rolled back in it, and maybe of some before.
--
-- Nobody can set these numbers back within a statement: not RESET ALL, not a savepoint, and TRUNCATE is
-- refused while a statement has the table.
-- Result: written, all of them; changed, those that were there before, by UPDATE and DELETE. Both null where track_counts is off.
-- Tables: reads trunkline.captured_part. Users must not: it is a part of trunkline.capture_first.
create or replace function trunkline.rows_written(i_table oid, out written bigint, out changed bigint)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select sum(pg_stat_get_xact_tuples_inserted(t.oid) + c.n)::bigint, sum(c.n)::bigint
      from (select i_table as oid union all select k.part_oid from trunkline.captured_part k where k.root_oid = i_table) t
      cross join lateral (select pg_stat_get_xact_tuples_updated(t.oid) + pg_stat_get_xact_tuples_deleted(t.oid)) c (n)
     where current_setting('track_counts') = 'on';
$$;
revoke all on function trunkline.rows_written(oid) from public;
