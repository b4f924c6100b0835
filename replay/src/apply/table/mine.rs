//! Which rows of the subscriber's table are this job's, where other jobs write the table, too: those for which the
//! condition of `--merge` is true. Null counts as false. Statements over the table touch no other row, and bring no
//! other row in.

use sql::{event::mapping::Merge, name::quote_ident};
use tokio_postgres::Client;

use super::{Column, Mine, Target};
use crate::trouble::{self, NotAsSaid, Trouble};

/// The first number of an object that the server does not bring itself.
const FIRST_OF_USERS: u32 = 16_384;

impl Mine {
    /// Finds the columns of the condition among those that are written.
    ///
    /// Errors: the end of a sentence about the condition, if a column is not written, or is not of a type that the
    /// server brings any more: reading it might run code of the type's owner.
    pub(super) fn of(merge: &Merge, written: &[Column]) -> Result<Mine, String> {
        let place = |name: &String| {
            let quoted = quote_ident(name);
            let place = written.iter().position(|column| column.name == quoted);
            let place = place.ok_or_else(|| {
                format!("reads column {quoted}, which the provider's rows do not bring")
            })?;
            let column = &written[place];
            if column.type_oid >= FIRST_OF_USERS || column.opaque {
                return Err(format!(
                    "reads column {quoted}, which is of type {}",
                    column.type_name
                ));
            }
            Ok(place)
        };
        Ok(Mine {
            columns: merge
                .columns
                .iter()
                .map(place)
                .collect::<Result<_, String>>()?,
            merge: merge.clone(),
        })
    }
}

impl Target {
    /// The condition of `--merge`, as people read it; none: all rows are this job's.
    pub(crate) fn merge(&self) -> Option<&str> {
        self.mine.as_ref().map(|mine| mine.merge.condition.as_str())
    }

    /// Whether the condition reads a column, given by its quoted name.
    pub(crate) fn is_told_by(&self, column: &str) -> bool {
        let read = self.mine.iter().flat_map(|mine| &mine.merge.columns);
        read.into_iter().any(|name| quote_ident(name) == column)
    }

    /// The condition that a row is this job's; `value` gives the row's value of a written column, by its place among
    /// these. None: all rows are.
    pub(super) fn is_mine(&self, value: impl Fn(usize, &Column) -> String) -> Option<String> {
        let mine = self.mine.as_ref()?;
        Some(mine.merge.on(|place| {
            // A place without a column makes a statement that the server refuses: never one about another column.
            let written = mine.columns.get(place).copied();
            let column = written.and_then(|at| Some((at, self.columns.get(at)?)));
            column.map_or_else(String::new, |(at, column)| value(at, column))
        }))
    }

    /// ` and`, and the condition that a row with these values is this job's; empty: all rows are.
    pub(super) fn and_mine(&self, value: impl Fn(usize, &Column) -> String) -> String {
        self.is_mine(value)
            .map_or_else(String::new, |mine| format!(" and {mine}"))
    }

    /// The same of the table's rows, under alias `t`.
    pub(crate) fn and_own(&self) -> String {
        self.and_mine(|_, column| format!("t.{}", column.name))
    }

    /// The same of staged rows, under alias `s`.
    pub(super) fn and_staged(&self) -> String {
        self.and_mine(|_, column| column.staged("s"))
    }

    /// ` where`, and the condition that a row of the table, under alias `t`, is this job's; empty: all rows are.
    pub(crate) fn where_own(&self) -> String {
        self.is_mine(|_, column| format!("t.{}", column.name))
            .map_or_else(String::new, |mine| format!(" where {mine}"))
    }

    /// Deletes all rows of the table that are this job's.
    pub(crate) async fn delete_mine(&self, client: &Client) -> Result<(), Trouble> {
        let delete = format!("delete from {} t{}", self.own_rows(), self.where_own());
        let deleted = self.acting.execute(client, &delete).await;
        deleted.map(|_| ()).map_err(Trouble::at_table(
            &self.shape.table_name(),
            "could not delete its rows on the subscriber",
        ))
    }

    /// The question whether one of the rows in a table of replay's own is not this job's: one row if so. None: all are.
    pub(crate) fn outside(&self, staged: &str) -> Option<String> {
        let mine = self.is_mine(|_, column| column.staged("s"))?;
        Some(format!(
            "select 'a row' from {staged} s where {mine} is not true limit 1"
        ))
    }

    /// The trouble of rows that the provider sends and that are not this job's.
    pub(crate) fn row_outside(&self) -> Trouble {
        let merge = self.merge().unwrap_or_default().to_owned();
        let advice = format!(
            "on the provider, put the rows right for which {merge} is not true; or drop the change (replay skip \
             TABLE); or remove the table from the job, and add it with another --merge, or with a --where that leaves \
             such rows out"
        );
        let table = self.shape.table_name();
        Trouble::not_as_said(&table, NotAsSaid::Outside { merge }, &advice)
    }

    /// A table's trouble, with advice for the case that a row of another job is in the way.
    pub(crate) fn advised(&self, trouble: Trouble) -> Trouble {
        let is_in_the_way = trouble.sqlstate().is_some_and(trouble::is_in_the_way);
        match (self.merge(), trouble) {
            (Some(merge), Trouble::Table(table)) if is_in_the_way => {
                Trouble::from(table.advised(&format!(
                    "a row of another job may have its key: find the row on the subscriber for which {merge} is not \
                     true, and put one of the two right on its provider; or have the condition's columns in the unique \
                     index"
                )))
            }
            (_, other) => other,
        }
    }
}
