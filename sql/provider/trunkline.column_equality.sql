-- Function trunkline.column_equality(i_table oid, i_attnum): how values of a column are compared, as
-- trunkline.key_columns writes it: by the default btree class of the column's type; null if there is none.
create or replace function trunkline.column_equality(i_table oid, i_attnum int2) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive base (type, category, below, kind) as (
        select t.oid, t.typcategory, t.typbasetype, t.typtype
          from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = i_table and a.attnum = i_attnum
        union all
        select t.oid, t.typcategory, t.typbasetype, t.typtype from base join pg_type t on t.oid = base.below where base.kind = 'd'
    )
    select format('operator(%I.%s)', n.nspname, p.oprname)
      from base
      join pg_opclass o on o.opcdefault and o.opcmethod = (select m.oid from pg_am m where m.amname = 'btree')
       and (o.opcintype = base.type
            or (base.kind = 'e' and o.opcintype = 'anyenum'::regtype)
            or (base.category = 'A' and o.opcintype = 'anyarray'::regtype)
            or (base.kind = 'r' and o.opcintype = 'anyrange'::regtype)
            or (base.kind = 'c' and o.opcintype = 'record'::regtype)
            or exists (select from pg_cast s where s.castsource = base.type and s.casttarget = o.opcintype
                          and s.castmethod = 'b' and s.castcontext = 'i'))
      join pg_amop m on m.amopfamily = o.opcfamily and m.amopstrategy = 3
                    and m.amoplefttype = o.opcintype and m.amoprighttype = o.opcintype
      join pg_operator p on p.oid = m.amopopr
      join pg_namespace n on n.oid = p.oprnamespace
     where base.kind <> 'd'
     order by o.opcintype = base.type desc
     limit 1;
$$;
revoke all on function trunkline.column_equality(oid, int2) from public;
