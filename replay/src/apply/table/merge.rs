//! The statements that bring in the rows of a copy: by COPY, by an insert from a table of replay's own, or by a merge
//! by key with the rows that the table has.

use sql::name::{TableName, quote_ident};

use super::{Column, Target};

impl Target {
    /// The statement that loads the written columns by COPY into a table that has them.
    pub(crate) fn copy_in(&self, into: &TableName) -> String {
        if self.columns.is_empty() {
            // Without written columns COPY needs no list.
            return format!("copy {} from stdin", into.quoted());
        }
        format!("copy {} ({}) from stdin", into.quoted(), self.names())
    }

    /// The statement that inserts the rows of a table of replay's own, which has the written columns.
    pub(crate) fn insert_staged(&self, staging: &str) -> String {
        let table = self.name.quoted();
        if self.columns.is_empty() {
            return format!("insert into {table} select from {staging} s");
        }
        format!(
            "insert into {table} ({}) overriding system value select {} from {staging} s",
            self.names(),
            self.staged_names("s")
        )
    }

    /// The statements that merge in the rows of a table with the written columns: rows with the same key become equal,
    /// missing rows are inserted, and with `only_these` all other rows are deleted. Rows that are equal already are not
    /// touched.
    pub(crate) fn merge_statements(&self, aside: &TableName, only_these: bool) -> Vec<String> {
        let (table, own) = (self.name.quoted(), self.own_rows());
        let (aside, names) = (aside.quoted(), self.names());
        let insert = format!(
            "insert into {table} ({names}) overriding system value select {} from {aside} s",
            self.staged_names("s")
        );
        if self.key.is_empty() {
            let clear = only_these.then(|| format!("delete from {own} t{}", self.where_own()));
            return clear.into_iter().chain([insert]).collect();
        }
        let staged = |_: usize, c: &Column| c.staged("s");
        let same_key = self.key_equals(|_, c| format!("s.{}", c.name));
        let mine = self.and_own();
        let all_of_t: Vec<String> = self
            .columns
            .iter()
            .map(|c| format!("t.{}", c.name))
            .collect();
        // Rows are compared by their images, as records: every type has an image, and not every type has an equality.
        let differs = format!(
            "row({})::pg_catalog.record operator(pg_catalog.*<>) row({})::pg_catalog.record",
            all_of_t.join(", "),
            self.staged_names("s")
        );
        let others = only_these.then(|| {
            format!(
                "delete from {own} t where not exists (select from {aside} s where {same_key}){mine}"
            )
        });
        // A row that is deleted and inserted again is never in the way of another row. But columns that only the
        // subscriber has keep their values only through an update, or if they are inserted with the row.
        let taken_out =
            format!("delete from {own} t using {aside} s where {same_key}{mine} and {differs}");
        let changed = match self.set_list(staged) {
            Some(set) if !self.own.is_empty() && self.can_update() => {
                format!(
                    "update {own} t set {set} from {aside} s where {same_key}{mine} and {differs}"
                )
            }
            Some(_) if !self.own.is_empty() => {
                let kept = self.own_names("t.");
                // The deleted rows are counted first, so that all are deleted before the first one is inserted.
                format!(
                    "with gone as ({taken_out} returning {}, {kept}) \
                     insert into {table} ({names}, {}) overriding system value \
                     select {}, {kept} from {aside} s join gone t on {same_key} \
                      where (select count(*) from gone) > 0",
                    self.key_names("t."),
                    self.own_names(""),
                    self.staged_names("s"),
                )
            }
            Some(_) | None => taken_out,
        };
        let missing =
            format!("{insert} where not exists (select from {own} t where {same_key}{mine})");
        others.into_iter().chain([changed, missing]).collect()
    }

    /// The written columns' names, unquoted.
    pub(crate) fn copied_names(&self) -> Vec<&str> {
        self.fields
            .iter()
            .map(|&field| self.shape.columns[field].name.as_str())
            .collect()
    }

    /// The provider's columns, quoted, in the order in which `copy_in` takes them.
    pub(crate) fn copied_columns(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|&field| quote_ident(&self.shape.columns[field].name))
            .collect()
    }
}
