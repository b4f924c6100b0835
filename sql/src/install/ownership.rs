//! Who owns our schemas in a database. This is asked before anything in the schemas is called or read. Reads the
//! catalog only.
//!
//! Everybody who owns a database can make a schema called `pgq` or `trunkline`, with functions and views of his own,
//! and a session that calls them runs his code. So a schema is used only if everybody who could have put code into it
//! may act as this session's role anyway. These are:
//!
//! - the owner of the schema, and the owner of each object in it;
//! - every role that may create objects in the schema, or triggers on its tables;
//! - the owners of the functions that its tables call or are made of: a trigger stays when the right to make it is
//!   taken away, and a default or a rule stays when its table gets another owner.
//!
//! A proof holds for the life of the session: only the owner of a schema (or a superuser) may drop or rename the
//! schema, put objects into it or change its objects, and the owner is a role that may act as ours. A *missing* schema
//! proves nothing, since somebody may make it in the next moment: a schema that was missing is proven again before its
//! first use.

use std::fmt;

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use crate::error::{Error, column};

/// A schema that our programs call functions or read tables in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The schema of the queue.
    Pgq,
    /// The schema of capture on a provider, and of positions and states on a subscriber.
    Trunkline,
    /// The schema of cooperating consumers.
    PgqCoop,
    /// The schema where consumers record what they have done.
    PgqExt,
    /// The schema of Londiste's nodes, which PgQ's maintenance takes care of.
    PgqNode,
    /// The schema of Londiste's tables, which PgQ's maintenance takes care of.
    Londiste,
}

impl Schema {
    /// The schemas that a session calls which only ticks.
    pub const QUEUE: &[Schema] = &[Schema::Pgq];
    /// The schemas that a session to a provider calls.
    pub const PROVIDER: &[Schema] = &[Schema::Pgq, Schema::Trunkline];
    /// The schemas that a session to a subscriber calls.
    pub const SUBSCRIBER: &[Schema] = &[Schema::Trunkline];

    /// The schema's name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Schema::Pgq => "pgq",
            Schema::Trunkline => "trunkline",
            Schema::PgqCoop => "pgq_coop",
            Schema::PgqExt => "pgq_ext",
            Schema::PgqNode => "pgq_node",
            Schema::Londiste => "londiste",
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row for each schema of `$1` that exists: its name, and the first object in it that belongs to a role that may
/// not act as this session's role; null if there is no such object.
///
/// Every name and operator has its schema, because nothing is known of the database yet. The objects of a schema are
/// found by their dependencies, which have an index. Functions of schema trunkline that were made for a table's owner,
/// in order to run with his rights, are left out: no program calls them by itself (`trunkline.make_readers`).
const PROOF: &str = "\
with schema as ( \
    select n.oid, n.nspname, n.nspowner, n.nspacl from pg_catalog.pg_namespace n \
     where n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]::pg_catalog.name[])), \
member as ( \
    select s.nspname, d.classid, d.objid \
      from schema s join pg_catalog.pg_depend d \
        on d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
       and d.refobjid operator(pg_catalog.=) s.oid), \
relation as ( \
    select m.nspname, c.oid, c.relname, c.relowner, c.relacl \
      from member m join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) m.objid \
     where m.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass), \
part as ( \
    select r.nspname, r.relname, 'pg_catalog.pg_class'::pg_catalog.regclass as classid, r.oid as objid from relation r \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid \
      from relation r join pg_catalog.pg_index i on i.indrelid operator(pg_catalog.=) r.oid \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid \
      from relation r join pg_catalog.pg_trigger t on t.tgrelid operator(pg_catalog.=) r.oid \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid \
      from relation r join pg_catalog.pg_rewrite w on w.ev_class operator(pg_catalog.=) r.oid \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid \
      from relation r join pg_catalog.pg_attrdef d on d.adrelid operator(pg_catalog.=) r.oid \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid \
      from relation r join pg_catalog.pg_constraint k on k.conrelid operator(pg_catalog.=) r.oid \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_policy'::pg_catalog.regclass, l.oid \
      from relation r join pg_catalog.pg_policy l on l.polrelid operator(pg_catalog.=) r.oid \
    union all \
    select r.nspname, r.relname, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, x.oid \
      from relation r join pg_catalog.pg_statistic_ext x on x.stxrelid operator(pg_catalog.=) r.oid), \
used as ( \
    select a.nspname, a.relname, \
           coalesce(y.typowner, p.proowner, q.proowner) as role, \
           case when y.oid is null then 'calls a function of' else 'has values of a type of' end as how \
      from part a \
      join pg_catalog.pg_depend d on d.classid operator(pg_catalog.=) a.classid \
          and d.objid operator(pg_catalog.=) a.objid \
      left join pg_catalog.pg_type y on d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
                                    and y.oid operator(pg_catalog.=) d.refobjid \
      left join pg_catalog.pg_proc p on d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
                                    and p.oid operator(pg_catalog.=) d.refobjid \
      left join pg_catalog.pg_operator o \
          on d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass \
                                        and o.oid operator(pg_catalog.=) d.refobjid \
      left join pg_catalog.pg_proc q on q.oid operator(pg_catalog.=) o.oprcode \
     where coalesce(y.oid, p.oid, q.oid) is not null), \
