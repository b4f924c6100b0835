-- Function trunkline.capture_blocks(...): text of an expression that logs a set of rows as blocks and gives their number.
--
-- The simple way, a loop over the rows, takes 29 s for 200,000 of them; one aggregate over all of them fails at 1 GB.
-- So the rows are cut where a running sum passes 256 kB; each row counts 1310 bytes more than it has, which makes
-- 200 rows a block at most. Rows come as text computed once (offset 0 keeps the planner from computing it twice).
--
-- Arguments: i_put the call's first arguments, ready for SQL; i_kind the kind as an expression over b;
--            i_rows a query of columns x (a row's text) and whatever i_kind needs; i_group more to group by.
-- Tables: none. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_blocks(i_put text, i_kind text, i_rows text, i_group text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $f$
    select format($q$(select count(trunkline.%1$s, %2$s, b.x)) from (
        select %4$sstring_agg(b.x, E'\n') as x from (
            select b.*, sum(octet_length(b.x) + 1310) over (rows unbounded preceding) / 262144 as g
              from (%3$s offset 0) b) b
         group by %4$sb.g) b)$q$, i_put, i_kind, i_rows, i_group)
$f$;
revoke all on function trunkline.capture_blocks(text, text, text, text) from public;
