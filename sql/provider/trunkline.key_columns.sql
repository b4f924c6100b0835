-- Function trunkline.key_columns(i_index oid): the key of an index as a JSON array in the key's order.
--
-- Result: [{"attnum", "operator"}]; operator is the index's own equality, written so that no search_path changes it:
-- under a pinned search_path `=` of a type of another schema (citext) would be that of text.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.key_columns(i_index oid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    select jsonb_agg(jsonb_build_object(
               'attnum', (i.indkey::int2[])[k.place - 1],
               'operator', format('operator(%I.%s)', ns.nspname, op.oprname)) order by k.place)
      from pg_index i
      cross join lateral unnest(i.indclass::oid[]) with ordinality k (opclass, place)
      join pg_opclass oc on oc.oid = k.opclass
      join pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amopstrategy = 3
                     and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
      join pg_operator op on op.oid = ao.amopopr
      join pg_namespace ns on ns.oid = op.oprnamespace
     where i.indexrelid = i_index);
end
$$;
revoke all on function trunkline.key_columns(oid) from public;
