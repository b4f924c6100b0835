-- Function trunkline.text_is_equality(i_type oid, i_collation oid): whether two values of the type that are equal
-- always have the same text, so that a fold may compare keys as text. When in doubt, false.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.text_is_equality(i_type oid, i_collation oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    with recursive base(type, kind, below) as (
        select t.oid, t.typtype, t.typbasetype from pg_type t where t.oid = i_type
        union all
        select t.oid, t.typtype, t.typbasetype from base join pg_type t on t.oid = base.below where base.kind = 'd'
    )
    select base.kind = 'e'
           or base.type in ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype,
                            'uuid'::regtype, 'bytea'::regtype, '"char"'::regtype, 'date'::regtype, 'time'::regtype,
                            'timestamp'::regtype, 'timestamptz'::regtype, 'bit'::regtype, 'varbit'::regtype,
                            'macaddr'::regtype, 'macaddr8'::regtype, 'pg_lsn'::regtype)
           or base.type in ('text'::regtype, 'varchar'::regtype, 'name'::regtype)
              and coalesce((select to_jsonb(c) ->> 'collisdeterministic' from pg_collation c where c.oid = i_collation),
                           'true') = 'true'
      from base
     where base.kind <> 'd');
end
$$;
revoke all on function trunkline.text_is_equality(oid, oid) from public;
