-- Function trunkline.usable_keys(i_table oid): the indexes that can tell the table's rows apart.
--
-- A key's index is unique, valid, complete, on plain NOT NULL columns, and enforced at once: with a deferrable one
-- another session's INSERT does not wait, so that the order of events would not be the order of the rows. Its
-- equality is the columns' own, because sets of keys are also compared by EXCEPT and UNION.
--
-- Result: index_oid, is_primary, is_identity (REPLICA IDENTITY USING INDEX).
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.usable_keys(
    i_table oid,
    out index_oid oid,
    out is_primary bool,
    out is_identity bool)
returns setof record
language plpgsql stable rows 2
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select i.indexrelid, i.indisprimary, i.indisreplident
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am am on am.oid = c.relam and am.amname = 'btree'
     where i.indrelid = i_table
       and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
       and not exists (
           -- indclass has an entry a key column and none for INCLUDE columns
           select from unnest(i.indclass::oid[], i.indcollation::oid[]) with ordinality k (opclass, coll, place)
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = (i.indkey::int2[])[k.place - 1]
             join pg_opclass oc on oc.oid = k.opclass
            where not a.attnotnull
               or exists (select from pg_constraint n
                           where n.contype = 'n' and n.conrelid = i.indrelid and n.conkey = array[a.attnum]
                             and not n.convalidated)
               or not (oc.opcdefault or oc.opcname in ('text_pattern_ops', 'varchar_pattern_ops', 'bpchar_pattern_ops'))
               or (k.coll <> a.attcollation and exists (
                       select from pg_collation co where co.oid in (k.coll, a.attcollation)
                          and to_jsonb(co) ->> 'collisdeterministic' = 'false')));
end
$$;
revoke all on function trunkline.usable_keys(oid) from public;
