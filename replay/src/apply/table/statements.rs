//! The statements that write a target. They are built from its columns; the writers run them.

use super::{
    Column, Target,
    staging::{Staging, free_names, make_temporary},
};

impl Target {
    /// The statements for one row at a time. Parameters are the written columns in order; for
    /// `delete` the key columns in order of the key.
    pub(crate) fn row_statements(&self) -> RowStatements {
        let (table, own) = (self.name.quoted(), self.own_rows());
        let value = |n: usize, c: &Column| format!("${}::{}", n + 1, c.type_name);
        // The condition of a merge is asked of what the table would hold: a type's modifier changes a value.
        let stored = |n: usize, c: &Column| format!("({}::{})", value(n, c), c.staging);
        let mut values: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(n, c)| value(n, c))
            .collect();
        let proof = self.acting.proof();
        // There is no condition for the rows of VALUES. The server has no trace of it left when it has planned this.
        if let (Some(first), Some(proof)) = (values.first_mut(), &proof) {
            *first = format!("case when {proof} then {first} end");
        }
        let insert = if self.columns.is_empty() {
            format!("insert into {table} default values")
        } else {
            let source = match self.is_mine(stored) {
                None => format!("values ({})", values.join(", ")),
                Some(mine) => format!("select {} where {mine}", values.join(", ")),
            };
            format!(
                "insert into {table} ({}) overriding system value {source}",
                self.names(),
            )
        };
        let proven = proof.map_or_else(String::new, |proof| format!(" and {proof}"));
        let (mine, stays_mine) = (self.and_own(), self.and_mine(stored));
        let by_row = self.key_equals(|n, c| value(self.key[n], c));
        let by_key = self.key_equals(value);
        // If all columns are key columns there is no column to set, but it must still be checked that the row exists:
        // one key column is set to itself.
        let set = self.set_list(value).unwrap_or_else(|| self.set_nothing());
        RowStatements {
            insert,
            update: format!("update {own} t set {set} where {by_row}{mine}{stays_mine}{proven}"),
            delete: format!("delete from {own} t where {by_key}{mine}{proven}"),
        }
    }

    /// Empty without a key: such a target has no statements for single rows.
    fn set_nothing(&self) -> String {
        self.key
            .first()
            .map(|&k| format!("{0} = t.{0}", self.columns[k].name))
            .unwrap_or_default()
    }

    /// The statements over sets of rows, which are in two staging tables of the session.
    pub(crate) fn set_statements(&self, staging: Staging) -> SetStatements {
        let (table, own) = (self.name.quoted(), self.own_rows());
        // One chunk may hold rows of several shapes of a table.
        let [rows_name, keys_name] = staging.names(self.shape.shape);
        let (rows, keys) = (
            format!("pg_temp.{rows_name}"),
            format!("pg_temp.{keys_name}"),
        );
        let (names, key_names) = (self.names(), self.key_names(""));
        let same_key = self.key_equals(|_, c| format!("s.{}", c.name));
        let staged_names = self.staged_names("s");
        let set = self
            .set_list(|_, c| c.staged("s"))
            .unwrap_or_else(|| self.set_nothing());
        // If the images are equal, the table's own value stays where it is stored.
        let kept = |_: usize, c: &Column| {
            let (name, staged) = (&c.name, c.staged("s"));
            format!(
                "case when record_image_eq(row(t.{name}), row({staged})) then t.{name} else {staged} end"
            )
        };
        let set_changed = self.set_list(kept).unwrap_or_else(|| self.set_nothing());
        let key_row = format!("row({})::text", self.key_names("s."));
        // Rows of other jobs are no rows for these statements, and rows that are not this job's are not brought in.
        let (mine, staged_mine) = (self.and_own(), self.and_staged());
        let inserted = self
            .is_mine(|_, c| c.staged("s"))
            .map_or_else(String::new, |mine| format!(" where {mine}"));
        SetStatements {
            make: format!(
                "{}{}; {}; {}{}",
                free_names(&[&rows_name, &keys_name]),
                make_temporary(&rows, &self.columns),
                make_temporary(&keys, self.key_columns()),
                self.store_uncompressed(&rows),
                self.acting.grant("select", &[&rows, &keys])
            ),
            clear_rows: format!("truncate {rows}"),
            clear_keys: format!("truncate {keys}"),
            load: self.copy_in(&self.name),
            copy_rows: format!("copy {rows} ({names}) from stdin"),
            copy_keys: format!("copy {keys} ({key_names}) from stdin"),
            delete: format!("delete from {own} t using {keys} s where {same_key}{mine}"),
            update: format!(
                "update {own} t set {set} from {rows} s where {same_key}{mine}{staged_mine}"
            ),
            update_changed: format!(
                "update {own} t set {set_changed} from {rows} s where {same_key}{mine}{staged_mine}"
            ),
            insert: format!(
                "insert into {table} ({names}) overriding system value \
                 select {staged_names} from {rows} s{inserted}"
            ),
            insert_missing: format!(
                "insert into {table} ({names}) overriding system value \
                 select {staged_names} from {rows} s \
                 where not exists (select from {own} t where {same_key}{mine}){staged_mine}"
            ),
            delete_rows: format!("delete from {own} t using {rows} s where {same_key}{mine}"),
            missing_rows: format!(
                "select {key_row} from {rows} s \
                 where not exists (select from {own} t where {same_key}{mine})"
            ),
            missing_keys: format!(
                "select {key_row} from {keys} s \
                 where not exists (select from {own} t where {same_key}{mine})"
            ),
            existing_rows: format!(
                "select {key_row} from {rows} s join {own} t on {same_key}{mine}"
            ),
            outside_rows: self.outside(&rows),
        }
    }

    /// The statements that bring the rows of a table without a key to the sum of the rows that were added and deleted,
    /// which are in two staging tables of the session.
    ///
    /// A row is identified by the text of all its columns, as this server writes it. Columns that are never NULL are
    /// also compared by their own equality, so that an index can be used.
    pub(crate) fn sum_statements(&self) -> SumStatements {
        let (table, own) = (self.name.quoted(), self.own_rows());
        let [plus_name, minus_name] = Staging::Sums.names(self.shape.shape);
        let (plus, minus) = (
            format!("pg_temp.{plus_name}"),
            format!("pg_temp.{minus_name}"),
        );
        let names = self.names();
        let list = if names.is_empty() {
            String::new()
        } else {
            format!(" ({names})")
        };
        let text = |columns: &str| format!("row({columns})::text");
        let of_staged = text(&self.staged_names("s"));
        let of_table: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("t.{}", column.name))
            .collect();
        let of_table = text(&of_table.join(", "));
        let sums = format!(
            "sums (k, n) as (select u.k, sum(u.n) from (\
                 select {of_staged}, 1 from {plus} s union all select {of_staged}, -1 from {minus} s) u (k, n) \
             group by u.k having sum(u.n) <> 0)"
        );
        let goal = |from: &str| {
            format!(
                "goal (k, r) as (select distinct on (k) b.k, b.r \
                 from (select {of_staged}, s from {from} s) b (k, r))"
            )
        };
        let same: String = self
            .columns
            .iter()
            .filter(|column| column.not_null)
            .filter_map(|column| {
                let equal = column.equal.as_deref()?;
                let goal = column.staged("(goal.r)");
                Some(format!("t.{} {equal} {goal} and ", column.name))
            })
            .collect();
        let mine = self.and_own();
        let doomed = format!(
            "doomed (id, part) as (select f.id, f.part from (\
                 select t.ctid, t.tableoid, sums.n, row_number() over (partition by sums.k) \
                 from sums join goal on goal.k = sums.k join {own} t on {same}{} = goal.k{mine} \
                 where sums.n < 0) f (id, part, n, place) where f.place <= -f.n)",
            of_table
        );
        // A row's ctid is unique in one table only.
        let chosen = if self.partitioned {
            "using doomed d where t.ctid = d.id and t.tableoid = d.part"
        } else {
            "where t.ctid = any (array(select d.id from doomed d))"
        };
        SumStatements {
            make: format!(
                "{}{}; {}{}",
                free_names(&[&plus_name, &minus_name]),
                make_temporary(&plus, &self.columns),
                make_temporary(&minus, &self.columns),
                self.acting.grant("select", &[&plus, &minus])
            ),
            clear: format!("truncate {plus}, {minus}"),
            copy_plus: format!("copy {plus}{list} from stdin"),
            copy_minus: format!("copy {minus}{list} from stdin"),
            counts: format!(
                "with {sums} select coalesce(sum(-sums.n) filter (where sums.n < 0), 0)::text from sums \
                 union all select coalesce(sum(sums.n) filter (where sums.n > 0), 0)::text from sums"
            ),
            take_away: format!(
                "with {sums}, {}, {doomed}, gone (k) as (delete from {own} t {chosen} returning {}) \
                 select w.k from (select sums.k, -sums.n as n from sums where sums.n < 0) w \
                 left join (select gone.k, count(*) as n from gone group by gone.k) g on g.k = w.k \
                 cross join lateral generate_series(1::int8, (w.n - coalesce(g.n, 0))::int8)",
                goal(&minus),
                of_table
            ),
            add: format!(
                "with {sums}, {} insert into {table}{list} overriding system value select {} \
                 from sums join goal on goal.k = sums.k \
                 cross join lateral generate_series(1::int8, sums.n::int8) where sums.n > 0",
                goal(&plus),
                self.staged_names("(goal.r)")
            ),
            outside: self.outside(&plus),
        }
    }
}

