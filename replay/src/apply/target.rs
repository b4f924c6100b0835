//! The subscriber's table, as far as writing it needs to be known: which of a shape's columns
//! it takes, how its key is compared, and the statements made of that.

use std::sync::Arc;

use sql::{
    name::{TableName, quote_ident},
    shape::{Shape, ShapeId},
};
use tokio_postgres::{GenericClient, Row};

use crate::trouble::Trouble;

/// A column that is written.
#[derive(Debug)]
struct Column {
    /// Its name, quoted.
    name: String,
    /// Its type, qualified, without modifiers.
    type_name: String,
    /// Equality, as `operator(schema.name)`, where the type has one.
    equal: Option<String>,
    identity_always: bool,
    not_null: bool,
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
    /// Columns that only the subscriber has keep their values through updates.
    pub has_own_columns: bool,
    partitioned: bool,
    /// COPY does to it what INSERT does. Not so where a rule of the subscriber's acts on a
    /// replica's INSERT: COPY passes rules by.
    pub takes_copy: bool,
}

struct Found {
    name: String,
    column: Column,
    generated: bool,
    partitioned: bool,
}

fn found(row: &Row) -> Result<Found, tokio_postgres::Error> {
    let name: String = row.try_get(0)?;
    Ok(Found {
        column: Column {
            name: quote_ident(&name),
            type_name: row.try_get(1)?,
            equal: row.try_get(4)?,
            identity_always: row.try_get(3)?,
            not_null: row.try_get(5)?,
        },
        generated: row.try_get(2)?,
        partitioned: row.try_get(6)?,
        name,
    })
}

async fn has_replica_rule(client: &impl GenericClient, table: &TableName) -> Result<bool, Trouble> {
    client
        .query_one(
            "select exists (select from pg_rewrite r \
                             join pg_class c on c.oid = r.ev_class \
                             join pg_namespace n on n.oid = c.relnamespace \
                            where n.nspname = $1 and c.relname = $2 and r.ev_enabled in ('A', 'R'))",
            &[&table.schema, &table.name],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Trouble::at_table(
            table,
            "could not read its rules on the subscriber",
        ))
}

impl Target {
    /// Looks the table up on the subscriber and matches its columns with the shape's by name.
    ///
    /// Errors: a [`Trouble::Table`] that names the table if it is missing, and each column
    /// that it has no place for.
    pub(crate) async fn find(
        client: &impl GenericClient,
        shape: &Arc<Shape>,
    ) -> Result<Target, Trouble> {
        let table = &shape.table_name();
        let rows = client
            .query(
                "select column_name, type_name, generated, identity_always, equal_operator, \
                        not_null, partitioned \
                 from trunkline.target_columns($1, $2)",
                &[&table.schema, &table.name],
            )
            .await
            .map_err(Trouble::at_table(
                table,
                "could not read its columns on the subscriber",
            ))?;
        let mut found = rows
            .iter()
            .map(found)
            .collect::<Result<Vec<_>, _>>()
            .map_err(Trouble::at_table(table, "could not read its columns"))?;
        if found.is_empty() && !shape.columns.is_empty() {
            return Err(Trouble::misfit(
                table,
                "it does not exist on the subscriber".into(),
                "create the table on the subscriber, or remove it from the job",
            ));
        }
        let mut target = Target {
            shape: Arc::clone(shape),
            name: table.clone(),
            fields: Vec::new(),
            key_fields: shape.key_fields(),
            columns: Vec::new(),
            key: Vec::new(),
            has_own_columns: false,
            partitioned: found.first().is_some_and(|column| column.partitioned),
            takes_copy: !has_replica_rule(client, table).await?,
        };
        let mut missing = Vec::new();
        for (field, wanted) in shape.columns.iter().enumerate() {
            let Some(place) = found.iter().position(|f| f.name == wanted.name) else {
                missing.push(quote_ident(&wanted.name));
                continue;
            };
            let here = found.swap_remove(place);
            if here.generated {
                // The subscriber computes it; a key that it computes cannot be compared with.
                if wanted.key.is_some() {
                    missing.push(format!("{} (generated here)", here.column.name));
                }
                continue;
            }
            target.fields.push(field);
            target.columns.push(here.column);
        }
        if !missing.is_empty() {
            return Err(Trouble::misfit(
                table,
                format!("it has no column {} on the subscriber", missing.join(", ")),
                "add the column on the subscriber, or remove the table from the job",
            ));
        }
        target.has_own_columns = found.iter().any(|own| !own.generated);
        target.key = target
            .key_fields
            .iter()
            .filter_map(|key| target.fields.iter().position(|field| field == key))
            .collect();
        Ok(target)
    }

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

