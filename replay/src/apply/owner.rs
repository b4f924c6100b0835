//! As whom a table is written: as its owner, where that is another role that replay's is a member of, so that what
//! the owner has put on the table runs with no more rights than the owner has, and cannot take ours.

use sql::name::{TableName, quote_ident, quote_literal};
use tokio_postgres::{
    Client, Error, GenericClient, SimpleQueryMessage,
    types::{ToSql, Type},
};

use super::text_value::TextValue;
use crate::trouble::Trouble;

/// What `trunkline.acting_role` says of a table.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    /// The role that the table's statements run as; none: replay's own.
    acts_as: Option<Role>,
    /// The `search_path` for statements over the table, where code of the database's users that runs with them asks for
    /// one; none: that of the session.
    own_path: Option<String>,
    /// The owner, if it is another role and no superuser.
    owner: Option<String>,
    /// What of the owner's would run.
    code: Option<String>,
}

#[derive(Clone, Debug)]
struct Role {
    name: String,
    oid: u32,
    /// What must be said before the first statement of a transaction: where the owner's code is held in, nothing may be
    /// deferred.
    immediate: String,
}

impl Acting {
    /// Asks the subscriber of its table `target`, which the provider's `table` is written to.
    pub(crate) async fn find(
        client: &impl GenericClient,
        table: &TableName,
        target: &TableName,
    ) -> Result<Acting, Trouble> {
        client
            .query_typed_one(
                "select acts_as, role, immediate, own_path, owner, code from trunkline.acting_role($1, $2)",
                &[(&target.schema, Type::TEXT), (&target.name, Type::TEXT)],
            )
            .await
            .and_then(|row| {
                let acts_as: Option<String> = row.try_get(0)?;
                let immediate: Option<String> = row.try_get(2)?;
                let acts_as = match acts_as {
                    None => None,
                    Some(name) => Some(Role {
                        name,
                        oid: row.try_get(1)?,
                        immediate: immediate.map_or_else(String::new, |sql| sql + "; "),
                    }),
                };
                Ok(Acting {
                    acts_as,
                    own_path: row.try_get(3)?,
                    owner: row.try_get(4)?,
                    code: row.try_get(5)?,
                })
            })
            .map_err(Trouble::at_table(
                table,
                "could not look for its owner on the subscriber",
            ))
    }

    /// Refuses a table whose owner's code would run as replay's role.
    pub(crate) fn refuse_code(&self, table: &TableName) -> Result<(), Trouble> {
        let (None, Some(code)) = (&self.acts_as, &self.code) else {
            return Ok(());
        };
        Err(Trouble::misfit(
            table,
            format!(
                "{code} belongs to {} and would run with the rights of replay's role",
                self.owner.as_deref().unwrap_or("another role")
            ),
            "take that away on the subscriber, make replay's role a member of the owner, or have the \
             table owned by replay's role or a superuser",
        ))
    }

    /// The owner, as whom the table is read and written; none: replay's own role does it directly.
    pub(crate) fn role(&self) -> Option<&str> {
        self.acts_as.as_ref().map(|role| role.name.as_str())
    }

    /// Its number.
    pub(crate) fn role_oid(&self) -> Option<u32> {
        self.acts_as.as_ref().map(|role| role.oid)
    }

    /// The statement that lets the owner use tables of replay's own; empty where replay's own role does it.
    pub(crate) fn grant(&self, rights: &str, tables: &[&str]) -> String {
        self.role().map_or_else(String::new, |role| {
            let role = quote_ident(role);
            format!("; grant {rights} on {} to {role}", tables.join(", "))
        })
    }

    /// Runs a statement over the table: one round trip. The rows that it touched.
    pub(crate) async fn execute(&self, client: &Client, statement: &str) -> Result<u64, Error> {
        let Some(role) = &self.acts_as else {
            return self.execute_here(client, statement).await;
        };
        let lines = lines(client, &role.ask(statement, false)).await?;
        Ok(lines
            .iter()
            .filter_map(|line| line.parse::<u64>().ok())
            .sum())
    }

    /// The nth value of [`Acting::execute_with`] in its statement.
    pub(crate) fn parameter(&self, n: usize) -> String {
        match &self.acts_as {
            None => format!("${n}"),
            Some(_) => format!("($1)[{n}]"),
        }
    }

