-- Function trunkline.fingerprint_sql(i_table oid, i_index oid): an expression whose value changes when the table changes in a
-- way that concerns its capture functions: name, columns, key, foreign keys, children.
--
-- For installs without event triggers, which compare it at each call; a few index probes. It names no type's inside
-- (domains, composites, collations), and under a REPEATABLE READ snapshot it is as old as that.
-- Result: SQL. Tables: none. Users must not: it is a part of trunkline.capture_checked.
create or replace function trunkline.fingerprint_sql(i_table oid, i_index oid) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $f$
    select format($q$concat_ws('|', %1$s::regclass,
        (select concat_ws(' ', c.relkind, c.relispartition, c.relpersistence, c.relhassubclass, c.relrowsecurity, c.relforcerowsecurity)
           from pg_class c where c.oid = %1$s),
        (select string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' order by a.attnum)
           from pg_attribute a where a.attrelid = %1$s and a.attnum > 0 and not a.attisdropped),
        (select string_agg(c.oid::text, ',' order by c.oid) from pg_constraint c where c.conrelid = %1$s and c.contype = 'f'),
        (select concat_ws(' ', i.indisvalid, i.indimmediate, i.indisunique) from pg_index i where i.indexrelid = %2$s))$q$,
        i_table, coalesce(i_index, 0));
$f$;
revoke all on function trunkline.fingerprint_sql(oid, oid) from public;
