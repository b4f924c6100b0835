//! Tables of replay's own that rows are loaded into first: which there are, and how they are made.
//!
//! Their columns are of the types that were looked up, and never of those that the subscriber's table has by now: COPY reads
//! values as replay's role, and a type that the table's owner has given the table meanwhile may run code of the owner's.

use std::borrow::Borrow;

use sql::{event::shape::ShapeId, name::quote_literal};

use super::{Column, Target};

/// So many pointers of 18 bytes, and as many values of 16, fit into a page of 8 kB.
const COLUMNS_STORED_APART: usize = 200;

/// The statements that make a table with these columns. A type's name may have come to stand for another type since it was
/// looked up, so the table's types are looked at afterwards: the error is 40001, and nothing has been read yet.
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

/// The statements that make a staging table of the session, if it has none. It is emptied at the end of each transaction,
/// which, unlike TRUNCATE, writes nothing to the catalog.
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

    /// The same for a table that goes with the transaction.
    pub(crate) fn make_for_part(&self, name: &str) -> String {
        make("create temp table", name, &self.columns, " on commit drop")
    }

    /// Keeps the server from compressing what is staged: it is read once, soon. Not where the
    /// pointers to values that are stored apart may be more than a page holds.
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

/// Which staging tables of a shape: those for rows and keys of which it is known whether the
/// subscriber has them, those for rows as they are now and keys that are gone, those for sums, or
/// those for what is written together at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Staging {
    /// For deletes, updates and inserts.
    Known,
    /// For live rows and keys that are gone.
    Unknown,
    /// For rows that were added and taken away, of a table without a key.
    Sums,
    /// For rows whose order a unique index does not let pass.
    Together,
}

/// The name of the table for what columns that only the subscriber has hold meanwhile.
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

/// The statement that goes before those that make or drop temporary tables of these names. Code of a table's owner, which has run in
/// the session, can put something else in their place.
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
