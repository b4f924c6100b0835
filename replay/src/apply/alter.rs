//! Changes the columns of a subscriber's table as the provider's were changed (`replicate_ddl`), in the open
//! transaction.
//!
//! Nothing of an event becomes part of a statement but names, which are quoted, constants, which are quoted literals or
//! plain numbers, and types as the subscriber's own catalog calls them.

use std::{collections::HashMap, sync::Arc};

use sql::{
    connect::Session,
    event::shape::{Shape, since::MadeOf},
    name::{TableName, quote_ident, quote_literal},
    queue::tick::TickId,
    subscriber::{altering, session_role::SessionRole},
};
use tokio_postgres::error::SqlState;

use super::{ApplyTx, altered_table::AlteredTable, owner::Acting};
use crate::{
    change::altered::{Altered, Step},
    trouble::Trouble,
};

/// Who holds the table for long keeps the subscriber for this long, and then the table alone: it is parked, and tries
/// again by itself. Readers of the table wait behind the change meanwhile.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '2s'";

/// A table of the subscriber whose columns are to be changed, over a session with an open transaction.
pub(crate) struct Alter<'a> {
    pub(crate) session: &'a Session,
    /// The provider's table, for messages.
    pub(crate) table: &'a TableName,
    /// The subscriber's table.
    pub(crate) name: &'a TableName,
    /// The role that the session writes tables in.
    pub(crate) session_role: SessionRole,
}

impl ApplyTx<'_> {
    /// Changes the columns of a table. Everything before the change must be written: the caller has flushed its chunk.
    /// What the subscriber's table has already is left as it is, so that a change which comes again does nothing.
    ///
    /// # Errors
    /// [`Trouble::Table`] that names the change which the subscriber's table does not take.
    pub(crate) async fn alter(
        &mut self,
        shape: &Arc<Shape>,
        altered: &Altered,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let mapping = self.applier.mapping(shape.table.oid)?;
        // Other providers write that table, too, and a column that one of them has not may be another one's.
        if mapping.merge.is_some() {
            return Ok(());
        }
        let altered = altered.taken(|attnum, name| mapping.takes_column(attnum, name));
        self.settle(tick).await?;
        let table = shape.table_name();
        let alter = Alter {
            session: &self.applier.session,
            table: &table,
            name: mapping.target_of(&table),
            session_role: self.applier.session_role,
        };
        if alter.steps(&altered, &alter.columns().await?)?.is_empty() {
            return Ok(());
        }
        // Somebody may have changed the columns while the lock was waited for.
        alter.lock().await?;
        let here = alter.columns().await?;
        let done = alter.run(&alter.steps(&altered, &here)?).await?;
        self.done
            .altered
            .extend(done.into_iter().map(|doing| AlteredTable {
                table: table.clone(),
                doing,
                tick,
            }));
        // A chunk that is rolled back later must not take the change along.
        self.say("release savepoint chunk; savepoint chunk").await?;
        self.applier.writable.clear();
        self.done.held.clear();
        Ok(())
    }
}

