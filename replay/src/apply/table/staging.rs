//! Tables of replay's own that rows are loaded into first: their names, and how they are made.
//!
//! Their columns have the types that were looked up, and never the types that the subscriber's table has now: COPY
//! reads values as replay's role, and a type that the owner has given the table meanwhile may run the owner's code.

use std::borrow::Borrow;

use sql::{event::shape::ShapeId, name::quote_literal};

use super::{Column, Target};

/// So many out-of-line pointers of 18 bytes, and as many values of 16 bytes, fit into a page of 8 kB.
const COLUMNS_STORED_APART: usize = 200;

/// The statements that make a table with these columns. A type's name may belong to another type than when it was
/// looked up, so the table's types are checked after it is made: the error is 40001, and no value has been read yet.
///
/// * `create`: as `create table NAME`, and `on_commit` what follows the columns.
/// * `name`: the same name.
fn make<C: Borrow<Column>>(
    create: &str,
    name: &str,
    columns: impl IntoIterator<Item = C>,
    on_commit: &str,
) -> String {
    let (columns, types): (Vec<String>, Vec<String>) = columns
        .into_iter()
        .map(|column| {
            let Column {
                name,
                staging,
                staging_oid,
                ..
            } = column.borrow();
            (format!("{name} {staging}"), staging_oid.to_string())
        })
        .unzip();
    format!(
        "{create} {name} ({}){on_commit}; select trunkline.prove_columns({}, '{{{}}}')",
        columns.join(", "),
        quote_literal(name),
        types.join(", ")
    )
}

/// The statements that make a staging table of the session, unless the session has it. The table is emptied at the end
/// of each transaction; unlike TRUNCATE, this writes nothing to the catalog.
pub(super) fn make_temporary<C: Borrow<Column>>(
    name: &str,
    columns: impl IntoIterator<Item = C>,
) -> String {
    let create = "create temp table if not exists";
    make(create, name, columns, " on commit delete rows")
}

impl Target {
    /// The statements that make a table of replay's own with the written columns, which rows are loaded into first.
    pub(crate) fn make_aside(&self, aside: &str) -> String {
        make("create table", aside, &self.columns, "")
    }

    /// The same as [`Target::make_aside`], for a table that is dropped at the end of the transaction.
    pub(crate) fn make_for_part(&self, name: &str) -> String {
        make("create temp table", name, &self.columns, " on commit drop")
    }

    /// Keeps the server from compressing staged values, which are read once, soon. Not used if the pointers to
    /// out-of-line values may need more than a page.
    pub(super) fn store_uncompressed(&self, staging: &str) -> String {
        if self.columns.len() > COLUMNS_STORED_APART {
            return String::new();
        }
        let staging = quote_literal(staging);
        format!(
            "do $do$ declare v_column text; begin \
                 for v_column in select attname from pg_attribute where attrelid = {staging}::regclass \
                                    and attnum > 0 and attstorage in ('x', 'm') loop \
                     execute format('alter table %s alter column %I set storage external', {staging}, v_column); \
                 end loop; end $do$"
        )
    }
}

/// The kinds of a shape's staging tables, by the rows and keys that they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Staging {
    /// Deletes, updates and inserts: it is known whether the subscriber has the rows.
    Known,
    /// Live rows and keys that are gone: it is not known whether the subscriber has them.
    Unknown,
    /// Rows that were added and deleted, of a table without a key.
    Sums,
    /// Rows that no order of statements can write because of a unique index; they are written together at the end.
    Together,
}

/// The name of the table that saves the values of columns that only the subscriber has.
pub(super) fn own_name(shape: ShapeId) -> String {
    format!("trunkline_own_{}", shape.0)
}

impl Staging {
    /// The names of the tables for rows and for keys.
    pub(super) fn names(self, shape: ShapeId) -> [String; 2] {
        let (rows, keys) = match self {
            Staging::Known => ("rows", "keys"),
            Staging::Unknown => ("live", "gone"),
            Staging::Sums => ("plus", "minus"),
            Staging::Together => ("late", "touched"),
        };
        [rows, keys].map(|what| format!("trunkline_{what}_{}", shape.0))
    }
}

/// The statement that must come before statements that make or drop temporary tables of these names. Code of a table's
/// owner that has run in the session may have made another object with such a name.
pub(crate) fn free_names(names: &[&str]) -> String {
    format!(
        "select trunkline.free_temporary('{{{}}}'); ",
        names.join(",")
    )
}

/// The statements that drop a shape's staging tables, if there are any.
pub(crate) fn drop_staging(shape: ShapeId) -> String {
    let names = [
        Staging::Known,
        Staging::Unknown,
        Staging::Sums,
        Staging::Together,
    ]
    .map(|staging| staging.names(shape));
    let own = own_name(shape);
    let names: Vec<&str> = names
        .iter()
        .flatten()
        .chain([&own])
        .map(String::as_str)
        .collect();
    let tables: Vec<String> = names.iter().map(|name| format!("pg_temp.{name}")).collect();
    format!(
        "{}drop table if exists {}; ",
        free_names(&names),
        tables.join(", ")
    )
}
