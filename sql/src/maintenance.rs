//! What keeps queues small: rotation, upkeep and retries, as the queue lists it. Touches schema pgq through its
//! functions only.

use tokio_postgres::GenericClient;

use crate::error::Error;
use crate::install::column;

/// One call that maintenance has to make, in a transaction of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What to call, as SQL with `$1` for the argument if there is one.
    sql: String,
    /// What it is, for messages: `pgq.maint_rotate_tables_step1`.
    pub name: String,
    /// Its argument: a queue, or a table to vacuum.
    pub argument: Option<String>,
}

/// What is to be done now, in order. Source: `pgq.maint_operations()`, whose names are checked and quoted here.
pub async fn operations(client: &impl GenericClient) -> Result<Vec<Operation>, Error> {
    let rows = client
        .query(
            "select func_name, func_arg, \
                    case when func_name = 'vacuum' then 'vacuum ' || func_arg::regclass::text \
                         when func_arg is null then 'select ' || func_name::regproc::text || '()::text' \
                         else 'select ' || func_name::regproc::text || '($1)::text' end \
               from pgq.maint_operations()",
            &[],
        )
        .await
        .map_err(Error::database("list what maintenance has to do"))?;
    rows.iter()
        .map(|row| {
            Ok(Operation {
                name: column(row, 0)?,
                argument: column(row, 1)?,
                sql: column(row, 2)?,
            })
        })
        .collect()
}

impl Operation {
    /// Whether it ends or begins a rotation, which consumers and disks wait for more than for the rest.
    #[must_use]
    pub fn is_rotation(&self) -> bool {
        self.name.starts_with("pgq.maint_rotate_tables_")
    }

    /// Does it once; true: it wants to be called again at once. Outside a transaction it is committed on return.
    pub async fn run(&self, client: &impl GenericClient) -> Result<bool, Error> {
        let doing = Error::database(match &self.argument {
            Some(argument) => format!("run {} for {argument}", self.name),
            None => format!("run {}", self.name),
        });
        if self.name == "vacuum" {
            // VACUUM takes no parameters and no transaction block.
            return client
                .batch_execute(&self.sql)
                .await
                .map(|()| false)
                .map_err(doing);
        }
        let row = match &self.argument {
            Some(argument) => client.query_one(&self.sql, &[argument]).await,
            None => client.query_one(&self.sql, &[]).await,
        };
        let result: Option<String> = column(&row.map_err(doing)?, 0)?;
        Ok(result.as_deref() == Some("1"))
    }
}

/// Puts back events whose time to be retried has come; how many, 10 at most a call.
/// Source: `pgq.maint_retry_events()`.
pub async fn retry_events(client: &impl GenericClient) -> Result<i32, Error> {
    let row = client
        .query_one("select pgq.maint_retry_events()", &[])
        .await
        .map_err(Error::database("put back events to be retried"))?;
    column(&row, 0)
}

/// Keeps capture in step with its tables where no event trigger does; with `thorough` it also looks at what their
/// fingerprints do not show, and forgets shapes that no event names. Gives what was done, a line each; nothing where
/// there is no capture.
/// Source: `trunkline.upkeep()`.
pub async fn look_after_capture(
    client: &impl GenericClient,
    thorough: bool,
) -> Result<Vec<String>, Error> {
    let doing = || Error::database("look after captured tables");
    let there = client
        .query_one(
            "select pg_catalog.to_regprocedure('trunkline.upkeep(boolean)') is not null",
            &[],
        )
        .await
        .map_err(doing())?;
    if !column::<bool>(&there, 0)? {
        return Ok(Vec::new());
    }
    let rows = client
        .query("select trunkline.upkeep($1)", &[&thorough])
        .await
        .map_err(doing())?;
    rows.iter().map(|row| column(row, 0)).collect()
}
