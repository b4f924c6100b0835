//! What must be known of the subscriber's table to write it: which of a shape's columns it takes, how its key is
//! compared, and the statements made of these.

mod gathered;
mod lookup;
mod merge;
mod mine;
mod staging;
mod statements;

use std::sync::Arc;

use sql::{
    event::{mapping::Merge, part::OwnColumn, shape::Shape},
    name::{TableName, quote_ident},
    subscriber::session_role::SessionRole,
};

pub(crate) use self::{
    gathered::TogetherStatements,
    staging::{Staging, drop_staging, free_names},
    statements::{SetStatements, SumStatements},
};
pub(crate) use super::owner::Acting;

/// A column that is written.
#[derive(Debug)]
struct Column {
    /// The column's name, quoted.
    name: String,
    /// The column's type, qualified, without modifiers.
    type_name: String,
    /// The column's type as `format_type` names it, without modifiers, as events do.
    plain_type: String,
    /// The oid of the column's type.
    type_oid: u32,
    /// The type's equality operator, as `operator(schema.name)`, if the type has one.
    equal: Option<String>,
    identity_always: bool,
    not_null: bool,
    /// The type that the values are staged in, as in a definition. It is the column's type, unless reading values of it
    /// may run the owner's code as replay's role; then it is the base type of a domain, or text.
    staging: String,
    /// The oid of the staging type.
    staging_oid: u32,
    /// The values are staged as text, because the column's type may run code.
    opaque: bool,
}

impl Column {
    /// The column's value in a staging table with an alias, as the table takes it.
    fn staged(&self, alias: &str) -> String {
        if self.staging_oid == self.type_oid {
            format!("{alias}.{}", self.name)
        } else {
            format!("{alias}.{}::{}", self.name, self.type_name)
        }
    }
}

/// The rows of a table that are one job's, where other jobs write the table, too.
#[derive(Debug)]
struct Mine {
    /// The condition that is true for them.
    merge: Merge,
    /// For each column of the condition, its index in the target's columns.
    columns: Vec<usize>,
}

/// A table of the subscriber together with the shape whose rows it takes.
#[derive(Debug)]
pub(crate) struct Target {
    /// The shape of the rows.
    pub shape: Arc<Shape>,
    /// The table's name on the subscriber.
    pub name: TableName,
    /// For each written column, its place in the shape's rows.
    pub fields: Vec<usize>,
    /// For each key column, its place in the shape's rows; in the order of the key.
    pub key_fields: Vec<usize>,
    columns: Vec<Column>,
    /// For each key column, its index in `columns`.
    key: Vec<usize>,
    /// Columns that only the subscriber has: they keep their values.
    own: Vec<Column>,
    partitioned: bool,
    /// The role that the table is written in.
    pub session_role: SessionRole,
    /// The table's oid on the subscriber.
    pub relation: u32,
    /// Tables that the table's foreign keys refer to, by their oids, without the table itself.
    pub refers_to: Vec<u32>,
    /// The table has a foreign key that refers to the table itself.
    pub refers_to_itself: bool,
    /// The role that the table's statements run as.
    pub acting: Acting,
    /// COPY has the same effect on the table as INSERT. It has not if a rule of the subscriber acts on a replica's
    /// INSERT: COPY ignores rules.
    pub takes_copy: bool,
    /// Which of the table's rows are this job's; none: all.
    mine: Option<Mine>,
}

impl Target {
    /// The table for reading, updating and deleting rows: with its partitions, and without its inheritance children,
    /// whose rows belong to other tables.
    pub(crate) fn own_rows(&self) -> String {
        let only = if self.partitioned { "" } else { "only " };
        format!("{only}{}", self.name.quoted())
    }

    /// Whether the subscriber's table has columns that the provider's rows do not bring.
    pub(crate) fn has_own_columns(&self) -> bool {
        !self.own.is_empty()
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }

    /// The written columns as a staging table under an alias has them.
    fn staged_names(&self, alias: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|c| c.staged(alias)).collect();
        names.join(", ")
    }

    fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|&k| &self.columns[k])
    }

    /// The names of the subscriber's own columns, after this prefix.
    fn own_names(&self, prefix: &str) -> String {
        let names: Vec<String> = self
            .own
            .iter()
            .map(|column| format!("{prefix}{}", column.name))
            .collect();
        names.join(", ")
    }

    /// The oids of the written columns' types, in order.
    pub(super) fn column_types(&self) -> impl Iterator<Item = u32> {
        self.columns.iter().map(|column| column.type_oid)
    }

    /// The oids of the key columns' types, in the order of the key.
    pub(super) fn key_types(&self) -> impl Iterator<Item = u32> {
        self.key_columns().map(|column| column.type_oid)
    }

    fn key_names(&self, prefix: &str) -> String {
        let names: Vec<String> = self
            .key_columns()
            .map(|column| format!("{prefix}{}", column.name))
            .collect();
        names.join(", ")
    }

    /// The comparison of the table's key, under alias `t`, with `other(n)` for the nth key
    /// column.
    fn key_equals(&self, other: impl Fn(usize, &Column) -> String) -> String {
        let terms: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(n, &k)| {
                let column = &self.columns[k];
                let equal = column.equal.as_deref().unwrap_or("operator(pg_catalog.=)");
                format!("t.{} {equal} {}", column.name, other(n, column))
            })
            .collect();
        terms.join(" and ")
    }

    /// The columns that an UPDATE sets. The key is left out if equal keys have equal text, because the key stays then.
    /// None if there is no column to set.
    fn set_list(&self, value: impl Fn(usize, &Column) -> String) -> Option<String> {
        let key_stays = self.shape.key_text_is_equality();
        let terms: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(n, _)| !(key_stays && self.key.contains(n)))
            .map(|(n, column)| format!("{} = {}", column.name, value(n, column)))
            .collect();
        (!terms.is_empty()).then(|| terms.join(", "))
    }

    /// Whether UPDATE can set all columns that it must set: an identity column that is GENERATED ALWAYS takes values
    /// from INSERT only.
    pub(crate) fn can_update(&self) -> bool {
        let key_stays = self.shape.key_text_is_equality();
        self.columns
            .iter()
            .enumerate()
            .all(|(n, c)| !c.identity_always || (key_stays && self.key.contains(&n)))
    }

    /// Whether a changed row must be deleted and inserted again although the subscriber's own columns must keep their
    /// values.
    pub(crate) fn keeps_beside(&self) -> bool {
        !self.key.is_empty() && !self.own.is_empty() && !self.can_update()
    }

    /// The quoted name and the type of a written column; none if the table has no such column, or computes it.
    pub(crate) fn written_column(&self, name: &str) -> Option<(&str, &str)> {
        let quoted = quote_ident(name);
        self.columns
            .iter()
            .find(|column| column.name == quoted)
            .map(|column| (column.name.as_str(), column.type_name.as_str()))
    }

    /// A written column, for comparison with a partition's bound; none if the table has no such column, or computes it.
    pub(crate) fn bound_column(&self, name: &str) -> Option<OwnColumn<'_>> {
        let quoted = quote_ident(name);
        let column = self.columns.iter().find(|column| column.name == quoted)?;
        Some(OwnColumn {
            name: &column.name,
            type_name: &column.plain_type,
        })
    }

    /// Whether a written column takes no null.
    pub(crate) fn is_not_null(&self, name: &str) -> bool {
        let quoted = quote_ident(name);
        self.columns
            .iter()
            .any(|column| column.name == quoted && column.not_null)
    }
}