holder as ( \
    select 1 as place, s.nspname, s.nspowner as role, 'schema ' as kind, \
        null::pg_catalog.text as name, 'belongs to' as how from schema s \
    union all \
    select 2, s.nspname, a.grantee, 'schema ', null, 'takes objects made by' \
      from schema s cross join lateral pg_catalog.aclexplode(s.nspacl) a \
     where a.privilege_type operator(pg_catalog.=) 'CREATE' \
    union all \
    select 3, r.nspname, r.relowner, 'relation ', r.relname::pg_catalog.text, 'belongs to' from relation r \
    union all \
    select 4, r.nspname, a.grantee, 'relation ', r.relname::pg_catalog.text, 'takes triggers made by' \
      from relation r cross join lateral pg_catalog.aclexplode(r.relacl) a \
     where a.privilege_type operator(pg_catalog.=) 'TRIGGER' \
    union all \
    select 5, m.nspname, p.proowner, 'function ', p.proname::pg_catalog.text, 'belongs to' \
      from member m join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) m.objid \
     where m.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
    union all \
    select 6, m.nspname, t.typowner, 'type ', t.typname::pg_catalog.text, 'belongs to' \
      from member m join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) m.objid \
     where m.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
    union all \
    select 7, m.nspname, o.oprowner, 'operator ', o.oprname::pg_catalog.text, 'belongs to' \
      from member m join pg_catalog.pg_operator o on o.oid operator(pg_catalog.=) m.objid \
     where m.classid operator(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass \
    union all \
    select 8, u.nspname, u.role, 'relation ', u.relname::pg_catalog.text, u.how from used u), \
stranger as ( \
    select h.role from (select distinct x.role from holder x) h \
     where h.role operator(pg_catalog.=) 0::pg_catalog.oid \
        or not case when pg_catalog.current_setting('server_version_num')::pg_catalog.int4 \
            operator(pg_catalog.>=) 160000 \
                    then pg_catalog.pg_has_role(h.role, session_user::pg_catalog.name, 'SET') \
                      or pg_catalog.pg_has_role(h.role, session_user::pg_catalog.name, 'USAGE') \
                    else pg_catalog.pg_has_role(h.role, session_user::pg_catalog.name, 'MEMBER') end) \
select s.nspname::pg_catalog.text, \
       (select pg_catalog.concat(h.kind, h.nspname, \
           case when h.name is not null then pg_catalog.concat('.', h.name) end, ' ', h.how, ' ', \
                     case when h.role operator(pg_catalog.=) 0::pg_catalog.oid then 'everybody' \
                          else pg_catalog.concat('role ', pg_catalog.pg_get_userbyid(h.role)) end) \
          from holder h \
          join stranger x on x.role operator(pg_catalog.=) h.role \
         where h.nspname operator(pg_catalog.=) s.nspname \
           and not (h.nspname operator(pg_catalog.=) 'trunkline' \
               and coalesce(h.name, '') operator(pg_catalog.~) '^((ask|live)_[0-9]+|copy_[0-9]+_[0-9a-f]+)$') \
         order by h.place, h.name limit 1), \
       session_user::pg_catalog.text \
  from schema s";

/// The schemas of these that exist, in their order, each proven to belong to roles that may act as this session's role.
///
/// # Errors
/// [`Error::Stranger`] if a schema belongs to another role.
pub async fn prove(client: &impl GenericClient, schemas: &[Schema]) -> Result<Vec<Schema>, Error> {
    let names: Vec<&str> = schemas.iter().map(|schema| schema.name()).collect();
    let rows = client
        .query_typed(PROOF, &[(&names, Type::TEXT_ARRAY)])
        .await
        .map_err(Error::database("ask whose our schemas are"))?;
    let mut there = Vec::new();
    for row in &rows {
        let name: String = column(row, 0)?;
        if let Some(what) = column::<Option<String>>(row, 1)? {
            return Err(Error::Stranger {
                schema: name,
                what,
                session: column(row, 2)?,
            });
        }
        there.push(name);
    }
    Ok(schemas
        .iter()
        .copied()
        .filter(|schema| there.iter().any(|name| name == schema.name()))
        .collect())
}

/// The same as [`prove`], where all of the schemas have to exist.
///
/// # Errors
/// [`Error::NotInstalled`] if a schema is missing.
pub async fn require(client: &impl GenericClient, schemas: &[Schema]) -> Result<(), Error> {
    let there = prove(client, schemas).await?;
    match schemas.iter().find(|schema| !there.contains(schema)) {
        None => Ok(()),
        Some(missing) => Err(Error::NotInstalled {
            schema: missing.name(),
        }),
    }
}

/// Whether a relation of ours exists, in a schema that is proven. The name is as SQL reads it, without its schema.
///
/// # Errors
/// As [`prove`].
pub(crate) async fn relation_exists(
    client: &impl GenericClient,
    schema: Schema,
    name: &str,
) -> Result<bool, Error> {
    let query = "select pg_catalog.to_regclass($1) is not null";
    exists(client, schema, name, query).await
}

/// Whether a function of ours exists, in a schema that is proven. The name has its arguments' types.
///
/// # Errors
/// As [`prove`].
pub(crate) async fn function_exists(
    client: &impl GenericClient,
    schema: Schema,
    name: &str,
) -> Result<bool, Error> {
    let query = "select pg_catalog.to_regprocedure($1) is not null";
    exists(client, schema, name, query).await
}

async fn exists(
    client: &impl GenericClient,
    schema: Schema,
    name: &str,
    query: &str,
) -> Result<bool, Error> {
    if prove(client, &[schema]).await?.is_empty() {
        return Ok(false);
    }
    let name = format!("{schema}.{name}");
    let row = client
        .query_typed_one(query, &[(&name, Type::TEXT)])
        .await
        .map_err(Error::database(format!("look for {name}")))?;
    column(&row, 0)
}