impl Alter<'_> {
    /// The types of the table's columns, by their names; empty if there is no such table.
    pub(crate) async fn columns(&self) -> Result<HashMap<String, String>, Trouble> {
        let here = altering::columns(&**self.session, self.name).await;
        let here = here.map_err(Trouble::of_table(self.table))?.into_iter();
        Ok(here.map(|column| (column.name, column.type_name)).collect())
    }

    /// What is to be done to the table with these columns. That it is missing is told when its rows come.
    pub(crate) fn steps<'s>(
        &self,
        altered: &'s Altered,
        here: &HashMap<String, String>,
    ) -> Result<Vec<Step<'s>>, Trouble> {
        if here.is_empty() {
            return Ok(Vec::new());
        }
        altered.steps(here).map_err(|not| {
            let advice = format!("{}; it goes on by itself then", not.advice);
            Trouble::misfit(self.table, not.why, advice)
        })
    }

    /// Locks the table: nobody gives it other columns, code or another owner between the look and the change.
    pub(crate) async fn lock(&self) -> Result<(), Trouble> {
        let lock = format!(
            "{LOCK_TIMEOUT}; lock table {} in access exclusive mode",
            self.name.quoted()
        );
        let locked = self.session.batch_execute(&lock).await;
        locked
            .map_err(|error| refused(self.table, "could not lock it to change its columns", error))
    }

    /// Takes these steps on the table, which is locked, and gives each in words.
    pub(crate) async fn run(&self, steps: &[Step<'_>]) -> Result<Vec<String>, Trouble> {
        let acting = Acting::find(&**self.session, self.table, self.name).await?;
        acting.refuse_code(self.table)?;
        if self.session_role == SessionRole::Origin {
            // A table with checks that wait for the commit cannot be changed.
            self.set(
                "set constraints all immediate",
                "could not check its rows before its columns change",
            )
            .await?;
        }
        let mut done = Vec::new();
        for step in steps {
            let (doing, statements) = self.statements(&acting, step).await?;
            for statement in &statements {
                let run = acting.execute(self.session, statement).await;
                run.map_err(|error| not_altered(self.table, &doing, statement, error))?;
            }
            done.push(doing);
        }
        if self.session_role == SessionRole::Origin {
            self.set("set constraints all deferred", "could not set the session")
                .await?;
        }
        self.set(
            // As replay's sessions have it, and not as the role or the database has.
            "set local lock_timeout = 0",
            "could not set the session",
        )
        .await?;
        Ok(done)
    }

    async fn set(&self, settings: &str, doing: &str) -> Result<(), Trouble> {
        let set = self.session.batch_execute(settings).await;
        set.map_err(Trouble::at_table(self.table, doing))
    }

    /// What a step does, in words, and its statements.
    async fn statements(
        &self,
        acting: &Acting,
        step: &Step<'_>,
    ) -> Result<(String, Vec<String>), Trouble> {
        let alter = format!("alter table {}", self.name.quoted());
        Ok(match step {
            Step::Drop(column) => {
                let doing = format!("drop column {}", quote_ident(column));
                let statement = format!("{alter} {doing}");
                (doing, vec![statement])
            }
            Step::Rename(before, now) => {
                let doing = format!(
                    "rename column {} to {}",
                    quote_ident(before),
                    quote_ident(now)
                );
                let statement = format!("{alter} {doing}");
                (doing, vec![statement])
            }
            Step::Retype(column, made) => {
                let wanted = self.type_of(acting, column, made).await?;
                let doing = format!("alter column {} type {wanted}", quote_ident(column));
                let statement = format!("{alter} {doing}");
                (doing, vec![statement])
            }
            Step::Add(column, made) => {
                let wanted = self.type_of(acting, column, made).await?;
                let doing = format!("add column {} {wanted}", quote_ident(column));
                let statements = added(&alter, &doing, column, made);
                (doing, statements)
            }
        })
    }

    /// A column's type as the subscriber's catalog writes it.
    async fn type_of(
        &self,
        acting: &Acting,
        column: &str,
        made: &MadeOf,
    ) -> Result<String, Trouble> {
        let of = (made.schema.as_str(), made.type_name.as_str(), made.modifier);
        let found = altering::type_here(&**self.session, of, acting.role()).await;
        let words = |what: &str| {
            format!(
                "column {} has type {}.{} on the provider, {what}",
                quote_ident(column),
                quote_ident(&made.schema),
                quote_ident(&made.type_name)
            )
        };
        match found.map_err(Trouble::of_table(self.table))? {
            None => Err(Trouble::misfit(
                self.table,
                words("and the subscriber has no such type"),
                "make the type on the subscriber: the table goes on by itself then",
            )),
            Some(found) => match found.of_weaker {
                None => Ok(found.written_as),
                Some(role) => Err(Trouble::misfit(
                    self.table,
                    words(&format!(
                        "which is one of role {role} on the subscriber, whose code could run as replay's"
                    )),
                    "add the column by hand, or give the type to replay's role or a superuser: \
                     it goes on by itself then",
                )),
            },
        }
    }
}

