-- Function trunkline.part_facts(i_part oid): what tells a partition's rows from the others', as a mark says it.
--
-- "where" is the partition's own constraint, a condition that any table with the same columns can be asked with. It is
-- null where it would not say the same elsewhere: hash partitions (their function names the parent's oid), keys that
-- are expressions or of types that are not built in (a reader would run functions that a user made), and ranges of
-- text in a collation that two servers may order differently.
-- Result: {"part": {"schema", "name"}, "bound", "where"}. Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.part_facts(i_part oid) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
set lc_monetary = 'C'
set quote_all_identifiers = off
as $$
    select jsonb_build_object(
        'part', jsonb_build_object('schema', n.nspname, 'name', c.relname),
        'bound', pg_get_expr(c.relpartbound, c.oid),
        'where', case when not exists (
            select from trunkline.ancestors(i_part) a
              join pg_partitioned_table p on p.partrelid = a and a <> i_part
              cross join lateral unnest(p.partattrs::int2[], p.partclass::oid[], p.partcollation::oid[]) k (attnum, opclass, coll)
              left join pg_attribute t on t.attrelid = p.partrelid and t.attnum = k.attnum and k.attnum <> 0
              left join pg_type y on y.oid = t.atttypid and y.typnamespace = 'pg_catalog'::regnamespace
              left join pg_opclass o on o.oid = k.opclass and o.opcnamespace = 'pg_catalog'::regnamespace
              left join pg_collation l on l.oid = k.coll
             where p.partstrat not in ('l', 'r') or y.oid is null or o.oid is null
                or (k.coll <> 0 and case when p.partstrat = 'r' then l.collname not in ('C', 'POSIX')
                                         else coalesce(to_jsonb(l) ->> 'collisdeterministic', 'true') <> 'true' end))
            then pg_get_partition_constraintdef(i_part) end)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = i_part;
$$;
revoke all on function trunkline.part_facts(oid) from public;
