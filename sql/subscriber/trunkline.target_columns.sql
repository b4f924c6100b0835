-- Function trunkline.type_name(i_type oid): a type's name with its schema, without modifiers. format_type
-- leaves the schema out where it is not needed under the path of now, and writes some names as keywords with
-- modifiers of their own.
create or replace function trunkline.type_name(i_type oid) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select format('%I.%I', n.nspname, t.typname) from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.oid = i_type;
$$;
revoke all on function trunkline.type_name(oid) from public;

-- Function trunkline.may_run_code(i_type oid): whether reading a value of a type that is no domain may run code of a role
-- that is neither a superuser nor the current one: a domain is within it, or it is such a role's, who can put one there.
-- By itself, because most tables have no column of a user's type, and planning this takes a third of what planning all the
-- rest takes.
-- Tables: reads the catalog only.
create or replace function trunkline.may_run_code(i_type oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from trunkline.component_types(array[i_type]) part (oid)
          join pg_type t on t.oid = part.oid
          join pg_roles r on r.oid = t.typowner
         where t.typtype = 'd' or (t.typtype in ('c', 'r', 'm') and not r.rolsuper and r.rolname <> current_user));
end
$$;
revoke all on function trunkline.may_run_code(oid) from public;

-- Function trunkline.target_columns(i_schema, i_table)
--
-- The facts about columns that replay needs to write a subscriber's table: the columns, the operators of their equality, and the
-- columns that replay must not write.
--
-- Result: one row a column, in the table's order; none if there is no such table.
--   column_name, type_name   the type with its schema, without modifiers
--   generated                computed by the table itself: never written
--   identity_always          a column that UPDATE cannot set: GENERATED ALWAYS AS IDENTITY, or, before PostgreSQL 11, one that
--                            the table is partitioned by, for rows do not move there
--   equal_operator           equality as `operator(schema.name)`: that of the immediate
--                            unique index with the column, else the one of the type's
--                            default btree class; null if there is none
--   not_null                 it never is NULL
--   partitioned              the table is
--   written_as               the type as statements name it, whatever the search_path is
--   declared, declared_type  the column's type as a definition says it, with modifiers and collation, and its number
--   staged, staged_type      the same of what values of it are staged as, where reading one may run code of a
--   role that is neither
--                            a superuser nor the current one: what a domain is made of; text, where such a type is within another
--                            one; else null
--   opaque                   it is staged as text because of such a type
--   unique_keys              for each immediate, valid, full unique index on plain
--                            columns with this column: its number, so that a caller can
--                            see whether a set of columns is such a key
-- Tables: reads the catalog only. PL/pgSQL keeps its plan for the session; planning it took three times as long as running it.

create or replace function trunkline.target_columns(
    i_schema text,
    i_table text,
    out column_name text,
    out type_name text,
    out generated boolean,
    out identity_always boolean,
    out equal_operator text,
    out unique_keys oid[],
    out not_null boolean,
    out partitioned boolean,
    out written_as text,
    out declared text,
    out declared_type oid,
    out staged text,
    out staged_type oid,
    out opaque boolean)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    with target as (
        select c.oid, c.relkind
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = i_schema and c.relname = i_table and c.relkind in ('r', 'p')
    ), unique_column as (
        select i.indexrelid, k.attnum, i.indclass[k.place - 1] as opclass
          from target
          join pg_index i on i.indrelid = target.oid
          cross join lateral unnest(i.indkey::int2[]) with ordinality k (attnum, place)
          -- A key of periods (WITHOUT OVERLAPS) is no btree, and says nothing of equality.
          join pg_class ic on ic.oid = i.indexrelid
          join pg_am ia on ia.oid = ic.relam and ia.amname = 'btree'
         where i.indisunique and i.indisvalid and i.indimmediate
           and i.indpred is null and i.indexprs is null
           -- indclass has an entry a key column and none for INCLUDE columns
           and k.place <= array_length(string_to_array(i.indclass::text, ' '), 1)
    ), default_class as (
        select d.oid, d.opcintype
          from pg_opclass d
         where d.opcmethod = (select am.oid from pg_am am where am.amname = 'btree') and d.opcdefault
    )
    select a.attname::text,
           format_type(a.atttypid, -1),
           coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '',
           a.attidentity = 'a' or (current_setting('server_version_num')::int < 110000 and exists (
               select from pg_partitioned_table pt where pt.partrelid = target.oid and a.attnum = any (pt.partattrs::int2[]))),
           (select format('operator(%I.%s)', opn.nspname, op.oprname)
              from pg_opclass oc
              join pg_amop amop on amop.amopfamily = oc.opcfamily
                               and amop.amoplefttype = oc.opcintype
                               and amop.amoprighttype = oc.opcintype
                               and amop.amopstrategy = 3
              join pg_operator op on op.oid = amop.amopopr
              join pg_namespace opn on opn.oid = op.oprnamespace
             where oc.oid = coalesce(
                 (select u.opclass from unique_column u where u.attnum = a.attnum limit 1),
                 (select d.oid from default_class d where d.opcintype = ty.base),
                 (select d.oid
                    from default_class d
                   where (ty.category = 'E' and d.opcintype = 'anyenum'::regtype)
                      or (ty.category = 'A' and d.opcintype = 'anyarray'::regtype)
                      or (ty.category = 'R' and d.opcintype = 'anyrange'::regtype)
                      or exists (select 1 from pg_cast pc
                                  where pc.castsource = ty.base and pc.casttarget = d.opcintype
                                    and pc.castmethod = 'b' and pc.castcontext = 'i')
                   limit 1))),
           array(select u.indexrelid from unique_column u where u.attnum = a.attnum),
           a.attnotnull, target.relkind = 'p', trunkline.type_name(a.atttypid),
           -- trunkline.type_name is not used here, because some type names have the modifier in the middle.
           format_type(a.atttypid, a.atttypmod) || coll.clause, a.atttypid,
           case when harm.opaque then 'pg_catalog.text'
                when ty.base <> a.atttypid then trunkline.type_name(ty.base) || coll.clause end,
           case when harm.opaque then 'text'::regtype::oid when ty.base <> a.atttypid then ty.base end,
           harm.opaque
      from target
      join pg_attribute a on a.attrelid = target.oid and a.attnum > 0 and not a.attisdropped
      cross join lateral (
          with recursive up as (
              select t.oid, t.typtype, t.typbasetype, t.typcategory
                from pg_type t where t.oid = a.atttypid
              union all
              select t.oid, t.typtype, t.typbasetype, t.typcategory
                from up join pg_type t on t.oid = up.typbasetype where up.typtype = 'd'
          )
          select up.oid as base, up.typcategory as category from up where up.typtype <> 'd'
      ) ty
      cross join lateral (
          -- Types that come with the server have no code of others.
          select ty.base >= 16384 and trunkline.may_run_code(ty.base) as opaque
      ) harm
      cross join lateral (
          select coalesce((
              select format(' collate %I.%I', n.nspname, l.collname)
                from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation), '') as clause
      ) coll
     order by a.attnum;
end
$$;

revoke all on function trunkline.target_columns(text, text) from public;
