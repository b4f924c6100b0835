-- Function trunkline.uncovered(i_table oid, i_columns int2[]): why these columns do not tell the table's rows apart; null
-- if they do.
--
-- The key columns do if each is an ordinary NOT NULL column that can be compared, and a usable key is among them. A partitioned
-- table needs a usable key of its own among them. If it can have none (before PostgreSQL 11), it needs a usable key of every leaf
-- and also the columns that it is partitioned by: otherwise two leaves could hold the same key.
-- A partition without rows may get its index yet.
-- Result: ends the sentence "columns (a, b) ...". Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.uncovered(i_table oid, i_columns int2[]) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_names text[];
    v_bad   text;
begin
    select array_agg(a.attname::text) into v_names
      from pg_attribute a where a.attrelid = i_table and a.attnum = any (i_columns) and not a.attisdropped;
    select string_agg(quote_ident(a.attname), ', ') into v_bad
      from pg_attribute a
     where a.attrelid = i_table and a.attnum = any (i_columns)
       and (not a.attnotnull or coalesce(to_jsonb(a) ->> 'attgenerated', '') <> ''
            or trunkline.column_equality(i_table, a.attnum) is null);
    if v_bad is not null then
        return format('cannot be its key: %s may be NULL, is generated or cannot be compared', v_bad);
    end if;
    if trunkline.has_key_among(i_table, v_names) then
        return null;
    end if;
    if (select c.relkind from pg_class c where c.oid = i_table) <> 'p' then
        return 'do not hold the columns of a unique index that is usable as a key';
    end if;
    select string_agg(p.part_oid::regclass::text, ', ') into v_bad
      from trunkline.parts(i_table) p join pg_class c on c.oid = p.part_oid and c.relkind <> 'p'
     where not trunkline.has_key_among(p.part_oid, v_names) and pg_relation_size(p.part_oid) > 0;
    if v_bad is not null then
        return format('do not hold the columns of a unique index of each partition: %s', v_bad);
    end if;
    select string_agg(distinct coalesce(quote_ident(a.attname), 'an expression'), ', ') into v_bad
      from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t
      join pg_partitioned_table p on p.partrelid = t.oid
      cross join lateral unnest(p.partattrs::int2[]) k (attnum)
      left join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum and k.attnum <> 0
     where a.attname is null or a.attname <> all (v_names);
    return 'do not hold what it is partitioned by, so that two partitions could hold one key: ' || v_bad;
end
$$;
revoke all on function trunkline.uncovered(oid, int2[]) from public;
