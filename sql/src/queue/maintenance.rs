//! What keeps queues small: rotation, upkeep and retries, as the queue lists it. Touches schema pgq through its
//! functions only.

use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::install::ownership::{self, Schema};
use crate::queue::maker::Maker;

/// One call that maintenance has to make, in a transaction of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The call, as SQL with `$1` for the argument if there is one.
    sql: String,
    /// The call's name, for messages: `pgq.maint_rotate_tables_step1`.
    pub name: String,
    /// The call's argument: a queue, or a table to vacuum.
    pub argument: Option<String>,
}

/// The operations that PgQ's own `pgq.maint_operations()` lists, without those of schemas pgq_node and londiste: that
/// function reads these schemas whoever made them, and calls functions that admins of the queue write into
/// `queue_extra_maint`.
const OF_PGQ: &str = "\
    select 'pgq.maint_rotate_tables_step1' as func_name, q.queue_name as func_arg, 1 as place \
      from pgq.queue q \
     where q.queue_rotation_period is not null and q.queue_switch_step2 is not null \
       and q.queue_switch_time + q.queue_rotation_period < current_timestamp \
    union all \
    select 'pgq.maint_rotate_tables_step2', null, 2 \
     where exists (select from pgq.queue q where q.queue_rotation_period is not null \
                      and (q.queue_switch_step2 is null \
                           or q.queue_switch_time + q.queue_rotation_period < current_timestamp)) \
    union all \
    select 'vacuum', v.name, 3 from pgq.maint_tables_to_vacuum() v (name)";

/// The operations of Londiste, listed where its two schemas are proven.
const OF_LONDISTE: &str = "\
    union all \
    select 'pgq_node.maint_watermark', n.queue_name, 4 from pgq_node.node_info n where n.node_type = 'root' \
    union all \
    (select distinct 'londiste.root_check_seqs', s.queue_name, 5 \
       from londiste.seq_info s join pgq_node.node_info n on n.queue_name = s.queue_name \
      where s.local and n.node_type = 'root') \
    union all \
    select 'londiste.periodic_maintenance', null, 6";

/// The operations to be done now, in order. Source: `pgq.maint_operations()`, or PgQ's tables; the names are checked
/// and quoted here.
///
/// Londiste's operations are left out where its schemas belong to somebody who may not act as this session's role:
/// [`crate::install::ownership::prove`] tells of such a schema.
pub async fn operations(
    client: &impl GenericClient,
    maker: Maker,
) -> Result<Vec<Operation>, Error> {
    let listed = match maker {
        Maker::Trunkline => {
            "select func_name, func_arg, 1 as place from pgq.maint_operations()".to_owned()
        }
        Maker::PgQ if has_londiste(client).await? => format!("{OF_PGQ} {OF_LONDISTE}"),
        Maker::PgQ => OF_PGQ.to_owned(),
    };
    let rows = client
        .query(
            &format!(
                "select func_name, func_arg, \
                        case when func_name = 'vacuum' then 'vacuum ' || func_arg::regclass::text \
                             when func_arg is null then 'select ' || func_name::regproc::text || '()::text' \
                             else 'select ' || func_name::regproc::text || '($1)::text' end \
                   from ({listed}) o order by place"
            ),
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

/// Whether Londiste is there to be maintained.
async fn has_londiste(client: &impl GenericClient) -> Result<bool, Error> {
    let schemas = [Schema::PgqNode, Schema::Londiste];
    match ownership::prove(client, &schemas).await {
        Ok(there) => Ok(there.len() == schemas.len()),
        Err(Error::Stranger { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Operation {
    /// Whether the operation ends or begins a rotation: consumers and disks wait for rotation more than for the rest.
    #[must_use]
    pub fn is_rotation(&self) -> bool {
        self.name.starts_with("pgq.maint_rotate_tables_")
    }

    /// Runs the operation once; true: it must be called again at once. Outside a transaction it is committed on return.
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

/// Puts events back into their queues whose retry time has come, 10 at most a call. Gives how many.
/// Source: `pgq.maint_retry_events()`.
pub async fn retry_events(client: &impl GenericClient) -> Result<i32, Error> {
    let row = client
        .query_one("select pgq.maint_retry_events()", &[])
        .await
        .map_err(Error::database("put back events to be retried"))?;
    column(&row, 0)
}

/// Whether this database captures tables. Source: the catalog.
///
/// # Errors
/// [`Error::Stranger`] where schema trunkline belongs to a role that may not act as this session's role.
pub async fn has_capture(client: &impl GenericClient) -> Result<bool, Error> {
    ownership::function_exists(client, Schema::Trunkline, "upkeep(boolean)").await
}

/// Keeps capture in step with its tables where no event trigger does. With `thorough` it also checks what the tables'
/// fingerprints do not show, and forgets shapes that no event names. Gives what was done, a line for each thing. To be
/// called only where [`has_capture`] says true. Source: `trunkline.upkeep()`.
pub async fn look_after_capture(
    client: &impl GenericClient,
    thorough: bool,
) -> Result<Vec<String>, Error> {
    let doing = || Error::database("look after captured tables");
    let rows = client
        .query("select trunkline.upkeep($1)", &[&thorough])
        .await
        .map_err(doing())?;
    rows.iter().map(|row| column(row, 0)).collect()
}
