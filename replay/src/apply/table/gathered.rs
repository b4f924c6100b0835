//! The statements that write all rows of a table that a transaction has touched together, at the transaction's end.
//! They are built from the target's columns; `apply/gathered.rs` runs them.

use super::{
    Column, Staging, Target,
    staging::{free_names, make_temporary, own_name},
};

/// See [`Target::together_statements`].
#[derive(Debug)]
pub(crate) struct TogetherStatements {
    /// Makes the staging tables, unless the session has them.
    pub make: String,
    /// Empties the staging tables.
    pub clear: String,
    /// Gathers the staged keys of rows that are deleted.
    pub absorb_keys: String,
    /// Gathers the staged rows.
    pub absorb_rows: String,
    /// The staged keys that no row has; gathered rows count as rows.
    pub missing_keys: String,
    /// The keys of staged rows that no row has.
    pub missing_rows: String,
    /// The keys of staged rows that a row has.
    pub existing_rows: String,
    /// Saves the values of the subscriber's own columns in the touched rows; empty if the subscriber has no columns of
    /// its own.
    pub keep: String,
    /// Deletes the touched rows.
    pub delete: String,
    /// Inserts the rows that stay and have saved values; empty if `keep` is.
    pub insert_kept: String,
    /// Inserts the rows that stay; if `insert_kept` is not empty, only those without saved values.
    pub insert: String,
    /// The number of rows that stay.
    pub count: String,
}

impl Target {
    /// Three temporary tables: `late` holds the last state of each touched row that stays, `touched` the keys of all
    /// touched rows, `own` the values of the columns that only the subscriber has. Keys are indexed, since a batch may
    /// bring many small sets; they are not indexed if the order of their type is only that of the index that tells rows
    /// apart.
    pub(crate) fn together_statements(&self) -> TogetherStatements {
        let (table, own_rows) = (self.name.quoted(), self.own_rows());
        let [late_name, touched_name] = Staging::Together.names(self.shape.shape);
        let own_name = own_name(self.shape.shape);
        let [late, touched, own] =
            [&late_name, &touched_name, &own_name].map(|name| format!("pg_temp.{name}"));
        let [rows_name, keys_name] = Staging::Known.names(self.shape.shape);
        let (rows, keys) = (
            format!("pg_temp.{rows_name}"),
            format!("pg_temp.{keys_name}"),
        );
        let (names, key_names, s_key_names) =
            (self.names(), self.key_names(""), self.key_names("s."));
        let same_key = self.key_equals(|_: usize, c: &Column| format!("s.{}", c.name));
        let in_late = format!("exists (select from {late} t where {same_key})");
        let in_touched = format!("exists (select from {touched} t where {same_key})");
        let mine = self.and_own();
        let in_table = format!("exists (select from {own_rows} t where {same_key}{mine})");
        let key_row = format!("row({s_key_names})::text");
        // Two queries, so that each is planned as a join and not as a search for each row.
        let missing = |from: &str| {
            format!(
                "select {key_row} from {from} s where {in_touched} and not {in_late} \
                 union all select {key_row} from {from} s where not {in_touched} and not {in_table}"
            )
        };
        let absorb = |from: &str| {
            format!(
                "delete from {late} t using {from} s where {same_key}; \
                 insert into {touched} select {s_key_names} from {from} s where not {in_touched}"
            )
        };
        let (own_names, t_own) = (self.own_names(""), self.own_names("t."));
        let s_names = self.staged_names("s");
        let (mut make_own, mut keep, mut insert_kept, mut granted) =
            (String::new(), String::new(), String::new(), String::new());
        let mut insert = format!(
            "insert into {table} ({names}) overriding system value select {s_names} from {late} s"
        );
        let mut clear = format!("truncate {late}, {touched}");
        if !self.own.is_empty() {
            let columns = self.key_columns().chain(&self.own);
            make_own = make_temporary(&own, columns) + "; ";
            granted = self.acting.grant("select, insert", &[&own]);
            clear = format!("{clear}, {own}");
            keep = format!(
                "insert into {own} select {}, {t_own} from {own_rows} t join {touched} s on {same_key}{mine}",
                self.key_names("t.")
            );
            insert_kept = format!(
                "insert into {table} ({names}, {own_names}) overriding system value \
                 select {s_names}, {t_own} from {late} s join {own} t on {same_key}"
            );
            insert = format!("{insert} where not exists (select from {own} t where {same_key})");
        }
        TogetherStatements {
            make: format!(
                "{}{}; {}; {make_own}\
                 do $do$ begin \
                     create index on {late} ({key_names}); create index on {touched} ({key_names}); \
                 exception when undefined_object then null; end $do${}{granted}",
                free_names(&[&late_name, &touched_name, &own_name]),
                make_temporary(&late, &self.columns),
                make_temporary(&touched, self.key_columns()),
                self.acting.grant("select", &[&late, &touched])
            ),
            clear,
            absorb_keys: absorb(&keys),
            absorb_rows: format!(
                "{}; insert into {late} select {names} from {rows}",
                absorb(&rows)
            ),
            missing_keys: missing(&keys),
            missing_rows: missing(&rows),
            existing_rows: format!(
                "select {key_row} from {rows} s where {in_late} \
                 union all select {key_row} from {rows} s where not {in_touched} and {in_table}"
            ),
            keep,
            delete: format!("delete from {own_rows} t using {touched} s where {same_key}{mine}"),
            insert_kept,
            insert,
            count: format!("select count(*)::text from {late}"),
        }
    }
}
