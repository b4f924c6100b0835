//! Objects of any kind, which the provider and the subscriber have under one name. Reads the catalog.

use tokio_postgres::{GenericClient, error::SqlState};

use crate::error::Error;

/// What an object is called in every database, as `pg_identify_object_as_address` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The object's kind, such as `table constraint`.
    pub kind: String,
    /// The object's name, by parts.
    pub names: Vec<String>,
    /// What the name needs besides, such as a function's types.
    pub arguments: Vec<String>,
}

/// The addresses of objects, in their order. An object is given by the oid of its catalog and its own oid.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn addresses(
    client: &impl GenericClient,
    objects: impl Iterator<Item = (u32, u32)>,
) -> Result<Vec<Address>, Error> {
    let (catalogs, oids): (Vec<u32>, Vec<u32>) = objects.unzip();
    client
        .query(
            "select a.type, a.object_names, a.object_args \
               from unnest($1::oid[], $2::oid[]) with ordinality o (catalog, oid, place) \
              cross join lateral pg_identify_object_as_address(o.catalog, o.oid, 0) a \
              order by o.place",
            &[&catalogs, &oids],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| {
                    Ok(Address {
                        kind: row.try_get(0)?,
                        names: row.try_get(1)?,
                        arguments: row.try_get(2)?,
                    })
                })
                .collect()
        })
        .map_err(Error::database("read the names of objects"))
}

/// An object that a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingObject {
    /// What the object is, and whose, for a person, if it is or may become code, and belongs to a role that is neither
    /// a superuser nor the session's; else none.
    pub code_of_other: Option<String>,
}

/// Looks for an object; none if the database has none at the address.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn find(
    client: &impl GenericClient,
    address: &Address,
) -> Result<Option<ExistingObject>, Error> {
    let found = client
        .query_one(FIND, &[&address.kind, &address.names, &address.arguments])
        .await
        .and_then(|row| row.try_get(0));
    let error = match found {
        Ok(code_of_other) => return Ok(Some(ExistingObject { code_of_other })),
        Err(error) => error,
    };
    match error.code() {
        Some(
            &SqlState::UNDEFINED_OBJECT
            | &SqlState::UNDEFINED_TABLE
            | &SqlState::UNDEFINED_FUNCTION
            | &SqlState::INVALID_SCHEMA_NAME
            | &SqlState::WRONG_OBJECT_TYPE,
        ) => Ok(None),
        Some(_) | None => {
            let what = format!("look for {} {}", address.kind, address.names.join("."));
            Err(Error::database(what)(error))
        }
    }
}

/// Gives the text of [`ExistingObject::code_of_other`]. The server raises an error if it has no object at the address.
const FIND: &str = "\
    select (select format('%s of role %I', pg_describe_object(a.classid, a.objid, 0), r.rolname) \
              from pg_catalog.pg_shdepend s join pg_catalog.pg_roles r on r.oid = s.refobjid \
             where s.classid = a.classid and s.objid = a.objid and s.objsubid = 0 and s.deptype = 'o' \
               and s.dbid = (select d.oid from pg_catalog.pg_database d \
                   where d.datname = pg_catalog.current_database()) \
               and not r.rolsuper and r.rolname <> current_user \
               and (a.classid in ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass, \
                                  'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass) \
                    or a.classid = 'pg_catalog.pg_type'::regclass \
                       and (select t.typtype in ('d', 'c', 'r', 'm') from pg_catalog.pg_type t \
                           where t.oid = a.objid))) \
      from pg_catalog.pg_get_object_address($1, $2, $3) a";