    fn key_names(&self, prefix: &str) -> String {
        let names: Vec<String> = self
            .key
            .iter()
            .map(|&k| format!("{prefix}{}", self.columns[k].name))
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

    /// The statements for one row at a time. Parameters are the written columns in order; for
    /// `delete` the key columns in order of the key.
    pub(crate) fn row_statements(&self) -> RowStatements {
        let (table, own) = (self.name.quoted(), self.own_rows());
        let value = |n: usize, c: &Column| format!("${}::{}", n + 1, c.type_name);
        let values: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(n, c)| value(n, c))
            .collect();
        let insert = if self.columns.is_empty() {
            format!("insert into {table} default values")
        } else {
            format!(
                "insert into {table} ({}) overriding system value values ({})",
                self.names(),
                values.join(", ")
            )
        };
        let by_row = self.key_equals(|n, c| value(self.key[n], c));
        let by_key = self.key_equals(value);
        // Where all columns are key there is nothing to set, and the row's presence is still
        // to be checked: one key column is set to itself.
        let set = self.set_list(value).unwrap_or_else(|| self.set_nothing());
        RowStatements {
            insert,
            update: format!("update {own} t set {set} where {by_row}"),
            delete: format!("delete from {own} t where {by_key}"),
        }
    }

    fn set_nothing(&self) -> String {
        self.key
            .first()
            .map(|&k| format!("{0} = t.{0}", self.columns[k].name))
            .unwrap_or_default()
    }

    /// The statements over sets of rows, which stand in two staging tables of the session.
    pub(crate) fn set_statements(&self, staging: Staging) -> SetStatements {
        let (table, own) = (self.name.quoted(), self.own_rows());
        // One chunk may hold rows of several shapes of a table.
        let [rows_name, keys_name] = staging.names(self.shape.shape);
        let (rows, keys) = (
            format!("pg_temp.{rows_name}"),
            format!("pg_temp.{keys_name}"),
        );
        let (names, key_names) = (self.names(), self.key_names(""));
        let staged = |_: usize, c: &Column| format!("s.{}", c.name);
        let same_key = self.key_equals(staged);
        let set = self.set_list(staged).unwrap_or_else(|| self.set_nothing());
        let key_row = format!("row({})::text", self.key_names("s."));
        SetStatements {
            make: format!(
                "create temp table if not exists {rows_name} on commit delete rows as \
                     select {names} from {table} with no data; \
                 create temp table if not exists {keys_name} on commit delete rows as \
                     select {key_names} from {table} with no data"
            ),
            clear_rows: format!("truncate {rows}"),
            clear_keys: format!("truncate {keys}"),
            load: self.copy_in(&self.name),
            copy_rows: format!("copy {rows} ({names}) from stdin"),
            copy_keys: format!("copy {keys} ({key_names}) from stdin"),
            delete: format!("delete from {own} t using {keys} s where {same_key}"),
            update: format!("update {own} t set {set} from {rows} s where {same_key}"),
            insert: format!(
                "insert into {table} ({names}) overriding system value \
                 select {names} from {rows} s"
            ),
            insert_missing: format!(
                "insert into {table} ({names}) overriding system value \
                 select {names} from {rows} s \
                 where not exists (select from {own} t where {same_key})"
            ),
            delete_rows: format!("delete from {own} t using {rows} s where {same_key}"),
            missing_rows: format!(
                "select {key_row} from {rows} s \
                 where not exists (select from {own} t where {same_key})"
            ),
            missing_keys: format!(
                "select {key_row} from {keys} s \
                 where not exists (select from {own} t where {same_key})"
            ),
            existing_rows: format!("select {key_row} from {rows} s join {own} t on {same_key}"),
        }
    }

