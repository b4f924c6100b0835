-- Function trunkline.hides_rows(i_table oid): whether a table (or a partition of it) may hold rows that this transaction's
-- snapshot does not show, though nobody else can write to it any more.
--
-- A REPEATABLE READ snapshot is older than the lock of an ATTACH: what others committed in between is not in it, nor is
-- there another way to read it. So only a table that this transaction made itself, or one without a block, is sure to
-- hide none. When it was made is what the entry of its first system column says, which no later command writes again.
-- Result: true or false. Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.hides_rows(i_table oid) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') and exists (
        select from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t
          join pg_class c on c.oid = t.oid and c.relkind <> 'p'
          join pg_attribute a on a.attrelid = t.oid and a.attnum = -1
         where not trunkline.wrote(a.xmin) and pg_relation_size(t.oid) > 0);
end
$$;
revoke all on function trunkline.hides_rows(oid) from public;