/// The statements that add a column: with the value that it has in the rows that are there, and then with the default
/// for rows that are to come.
fn added(alter: &str, doing: &str, column: &str, made: &MadeOf) -> Vec<String> {
    // Quoted, a default is a text of the column's own type, which the provider says of it.
    let default = made.default.as_deref().map(|text| match made.is_literal {
        // Written as the provider wrote it, which is not the text of a value: 1.5 for an integer is 2.
        true if is_plain(text) => text.to_owned(),
        true | false => quote_literal(text),
    });
    let column = quote_ident(column);
    let set = default.map(|default| format!("{alter} alter column {column} set default {default}"));
    match &made.fill {
        None => std::iter::once(format!("{alter} {doing}"))
            .chain(set)
            .collect(),
        Some(fill) => {
            let not_null = if made.not_null { " not null" } else { "" };
            let add = format!("{alter} {doing} default {}{not_null}", quote_literal(fill));
            let set = set.unwrap_or_else(|| format!("{alter} alter column {column} drop default"));
            vec![add, set]
        }
    }
}

/// Whether a text is a number or a truth value and nothing else.
fn is_plain(text: &str) -> bool {
    ["true", "false"].contains(&text)
        || text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
            && text.parse::<f64>().is_ok()
}

/// The trouble of a statement that was refused, with what a person can do.
fn not_altered(
    table: &TableName,
    doing: &str,
    statement: &str,
    error: tokio_postgres::Error,
) -> Trouble {
    let by_hand = format!(
        "see to what it says, or change the table by hand ({statement}): it goes on by itself then"
    );
    match refused(
        table,
        &format!("could not {doing}, as on the provider"),
        error,
    ) {
        Trouble::Table(trouble) => trouble.advised(&by_hand).into(),
        other @ (Trouble::Passing { .. } | Trouble::Operator { .. } | Trouble::Stale) => other,
    }
}

/// A table whose lock is not to be had is in trouble by itself, and the others go on.
fn refused(table: &TableName, doing: &str, error: tokio_postgres::Error) -> Trouble {
    let locks = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::OBJECT_IN_USE,
    ];
    match error.code().is_some_and(|code| locks.contains(code)) {
        true => Trouble::waiting_table(table, doing, error),
        false => Trouble::at_table(table, doing)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(default: Option<&str>, is_literal: bool, fill: Option<&str>) -> Vec<String> {
        let made = MadeOf {
            attnum: 2,
            schema: "pg_catalog".into(),
            type_name: "int4".into(),
            modifier: -1,
            not_null: true,
            default: default.map(str::to_owned),
            is_literal,
            fill: fill.map(str::to_owned),
        };
        added("alter table t", "add column c integer", "c", &made)
    }

    #[test]
    fn a_column_comes_with_the_value_of_the_rows_that_are_there_and_then_gets_its_default() {
        assert_eq!(
            statements(Some("1.5"), true, Some("2")),
            [
                "alter table t add column c integer default '2' not null",
                "alter table t alter column c set default 1.5"
            ]
        );
        assert_eq!(
            statements(None, false, Some("it's")),
            [
                "alter table t add column c integer default 'it''s' not null",
                "alter table t alter column c drop default"
            ]
        );
        // Rows that are there have null, whatever later ones get.
        assert_eq!(
            statements(Some("7"), false, None),
            [
                "alter table t add column c integer",
                "alter table t alter column c set default '7'"
            ]
        );
        assert_eq!(
            statements(None, false, None),
            ["alter table t add column c integer"]
        );
    }

    #[test]
    fn what_is_no_number_is_never_written_as_one() {
        let forged = statements(Some("1); drop table t; --"), true, None);
        assert_eq!(
            forged[1],
            "alter table t alter column c set default '1); drop table t; --'"
        );
        for text in ["1e5", "inf", "nan", "", ".", "-1", "1.2.3"] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