    /// The statements that bring the rows of a table without a key to the sum of what was added
    /// and taken away, which stand in two staging tables of the session.
    ///
    /// A row is told by the text of all its columns, as this server writes it. Columns that
    /// are never NULL are also compared by their own equality, so that an index can serve.
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
        let of = |alias: &str| {
            let columns: Vec<String> = self
                .columns
                .iter()
                .map(|column| format!("{alias}.{}", column.name))
                .collect();
            columns.join(", ")
        };
        let text = |alias: &str| format!("row({})::text", of(alias));
        let sums = format!(
            "sums (k, n) as (select u.k, sum(u.n) from (\
                 select {}, 1 from {plus} s union all select {}, -1 from {minus} s) u (k, n) \
             group by u.k having sum(u.n) <> 0)",
            text("s"),
            text("s")
        );
        let goal = |from: &str| {
            format!(
                "goal (k, r) as (select distinct on (k) b.k, b.r \
                 from (select {}, s from {from} s) b (k, r))",
                text("s")
            )
        };
        let same: String = self
            .columns
            .iter()
            .filter(|column| column.not_null)
            .filter_map(|column| {
                let equal = column.equal.as_deref()?;
                Some(format!("t.{0} {equal} (goal.r).{0} and ", column.name))
            })
            .collect();
        let doomed = format!(
            "doomed (id, part) as (select f.id, f.part from (\
                 select t.ctid, t.tableoid, sums.n, row_number() over (partition by sums.k) \
                 from sums join goal on goal.k = sums.k join {own} t on {same}{} = goal.k \
                 where sums.n < 0) f (id, part, n, place) where f.place <= -f.n)",
            text("t")
        );
        // A row's place is its own in one table only.
        let chosen = if self.partitioned {
            "using doomed d where t.ctid = d.id and t.tableoid = d.part"
        } else {
            "where t.ctid = any (array(select d.id from doomed d))"
        };
        SumStatements {
            make: format!(
                "create temp table if not exists {plus_name} on commit delete rows as \
                     select {names} from {table} with no data; \
                 create temp table if not exists {minus_name} on commit delete rows as \
                     select {names} from {table} with no data"
            ),
            clear: format!("truncate {plus}, {minus}"),
            copy_plus: format!("copy {plus}{list} from stdin"),
            copy_minus: format!("copy {minus}{list} from stdin"),
            take_away: format!(
                "with {sums}, {}, {doomed}, gone (k) as (delete from {own} t {chosen} returning {}) \
                 select w.k from (select sums.k, -sums.n as n from sums where sums.n < 0) w \
                 left join (select gone.k, count(*) as n from gone group by gone.k) g on g.k = w.k \
                 cross join lateral generate_series(1, (w.n - coalesce(g.n, 0))::int8)",
                goal(&minus),
                text("t")
            ),
            to_add: format!(
                "with {sums} select coalesce(sum(sums.n), 0)::int8 from sums where sums.n > 0"
            ),
            add: format!(
                "with {sums}, {} insert into {table}{list} overriding system value select {} \
                 from sums join goal on goal.k = sums.k \
                 cross join lateral generate_series(1, sums.n::int8) where sums.n > 0",
                goal(&plus),
                of("(goal.r)")
            ),
        }
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

    /// The statement that loads the written columns by COPY into a table that has them.
    pub(crate) fn copy_in(&self, into: &TableName) -> String {
        if self.columns.is_empty() {
            // COPY needs no list where there is no column to write.
            return format!("copy {} from stdin", into.quoted());
        }
        format!("copy {} ({}) from stdin", into.quoted(), self.names())
    }

    /// A query over the written columns.
    pub(crate) fn select_written(&self) -> String {
        format!("select {} from {}", self.names(), self.own_rows())
    }