    /// Runs a statement whose values come from an event: as parameters, each read by its type's own input function, and by the
    /// extended protocol, which takes one statement and no more.
    pub(crate) async fn execute_with(
        &self,
        client: &Client,
        statement: &str,
        values: &[Option<String>],
    ) -> Result<(), Error> {
        if let Some(role) = &self.acts_as {
            client.batch_execute(&role.immediate).await?;
            let ask = "select trunkline.as_owner($1, $2, false, $3)";
            let asked: [(&(dyn ToSql + Sync), Type); 3] = [
                (&role.oid, Type::OID),
                (&statement, Type::TEXT),
                (&values, Type::TEXT_ARRAY),
            ];
            return client.query_typed(ask, &asked).await.map(|_| ());
        }
        let statement = client.prepare(statement).await?;
        let values = values
            .iter()
            .map(|value| TextValue(value.clone().map(String::into_bytes)));
        if let Some(path) = &self.own_path {
            client.batch_execute(&enter_path(path)).await?;
        }
        client.execute_raw(&statement, values).await?;
        if self.own_path.is_some() {
            client.batch_execute(LEAVE_PATH).await?;
        }
        Ok(())
    }

    /// Runs a statement as replay's own role, whoever owns the table: one that the server itself runs the owner's code of as
    /// the owner. The rows that it touched.
    pub(crate) async fn execute_here(
        &self,
        client: &Client,
        statement: &str,
    ) -> Result<u64, Error> {
        match self.in_own_path(statement) {
            None => touched(client, statement).await,
            // The row of the setting is none of the statement's.
            Some(statement) => Ok(touched(client, &statement).await?.saturating_sub(1)),
        }
    }

    /// See [`Acting::own_path`](field@Acting::own_path).
    pub(crate) fn own_path(&self) -> Option<&str> {
        self.own_path.as_deref()
    }

    /// A statement with the path that its code asks for; the session's own statements keep theirs.
    fn in_own_path(&self, statement: &str) -> Option<String> {
        let path = self.own_path.as_deref()?;
        Some(format!("{}; {statement}; {LEAVE_PATH}", enter_path(path)))
    }

    /// Runs a query of one column of text over the table: one round trip. Its rows, as far as they are not null.
    pub(crate) async fn lines(
        &self,
        client: &Client,
        statement: &str,
    ) -> Result<Vec<String>, Error> {
        match &self.acts_as {
            None => match self.in_own_path(statement) {
                None => lines(client, statement).await,
                // The first row is the setting's.
                Some(statement) => {
                    let mut lines = lines(client, &statement).await?;
                    lines.remove(0);
                    Ok(lines)
                }
            },
            Some(role) => lines(client, &role.ask(statement, true)).await,
        }
    }
}

/// The statement that sets the path of the open transaction: one row.
pub(crate) fn enter_path(path: &str) -> String {
    format!(
        "select pg_catalog.set_config('search_path', {}, true)",
        quote_literal(path)
    )
}

/// The path of all sessions, for what is left of the transaction.
pub(crate) const LEAVE_PATH: &str = "set local search_path = pg_catalog, pg_temp";

impl Role {
    /// See `trunkline.as_owner`.
    fn ask(&self, statement: &str, reads: bool) -> String {
        format!(
            "{}select trunkline.as_owner({}, {}, {reads})",
            self.immediate,
            self.oid,
            quote_literal(statement)
        )
    }
}

/// Runs statements in one round trip and gives the rows that they touched.
pub(super) async fn touched(client: &Client, statement: &str) -> Result<u64, Error> {
    let messages = client.simple_query(statement).await?;
    Ok(messages
        .iter()
        .map(|message| {
            if let SimpleQueryMessage::CommandComplete(rows) = message {
                *rows
            } else {
                0
            }
        })
        .sum())
}

async fn lines(client: &Client, statement: &str) -> Result<Vec<String>, Error> {
    let messages = client.simple_query(statement).await?;
    let mut lines = Vec::new();
    for message in &messages {
        if let SimpleQueryMessage::Row(row) = message {
            lines.extend(row.try_get(0)?.map(str::to_owned));
        }
    }
    Ok(lines)
}
