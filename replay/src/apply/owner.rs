//! The role that a table is written as. If the table's owner is another role that replay's role is a member of, the
//! table is written as its owner. Code that the owner has put on the table then runs with the owner's rights only, and
//! cannot take ours.

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
    /// The table's name on the subscriber, quoted.
    table: String,
    /// The table's state when it was looked up, to tell whether it has changed; none: there is no such table.
    mark: Option<String>,
    /// The role that the table's statements run as; none: replay's own role.
    acts_as: Option<Role>,
    /// The statement that must come before each statement over the table, so that its deferrable triggers and
    /// constraints act when they must; none for most tables.
    constraints: Option<String>,
    /// The `search_path` for statements over the table, if code of the database's users that runs with them needs
    /// another one than the session's; none: that of the session.
    own_path: Option<String>,
    /// Code of others that would run as replay's role.
    code: Option<String>,
    /// The table is captured on the subscriber, and its capture does not log what replay writes.
    unlogged: bool,
}

#[derive(Clone, Debug)]
struct Role {
    name: String,
    oid: u32,
}

/// The lock of tables while they are held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// The lock that each statement takes which writes rows.
    ToWrite,
    /// The lock that each statement takes which reads rows: several sessions that hold a table like that can each build
    /// an index on the table.
    ToRead,
}

impl Hold {
    /// The statement that locks tables until the transaction ends and checks that each is in the state in which it was
    /// looked up; none if there are no tables. Its error is 40001 if a table has changed.
    pub(crate) fn statement<'a>(
        self,
        tables: impl IntoIterator<Item = &'a Acting>,
    ) -> Option<String> {
        let (names, marks): (Vec<String>, Vec<String>) = tables
            .into_iter()
            .filter_map(|one| {
                let mark = one.mark.as_deref()?;
                Some((quote_literal(&one.table), quote_literal(mark)))
            })
            .unzip();
        let mode = match self {
            Hold::ToWrite => "row exclusive",
            Hold::ToRead => "access share",
        };
        (!names.is_empty()).then(|| {
            format!(
                "select trunkline.hold_tables(array[{}], array[{}], '{mode}')",
                names.join(", "),
                marks.join(", ")
            )
        })
    }
}

impl Acting {
    /// Whether prepared statements that write the table's rows prove by themselves that it is in the state in which it
    /// was looked up ([`Acting::proof`]), so that it need not be held for them ([`Hold`]).
    pub(crate) fn proves_itself(&self) -> bool {
        self.mark
            .as_deref()
            .is_some_and(|mark| mark.ends_with(" ours"))
    }

    /// The proof, for those statements: a condition that is true for each row. The server proves it whenever it has to
    /// plan such a statement, which it has to if the table has changed.
    pub(crate) fn proof(&self) -> Option<String> {
        let mark = self.mark.as_deref().filter(|_| self.proves_itself())?;
        Some(format!(
            "trunkline.proven({}::pg_catalog.regclass, {})",
            quote_literal(&self.table),
            quote_literal(mark)
        ))
    }

    /// Asks the subscriber about its table `target`, which the provider's `table` is written to.
    pub(crate) async fn find(
        client: &impl GenericClient,
        table: &TableName,
        target: &TableName,
    ) -> Result<Acting, Trouble> {
        client
            .query_typed_one(
                "select acts_as, role, constraints, own_path, code, mark, unlogged from trunkline.acting_role($1, $2)",
                &[(&target.schema, Type::TEXT), (&target.name, Type::TEXT)],
            )
            .await
            .and_then(|row| {
                let acts_as: Option<String> = row.try_get(0)?;
                let acts_as = match acts_as {
                    None => None,
                    Some(name) => Some(Role {
                        name,
                        oid: row.try_get(1)?,
                    }),
                };
                Ok(Acting {
                    table: target.quoted(),
                    mark: row.try_get(5)?,
                    acts_as,
                    constraints: row.try_get(2)?,
                    own_path: row.try_get(3)?,
                    code: row.try_get(4)?,
                    // Null: there is no such table, which the look at its columns tells.
                    unlogged: row.try_get::<_, Option<bool>>(6)?.unwrap_or_default(),
                })
            })
            .map_err(Trouble::at_table(
                table,
                "could not look for its owner on the subscriber",
            ))
    }

    /// The same as [`Acting::find`], in an open transaction; the table keeps its state until the transaction ends.
    pub(crate) async fn find_and_hold(
        client: &Client,
        table: &TableName,
        target: &TableName,
        hold: Hold,
    ) -> Result<Acting, Trouble> {
        let acting = Acting::find(client, table, target).await?;
        acting.hold(client, table, hold).await?;
        Ok(acting)
    }

    /// Holds the table until the open transaction ends.
    pub(crate) async fn hold(
        &self,
        client: &Client,
        table: &TableName,
        hold: Hold,
    ) -> Result<(), Trouble> {
        let Some(statement) = hold.statement([self]) else {
            return Ok(());
        };
        client
            .batch_execute(&statement)
            .await
            .map_err(Trouble::at_table(
                table,
                "could not hold it on the subscriber",
            ))
    }

