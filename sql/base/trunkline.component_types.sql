-- Function trunkline.component_types(i_types oid[]): these types and all that their values are made of: what domains, arrays,
-- composites, ranges and multiranges stand for, each once.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.component_types(i_types oid[]) returns setof oid
language plpgsql stable rows 10
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with recursive reached(type) as (
        select unnest(i_types)
        union
        select part.type
          from reached
          -- By index, type by type (offset 0): a join would read pg_type whole, and every table has two rows there.
          cross join lateral (select t.oid, t.typtype, t.typbasetype, t.typelem, t.typlen, t.typrelid, t.typoutput
                                from pg_type t where t.oid = reached.type offset 0) t
          cross join lateral (
              select t.typbasetype as type where t.typtype = 'd'
              union all
              select t.typelem where t.typelem <> 0 and t.typlen = -1
              union all
              select a.atttypid from pg_attribute a
               where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
              union all
              select r.rngsubtype from pg_range r
               where t.typtype in ('r', 'm')
                 and (r.rngtypid = t.oid or to_jsonb(r) ->> 'rngmultitypid' = t.oid::text)
          ) part
    )
    select reached.type from reached;
end
$$;
revoke all on function trunkline.component_types(oid[]) from public;