/// See [`Target::row_statements`].
#[derive(Debug)]
pub(crate) struct RowStatements {
    /// Inserts a row.
    pub insert: String,
    /// Updates the row with the same key.
    pub update: String,
    /// Deletes the row with a key.
    pub delete: String,
}

/// See [`Target::set_statements`].
#[derive(Debug)]
pub(crate) struct SetStatements {
    /// Makes the staging tables, unless the session has them. They are emptied at the end of each transaction; unlike
    /// TRUNCATE, this writes nothing to the catalog.
    pub make: String,
    /// Empties the staged rows, if one transaction stages more than once.
    pub clear_rows: String,
    /// Empties the staged keys.
    pub clear_keys: String,
    /// Loads rows into the table itself.
    pub load: String,
    /// Loads rows into the staging table.
    pub copy_rows: String,
    /// Loads keys into the staging table.
    pub copy_keys: String,
    /// Deletes the rows with the staged keys.
    pub delete: String,
    /// Updates the rows with the staged rows' keys.
    pub update: String,
    /// The same as `update`, for large rows: an unchanged value is neither written nor compressed again.
    pub update_changed: String,
    /// Inserts the staged rows.
    pub insert: String,
    /// Inserts the staged rows whose key no row has.
    pub insert_missing: String,
    /// Deletes the rows with the staged rows' keys.
    pub delete_rows: String,
    /// The keys of staged rows that no row has.
    pub missing_rows: String,
    /// The staged keys that no row has.
    pub missing_keys: String,
    /// The keys of staged rows that a row has.
    pub existing_rows: String,
    /// A row if a staged row is not this job's; none: all are.
    pub outside_rows: Option<String>,
}

/// See [`Target::sum_statements`].
#[derive(Debug)]
pub(crate) struct SumStatements {
    /// Makes the staging tables, unless the session has them.
    pub make: String,
    /// Empties the staging tables.
    pub clear: String,
    /// Loads rows that were added.
    pub copy_plus: String,
    /// Loads rows that were deleted.
    pub copy_minus: String,
    /// How many rows must be deleted, and how many inserted: two rows.
    pub counts: String,
    /// Deletes the rows whose sum is below zero; gives the text of each row that did not exist.
    pub take_away: String,
    /// Inserts the rows whose sum is above zero.
    pub add: String,
    /// A row if a row that was added is not this job's; none: all are.
    pub outside: Option<String>,
}