    /// Refuses a table with code of others that would run as replay's role.
    pub(crate) fn refuse_code(&self, table: &TableName) -> Result<(), Trouble> {
        let (None, Some(code)) = (&self.acts_as, &self.code) else {
            return Ok(());
        };
        Err(Trouble::misfit(
            table,
            format!("{code}, which would run with the rights of replay's role"),
            "on the subscriber, take that away, or give it to replay's role or a superuser; of another role's table \
             also: make replay's role a member of the owner, or give the table to replay's role or a superuser",
        ))
    }

    /// Refuses a table that others follow from the subscriber, and whose capture would not see what replay writes.
    pub(crate) fn refuse_unlogged(&self, table: &TableName) -> Result<(), Trouble> {
        if !self.unlogged {
            return Ok(());
        }
        Err(Trouble::misfit(
            table,
            "it is captured there, and its capture does not log yet what replay writes".into(),
            "the subscriber's ticker mends that within seconds, if it runs and the owner of schema trunkline there \
             is a superuser or a member of the table's owner",
        ))
    }

    /// The owner, whom the table is read and written as; none: replay's own role does it directly.
    pub(crate) fn role(&self) -> Option<&str> {
        self.acts_as.as_ref().map(|role| role.name.as_str())
    }

    /// The oid of that role.
    pub(crate) fn role_oid(&self) -> Option<u32> {
        self.acts_as.as_ref().map(|role| role.oid)
    }

    /// The statement that lets the owner use tables of replay; empty if replay's own role writes the table.
    pub(crate) fn grant(&self, rights: &str, tables: &[&str]) -> String {
        self.role().map_or_else(String::new, |role| {
            let role = quote_ident(role);
            format!("; grant {rights} on {} to {role}", tables.join(", "))
        })
    }

    /// Runs a statement over the table in one round trip. Gives the number of rows that the statement touched.
    pub(crate) async fn execute(&self, client: &Client, statement: &str) -> Result<u64, Error> {
        let Some(role) = &self.acts_as else {
            return self.execute_here(client, statement).await;
        };
        let lines = lines(client, &self.ask(role, statement, false)).await?;
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

    /// Runs a statement whose values come from an event. The values are parameters, each read by its type's own input
    /// function, in the extended protocol, which takes one statement only.
    pub(crate) async fn execute_with(
        &self,
        client: &Client,
        statement: &str,
        values: &[Option<String>],
    ) -> Result<(), Error> {
        if let Some(role) = &self.acts_as {
            if let Some(constraints) = &self.constraints {
                client.batch_execute(constraints).await?;
            }
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
        if let Some(enter) = self.enter() {
            client.batch_execute(&enter).await?;
        }
        client.execute_raw(&statement, values).await?;
        if let Some(leave) = self.leave() {
            client.batch_execute(leave).await?;
        }
        Ok(())
    }

    /// Runs a statement as replay's own role, whoever owns the table. It is for statements for which the server itself
    /// runs the owner's code as the owner. Gives the number of rows that the statement touched.
    pub(crate) async fn execute_here(
        &self,
        client: &Client,
        statement: &str,
    ) -> Result<u64, Error> {
        match self.surrounded(statement) {
            None => touched(client, statement).await,
            Some(statement) => touched(client, &statement).await,
        }
    }

    /// The statement to run before a statement over the table that replay's own role runs directly; none for most
    /// tables. It gives no row.
    pub(crate) fn enter(&self) -> Option<String> {
        // The server has quoted the names in the path.
        let path = self.own_path.as_deref();
        let path = path.map(|path| format!("set local search_path = {path}"));
        let all: Vec<String> = self.constraints.iter().cloned().chain(path).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The statement to run after the statement over the table.
    pub(crate) fn leave(&self) -> Option<&'static str> {
        self.own_path.is_some().then_some(LEAVE_PATH)
    }

    fn surrounded(&self, statement: &str) -> Option<String> {
        // Without a path of its own nothing is to be put back, and the last statement is empty.
        let (enter, leave) = (self.enter()?, self.leave().unwrap_or_default());
        Some(format!("{enter}; {statement}; {leave}"))
    }

    /// Runs a query of one text column over the table in one round trip. Gives the values that are not null.
    pub(crate) async fn lines(
        &self,
        client: &Client,
        statement: &str,
    ) -> Result<Vec<String>, Error> {
        match &self.acts_as {
            None => match self.surrounded(statement) {
                None => lines(client, statement).await,
                Some(statement) => lines(client, &statement).await,
            },
            Some(role) => lines(client, &self.ask(role, statement, true)).await,
        }
    }

    /// The call of `trunkline.as_owner` for a statement; see there.
    fn ask(&self, role: &Role, statement: &str, reads: bool) -> String {
        let ask = format!(
            "select trunkline.as_owner({}, {}, {reads})",
            role.oid,
            quote_literal(statement)
        );
        match &self.constraints {
            None => ask,
            Some(constraints) => format!("{constraints}; {ask}"),
        }
    }
}

/// Sets the path of all sessions again, for the rest of the transaction.
const LEAVE_PATH: &str = "set local search_path = pg_catalog, pg_temp";

/// Runs statements in one round trip and gives the number of rows that they touched.
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
