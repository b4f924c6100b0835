-- Function trunkline.large_columns(i_table oid): columns whose values may make a row too large for an event, and how that
-- is looked at without reading the value: "text" and "bytes" by octet_length, "stored" by pg_column_size, which says
-- little of a compressed value, so that its text is measured from 1 MB on, from 250 kB of lz4.
create or replace function trunkline.large_columns(i_table oid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    with recursive base (attnum, name, typmod, type, below, kind, typlen) as (
        select a.attnum, a.attname, a.atttypmod, t.oid, t.typbasetype, t.typtype, t.typlen
          from pg_attribute a join pg_type t on t.oid = a.atttypid
         where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
           and coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''
        union all
        select b.attnum, b.name, coalesce(nullif(t.typtypmod, -1), b.typmod), t.oid, t.typbasetype, t.typtype, t.typlen
          from base b join pg_type t on t.oid = b.below where b.kind = 'd'
    )
    select coalesce(jsonb_agg(jsonb_build_object('name', b.name, 'how',
               case when b.type in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype) then 'text'
                    when b.type = 'bytea'::regtype then 'bytes' else 'stored' end) order by b.attnum), '[]')
      from base b
     where b.kind <> 'd' and b.typlen = -1
       -- Of limited length, and far below, also where a row has as many of them as it can.
       and not (b.type in ('varchar'::regtype, 'bpchar'::regtype, 'bit'::regtype, 'varbit'::regtype) and b.typmod between 0 and 100000)
       and b.type not in ('numeric'::regtype, 'inet'::regtype, 'cidr'::regtype));
end
$$;
revoke all on function trunkline.large_columns(oid) from public;
