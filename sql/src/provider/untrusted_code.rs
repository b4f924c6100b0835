//! Code in the provider's objects that are to be made on a subscriber. On the subscriber all of it belongs to replay's
//! role, which is often a superuser. So code of a role of the provider that is no superuser must not come along. The
//! same holds for an expression of such a role that calls a function of the server which has effects.
//!
//! Objects that a superuser of the provider owns are made as they are.

use tokio_postgres::GenericClient;

use crate::error::Error;

/// One line for each thing that must not be made: what it is, whose it is, and what it calls.
///
/// * `made`: the objects that are to be made.
/// * `weak`: objects that have an owner (`pg_shdepend` knows no owner of what the bootstrap superuser owns).
/// * `texts`: the expressions that come with tables and types. Index, check and default are asked of the
///   table, because `pg_dump` writes some of them into its `create table`.
/// * `calls`: a stored expression names a function as `:funcid 1`, an operator as `:opno 1`; strings are
///   bytes there, and spaces in names are escaped, so nobody can hide one. Those outside `pg_catalog`
///   are in `pg_depend`, too.
/// * `harmless`: immutable functions of the server and of extensions; the server's stable ones that take a
///   date or a time, which depend on the time zone; and a short list. Other stable functions may run SQL
///   (`table_to_xml`) or call the input function of a type that a text names (`pg_input_is_valid`).
const UNTRUSTED: &str = "
with made as (
    select o.catalog, o.oid from unnest($1::oid[], $2::oid[]) o (catalog, oid)),
weak as (
    select m.catalog, m.oid, r.rolname
      from made m
      join pg_catalog.pg_shdepend s on s.classid = m.catalog and s.objid = m.oid and s.objsubid = 0 and s.deptype = 'o'
       and s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
      join pg_catalog.pg_roles r on r.oid = s.refobjid and not r.rolsuper),
tables as (
    select c.oid, c.relowner as owner, c.relpartbound
      from made m
      join pg_catalog.pg_class c on c.oid = m.oid and m.catalog = 'pg_catalog.pg_class'::regclass),
types as (
    select y.oid, y.typowner as owner, y.typdefaultbin
      from made m
      join pg_catalog.pg_type y on y.oid = m.oid and m.catalog = 'pg_catalog.pg_type'::regclass),
texts (catalog, oid, owner, tree) as (
    select d.tableoid, d.oid, t.owner, d.adbin::text
      from pg_catalog.pg_attrdef d join tables t on t.oid = d.adrelid
    union all
    select k.tableoid, k.oid, coalesce(t.owner, y.owner), k.conbin::text
      from pg_catalog.pg_constraint k
      left join tables t on t.oid = k.conrelid
      left join types y on y.oid = k.contypid
     where t.oid is not null or y.oid is not null
    union all
    select 'pg_catalog.pg_class'::regclass, i.indexrelid, t.owner, concat(i.indexprs::text, i.indpred::text)
      from pg_catalog.pg_index i join tables t on t.oid = i.indrelid
    union all
    select 'pg_catalog.pg_class'::regclass, t.oid, t.owner, concat(p.partexprs::text, t.relpartbound::text)
      from tables t left join pg_catalog.pg_partitioned_table p on p.partrelid = t.oid
    union all
    select s.tableoid, s.oid, s.stxowner, to_jsonb(s) ->> 'stxexprs'
      from pg_catalog.pg_statistic_ext s join tables t on t.oid = s.stxrelid
    union all
    select 'pg_catalog.pg_type'::regclass, y.oid, y.owner, y.typdefaultbin::text from types y),
named as (
    select x.catalog, x.oid, x.owner, n.found[1] = 'opno' as is_operator, n.found[2]::oid as number
      from texts x
     cross join lateral regexp_matches(x.tree, ':(funcid|opfuncid|elemfuncid|aggfnoid|winfnoid|opno) ([0-9]+)', 'g')
         n (found)
    union
    select x.catalog, x.oid, x.owner, d.refclassid = 'pg_catalog.pg_operator'::regclass, d.refobjid
      from texts x
      join pg_catalog.pg_depend d on d.classid = x.catalog and d.objid = x.oid
       and d.refclassid in ('pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_proc'::regclass)),
calls as (
    select distinct n.catalog, n.oid, n.owner, p.oid as function, p.proowner,
           f.rolsuper and (
               p.provolatile = 'i' and (
                   p.pronamespace = 'pg_catalog'::regnamespace
                   or exists (select from pg_catalog.pg_depend e
                               where e.classid = 'pg_catalog.pg_proc'::regclass and e.objid = p.oid
                                   and e.deptype = 'e'))
               or p.pronamespace = 'pg_catalog'::regnamespace and (
                   p.proname in ('now', 'transaction_timestamp', 'statement_timestamp', 'clock_timestamp', 'timeofday',
                                 'random', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'nextval', 'txid_current',
                                 'pg_current_xact_id', 'current_database', 'concat', 'concat_ws', 'array_to_string',
                                 'to_json', 'to_jsonb', 'json_build_object', 'jsonb_build_object',
                                 'json_build_array', 'jsonb_build_array')
                   or p.provolatile = 's' and exists (
                       select from unnest(p.proargtypes::oid[]) a (type)
                         join pg_catalog.pg_type y on y.oid = a.type and y.typcategory in ('D', 'T')
                          and y.typnamespace = 'pg_catalog'::regnamespace))) as harmless,
           f.rolsuper as of_superuser
      from named n
      left join pg_catalog.pg_operator o on n.is_operator and o.oid = n.number
      join pg_catalog.pg_proc p on p.oid = case when n.is_operator then o.oprcode::oid else n.number end
      join pg_catalog.pg_roles f on f.oid = p.proowner)
select format('%s of role %I', pg_describe_object(w.catalog, w.oid, 0), w.rolname)
  from weak w
  left join pg_catalog.pg_class c on c.oid = w.oid and w.catalog = 'pg_catalog.pg_class'::regclass
 where w.catalog not in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass,
     'pg_catalog.pg_type'::regclass,
                         'pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_statistic_ext'::regclass,
                         'pg_catalog.pg_collation'::regclass)
    or c.relkind not in ('r', 'p', 'S', 'i', 'I', 'c')
union
select format('%s of role %I, which calls %s of role %I', pg_describe_object(c.catalog, c.oid, 0), r.rolname,
              pg_describe_object('pg_catalog.pg_proc'::regclass, c.function, 0), f.rolname)
  from calls c
  join pg_catalog.pg_roles r on r.oid = c.owner
  join pg_catalog.pg_roles f on f.oid = c.proowner
 where not c.of_superuser or not r.rolsuper and not c.harmless
 order by 1";

/// The objects among those `made`, and the expressions in them, that must not come to the subscriber, one line each for
/// a person. An object is given by the oid of its catalog and its own oid. The session must see the catalog as it was
/// when the objects' definitions were read: in the same snapshot.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn untrusted(
    client: &impl GenericClient,
    made: impl Iterator<Item = (u32, u32)>,
) -> Result<Vec<String>, Error> {
    let (catalogs, oids): (Vec<u32>, Vec<u32>) = made.unzip();
    client
        .query(UNTRUSTED, &[&catalogs, &oids])
        .await
        .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
        .map_err(Error::database("read whose code the tables need"))
}
