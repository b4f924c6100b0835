-- Function trunkline.output_settings(i_types oid[]): what the text of values of these types depends on.
--
-- Looks through domains, arrays, composites, ranges and multiranges to the types that hold values, and knows each by
-- its output function: a type of an extension that borrows a built-in one (citext's is textout) needs what that one
-- needs. A type with an output function of its own may look at any setting, so it gets all of them.
--
-- Result: names of settings, sorted. search_path is not among them: every capture function pins it.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.output_settings(i_types oid[]) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    with reached(type) as (select t.type from trunkline.component_types(i_types) t (type)),
    leaf as (
        select case when p.prolang = (select l.oid from pg_language l where l.lanname = 'internal') then p.prosrc end
                   as output
          from reached
          cross join lateral (select t.oid, t.typtype, t.typbasetype, t.typelem, t.typlen, t.typrelid, t.typoutput
                                from pg_type t where t.oid = reached.type offset 0) t
          cross join lateral (select p.prolang, p.prosrc from pg_proc p where p.oid = t.typoutput offset 0) p
         where t.typtype in ('b', 'e') and not (t.typelem <> 0 and t.typlen = -1)
    )
    select coalesce(array_agg(distinct s.setting order by s.setting), '{}')
      from leaf
      cross join lateral unnest(case
          when leaf.output in (
              'boolout', 'int2out', 'int4out', 'int8out', 'textout', 'varcharout', 'bpcharout', 'nameout', 'charout',
              'unknownout', 'uuid_out', 'oidout', 'tidout', 'xidout', 'xid8out', 'cidout', 'json_out', 'jsonb_out',
              'xml_out', 'inet_out', 'cidr_out', 'macaddr_out', 'macaddr8_out', 'bit_out', 'varbit_out',
              'numeric_out', 'tsvectorout', 'tsqueryout', 'pg_lsn_out', 'enum_out', 'time_out', 'txid_snapshot_out',
              'pg_snapshot_out', 'int2vectorout', 'oidvectorout') then '{}'::text[]
          when leaf.output in ('date_out', 'timestamp_out', 'timetz_out') then '{DateStyle}'
          when leaf.output = 'timestamptz_out' then '{DateStyle,TimeZone}'
          when leaf.output = 'interval_out' then '{IntervalStyle}'
          when leaf.output in ('float4out', 'float8out', 'point_out', 'lseg_out', 'path_out', 'box_out', 'poly_out',
                               'line_out', 'circle_out') then '{extra_float_digits}'
          when leaf.output = 'byteaout' then '{bytea_output}'
          when leaf.output = 'cash_out' then '{lc_monetary}'
          when leaf.output like 'reg%out' then '{quote_all_identifiers}'
          else '{DateStyle,IntervalStyle,TimeZone,bytea_output,extra_float_digits,lc_monetary,quote_all_identifiers}'
      end) s (setting));
end
$$;
revoke all on function trunkline.output_settings(oid[]) from public;