    /// The statements that bring in the rows of a table with the written columns: rows with
    /// the same key become equal, missing ones are added, and with `only_these` all others go.
    /// Rows that are equal already are not touched.
    pub(crate) fn merge_statements(&self, aside: &TableName, only_these: bool) -> Vec<String> {
        let (table, own) = (self.name.quoted(), self.own_rows());
        let (aside, names) = (aside.quoted(), self.names());
        let insert = format!(
            "insert into {table} ({names}) overriding system value select {names} from {aside} s"
        );
        if self.key.is_empty() {
            let clear = only_these.then(|| format!("delete from {own}"));
            return clear.into_iter().chain([insert]).collect();
        }
        let staged = |_: usize, c: &Column| format!("s.{}", c.name);
        let same_key = self.key_equals(staged);
        let all_of = |alias: &str| {
            let all: Vec<String> = self
                .columns
                .iter()
                .map(|c| format!("{alias}.{}", c.name))
                .collect();
            format!("row({})::pg_catalog.record", all.join(", "))
        };
        // By their images, as records: every type has one, not every type has an equality.
        let differs = format!("{} operator(pg_catalog.*<>) {}", all_of("t"), all_of("s"));
        let others = only_these.then(|| {
            format!("delete from {own} t where not exists (select from {aside} s where {same_key})")
        });
        // A row that is taken out and put in again is never in the way of another one; but
        // columns that only the subscriber has keep their values only through an update.
        let changed = match self.set_list(staged) {
            Some(set) if self.has_own_columns && self.can_update() => {
                format!("update {own} t set {set} from {aside} s where {same_key} and {differs}")
            }
            Some(_) | None => {
                format!("delete from {own} t using {aside} s where {same_key} and {differs}")
            }
        };
        let missing = format!("{insert} where not exists (select from {own} t where {same_key})");
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
    pub(crate) fn copied_columns(&self) -> String {
        let names: Vec<String> = self
            .fields
            .iter()
            .map(|&field| quote_ident(&self.shape.columns[field].name))
            .collect();
        names.join(", ")
    }
}

/// Which staging tables of a shape: those for rows and keys of which it is known whether the
/// subscriber has them, those for rows as they are now and keys that are gone, or those for sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Staging {
    /// For deletes, updates and inserts.
    Known,
    /// For live rows and keys that are gone.
    Unknown,
    /// For rows that were added and taken away, of a table without a key.
    Sums,
}

impl Staging {
    /// The names of the tables for rows and for keys.
    fn names(self, shape: ShapeId) -> [String; 2] {
        let (rows, keys) = match self {
            Staging::Known => ("rows", "keys"),
            Staging::Unknown => ("live", "gone"),
            Staging::Sums => ("plus", "minus"),
        };
        [rows, keys].map(|what| format!("trunkline_{what}_{}", shape.0))
    }
}

/// The statement that drops a shape's staging tables, if there are any.
pub(crate) fn drop_staging(shape: ShapeId) -> String {
    let names =
        [Staging::Known, Staging::Unknown, Staging::Sums].map(|staging| staging.names(shape));
    let names: Vec<String> = names
        .iter()
        .flatten()
        .map(|name| format!("pg_temp.{name}"))
        .collect();
    format!("drop table if exists {}; ", names.join(", "))
}

/// See [`Target::row_statements`].
#[derive(Debug)]
pub(crate) struct RowStatements {
    /// Adds a row.
    pub insert: String,
    /// Sets the row with the same key.
    pub update: String,
    /// Deletes the row with a key.
    pub delete: String,
}

/// See [`Target::set_statements`].
#[derive(Debug)]
pub(crate) struct SetStatements {
    /// Makes the staging tables, if the session has not got them. They are emptied at the end of
    /// each transaction, which, unlike TRUNCATE, writes nothing to the catalog.
    pub make: String,
    /// Empties the staged rows, where one transaction stages more than once.
    pub clear_rows: String,
    /// Empties the staged keys.
    pub clear_keys: String,
    /// Loads rows into the table itself.
    pub load: String,
    /// Loads rows.
    pub copy_rows: String,
    /// Loads keys.
    pub copy_keys: String,
    /// Deletes the rows with the staged keys.
    pub delete: String,
    /// Sets the rows with the staged rows' keys.
    pub update: String,
    /// Adds the staged rows.
    pub insert: String,
    /// Adds those of the staged rows whose key is not there.
    pub insert_missing: String,
    /// Deletes the rows with the staged rows' keys.
    pub delete_rows: String,
    /// The keys of staged rows that are not there.
    pub missing_rows: String,
    /// The staged keys that are not there.
    pub missing_keys: String,
    /// The keys of staged rows that are there.
    pub existing_rows: String,
}

/// See [`Target::sum_statements`].
#[derive(Debug)]
pub(crate) struct SumStatements {
    /// Makes the staging tables, if the session has not got them.
    pub make: String,
    /// Empties them.
    pub clear: String,
    /// Loads rows that were added.
    pub copy_plus: String,
    /// Loads rows that were taken away.
    pub copy_minus: String,
    /// Deletes the rows whose sum is below zero; gives the text of each that was not there.
    pub take_away: String,
    /// How many rows are to be added.
    pub to_add: String,
    /// Adds the rows whose sum is above zero.
    pub add: String,
}
