//! The subscriber's table, as far as writing it needs to be known: which of a shape's columns
//! it takes, how its key is compared, and the statements made of that.

mod gathered;
mod lookup;
mod merge;
mod staging;
mod statements;

use std::sync::Arc;

use sql::{
    event::{part::OwnColumn, shape::Shape},
    name::{TableName, quote_ident},
    subscriber::session_role::SessionRole,
};

pub(crate) use self::{
    gathered::TogetherStatements,
    staging::{Staging, drop_staging, free_names},
    statements::{SetStatements, SumStatements},
};
pub(crate) use super::{origin::Ordinary, owner::Acting};

/// A column that is written.
#[derive(Debug)]
struct Column {
    /// Its name, quoted.
    name: String,
    /// Its type, qualified, without modifiers.
    type_name: String,
    /// Its type as `format_type` names it, without modifiers: as events name types.
    plain_type: String,
    /// The number of its type.
    type_oid: u32,
    /// Equality, as `operator(schema.name)`, where the type has one.
    equal: Option<String>,
    identity_always: bool,
    not_null: bool,
    /// What its values are staged as, as a definition says it: its type, or, where that may run its owner's code as replay's
    /// role when values of it are read, what a domain is made of, or text.
    staging: String,
    /// The number of that type.
    staging_oid: u32,
    /// It is staged as text, because its type may run code.
    opaque: bool,
}

impl Column {
    /// Its value in a staging table under an alias, as the table takes it.
    fn staged(&self, alias: &str) -> String {
        if self.staging_oid == self.type_oid {
            format!("{alias}.{}", self.name)
        } else {
            format!("{alias}.{}::{}", self.name, self.type_name)
        }
    }
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
    /// In which role it is written.
    pub session_role: SessionRole,
    /// Its number on the subscriber.
    pub relation: u32,
    /// Tables that its foreign keys refer to, by their numbers, without itself.
    pub refers_to: Vec<u32>,
    /// A foreign key of it refers to itself.
    pub refers_to_itself: bool,
    /// As whom it is written.
    pub acting: Acting,
    /// COPY does to it what INSERT does. Not so where a rule of the subscriber's acts on a
    /// replica's INSERT: COPY passes rules by.
    pub takes_copy: bool,
}

impl Target {
    /// The table where rows are read, changed or deleted: without its children's, which are
    /// rows of other tables, but with those of its partitions.
    pub(crate) fn own_rows(&self) -> String {
        let only = if self.partitioned { "" } else { "only " };
        format!("{only}{}", self.name.quoted())
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

    /// The numbers of the written columns' types, in order.
    pub(super) fn column_types(&self) -> impl Iterator<Item = u32> {
        self.columns.iter().map(|column| column.type_oid)
    }

    /// The same of the key's columns, in the order of the key.
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

    /// The columns that an UPDATE sets: all but the key where equal keys have equal text, for
    /// then the key stays. None if nothing is left to set.
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

    /// Whether UPDATE can set what must be set: an identity column that is GENERATED ALWAYS
    /// takes values from INSERT only.
    pub(crate) fn can_update(&self) -> bool {
        let key_stays = self.shape.key_text_is_equality();
        self.columns
            .iter()
            .enumerate()
            .all(|(n, c)| !c.identity_always || (key_stays && self.key.contains(&n)))
    }

    /// Whether a row that changes must be taken out and put in again although the subscriber's
    /// own columns keep their values.
    pub(crate) fn keeps_beside(&self) -> bool {
        !self.key.is_empty() && !self.own.is_empty() && !self.can_update()
    }

    /// The quoted name and the type of a written column; none if there is no such column, or
    /// the subscriber computes it.
    pub(crate) fn written_column(&self, name: &str) -> Option<(&str, &str)> {
        let quoted = quote_ident(name);
        self.columns
            .iter()
            .find(|column| column.name == quoted)
            .map(|column| (column.name.as_str(), column.type_name.as_str()))
    }

    /// A written column as a partition's bound is compared with it; none as above.
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
