//! Puts the SQL objects into a database, and upgrades them. Touches schemas pgq and trunkline, and the three roles.
//!
//! One transaction under an advisory lock does all: an install is complete or does nothing, and two installers take
//! turns.

mod dump;
pub mod installed;
pub mod manifest;
pub mod ownership;
pub mod uninstall;

use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use self::dump::remove_dump;
use self::installed::{Extension, extension_of, schema_exists, schema_of};
use self::manifest::{Entry, Step, When, digest, entries, steps, takeover};
use self::ownership::Schema;
use crate::error::{Error, column};
use crate::moment;

/// Key of the advisory transaction lock that installers take. The letters "trunklin".
const INSTALL_LOCK: i64 = 0x7472_756e_6b6c_696e;

/// The base that every component stands on.
const BASE: &str = "base";

/// The queue.
const PGQ: &str = "pgq";

/// A part that can be installed by itself. Every component brings the base with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Schema pgq: the queue.
    Pgq,
    /// Schema pgq_coop: cooperating consumers; needs [`Component::Pgq`], list it first.
    Coop,
    /// Schema pgq_ext: what consumers have done, in their target databases.
    Ext,
    /// Capture; needs [`Component::Pgq`], list it first.
    Provider,
    /// Positions and table states of a subscriber.
    Subscriber,
    /// Roles of a node that is one of several; on a provider list it behind [`Component::Provider`].
    Member,
}

impl Component {
    /// The component's name in `trunkline.component` and in the path of its manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgq => "pgq",
            Self::Coop => "pgq_coop",
            Self::Ext => "pgq_ext",
            Self::Provider => "provider",
            Self::Subscriber => "subscriber",
            Self::Member => "member",
        }
    }

    /// The schema that the component's objects are in.
    fn schema(self) -> Schema {
        match self {
            Self::Pgq => Schema::Pgq,
            Self::Coop => Schema::PgqCoop,
            Self::Ext => Schema::PgqExt,
            Self::Provider | Self::Subscriber | Self::Member => Schema::Trunkline,
        }
    }

    /// Whether a database that has the component is a node of a replication.
    fn makes_a_node(self) -> bool {
        match self {
            Self::Provider | Self::Subscriber | Self::Member => true,
            Self::Pgq | Self::Coop | Self::Ext => false,
        }
    }
}

/// What an install did with one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The component was not there.
    Installed,
    /// The component was there with other contents; steps and functions were run.
    Upgraded,
    /// The component was there and equal: nothing was run.
    Unchanged,
    /// The component was there as a part of PgQ, and was made ours.
    TakenOver,
}

/// What an install did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whether anything was changed.
    pub changed: bool,
    /// Each component by name, the base first, with what was done.
    pub components: Vec<(&'static str, Outcome)>,
    /// Objects of another node that had come with a dump were removed first.
    pub removed_dump: bool,
}

/// What becomes of a PgQ 3 that is installed where our schema pgq shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverPgq {
    /// PgQ is refused, as every schema is that we did not make.
    Refuse,
    /// PgQ becomes ours, with its queues, consumers, events and rights. Every other schema is refused as before.
    TakeOver,
}

/// Installs or upgrades components, in the order given, in one transaction; a PgQ that is there is refused.
///
/// # Errors
/// As [`install_over`].
pub async fn install(client: &mut Client, components: &[Component]) -> Result<Report, Error> {
    install_over(client, components, OverPgq::Refuse).await
}

/// Installs or upgrades components, in the order given, in one transaction.
///
/// # Errors
/// [`Error::Stranger`] for a schema of these components that belongs to somebody else: nothing in the schema is read
/// then. [`Error::ForeignSchema`] for a schema pgq or trunkline that is not ours, [`Error::Extension`] for a schema
/// that an extension of another version made, [`Error::NewerInstall`] when the database is ahead of this program,
/// [`Error::Database`] otherwise. An error leaves the database unchanged. Dropping the future rolls back.
pub async fn install_over(
    client: &mut Client,
    components: &[Component],
    over: OverPgq,
) -> Result<Report, Error> {
    // A takeover asks for locks in moments, so that no writer waits behind a takeover that waits itself.
    let tries = moment::Tries::within(match over {
        OverPgq::TakeOver => LOCK_PATIENCE,
        OverPgq::Refuse => Duration::ZERO,
    });
    let mut event_triggers = EventTriggers::Fire;
    loop {
        match attempt(client, components, over, event_triggers).await {
            Ok(report) => return Ok(report),
            Err(error)
                if event_triggers == EventTriggers::Fire
                    && is_superuser(client).await?
                    && names_nothing(&error) =>
            {
                event_triggers = EventTriggers::Rest;
            }
            Err(error) => tries.again(error).await?,
        }
    }
}

/// Whether event triggers of the database's users see what an install makes.
///
/// Event triggers run with the install's search_path, and a trigger that writes a log of DDL into a table that it names
/// without a schema fails. Then the install is tried once more without event triggers. A trigger that refuses DDL for a
/// reason of its own is obeyed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventTriggers {
    Fire,
    /// No event triggers but those that are ENABLE REPLICA or ALWAYS, as ours are.
    Rest,
}

/// Whether an error says that no object has a name.
fn names_nothing(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_FUNCTION
    })
}

async fn is_superuser(client: &Client) -> Result<bool, Error> {
    client
        .query_one(
            "select r.rolsuper from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) current_user",
            &[],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("read the role's rights"))
}

/// How long a takeover tries to get the locks on PgQ's tables.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// One transaction of an install.
async fn attempt(
    client: &mut Client,
    components: &[Component],
    over: OverPgq,
    event_triggers: EventTriggers,
) -> Result<Report, Error> {
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::ReadCommitted)
        .start()
        .await
        .map_err(Error::database("begin the install"))?;
    transaction
        .batch_execute(&format!("{SETTINGS}{}", lock_statement()))
        .await
        .map_err(Error::database("lock the installation"))?;
    let schemas: Vec<Schema> = [Schema::Trunkline]
        .into_iter()
        .chain(components.iter().map(|component| component.schema()))
        .collect();
    ownership::prove(&transaction, &schemas).await?;
    if event_triggers == EventTriggers::Rest {
        transaction
            .batch_execute("set local session_replication_role = replica")
            .await
            .map_err(Error::database("let event triggers rest"))?;
    }
    let mut report = Report {
        removed_dump: remove_dump(&transaction).await?,
        ..Report::default()
    };
    let mut names = vec![BASE];
    names.extend(components.iter().map(|component| component.name()));
    for name in names {
        if left_alone(&transaction, name).await? {
            continue;
        }
        // A component that stands on pgq and came with PgQ is taken over together with pgq only.
        let with_pgq = report.components.contains(&(PGQ, Outcome::TakenOver));
        let over = if name == PGQ || with_pgq {
            over
        } else {
            OverPgq::Refuse
        };
        let outcome = install_one(&transaction, name, over).await?;
        report.components.push((name, outcome));
    }
    if components.iter().any(|one| one.makes_a_node()) {
        let made = transaction
            .execute(NODE_ROW, &[])
            .await
            .map_err(Error::database("name this node"))?;
        report.changed |= made > 0;
    }
    report.changed |= report.removed_dump
        || report
            .components
            .iter()
            .any(|(_, outcome)| *outcome != Outcome::Unchanged);
    transaction
        .commit()
        .await
        .map_err(Error::database("commit the install"))?;
    Ok(report)
}

/// Settings of the install's transaction: our files qualify every name, and NOTICEs are not for the operator.
const SETTINGS: &str = "set local search_path = pg_catalog, pg_temp;\n\
     set local client_min_messages = warning;\n\
     set local statement_timeout = 0;\n\
     set local check_function_bodies = on;\n";

/// The node's row: a random id, made once. The id is an md5 of values that never repeat, because md5 needs no extension
/// on any version.
const NODE_ROW: &str = "insert into trunkline.node (node_id, system_identifier, database_oid) \
     select greatest(1, ('x' || substr(pg_catalog.md5(pg_catalog.random()::text || pg_catalog.clock_timestamp()::text \
     || pg_catalog.pg_backend_pid()::text \
         || pg_catalog.txid_current()::text), 1, 16))::bit(64)::bigint & 9223372036854775807), \
            c.system_identifier, d.oid \
       from pg_catalog.pg_control_system() c, pg_catalog.pg_database d \
      where d.datname = pg_catalog.current_database() and not exists (select from trunkline.node)";

fn lock_statement() -> String {
    format!("do $$ begin perform pg_catalog.pg_advisory_xact_lock({INSTALL_LOCK}); end $$;\n")
}

/// What `trunkline.component` says of one component.
struct Recorded {
    step: i32,
    digest: String,
}

/// Whether a component of the queue is not installed. Such a component is not needed where extensions make the objects
/// (CREATE EXTENSION brings it), and where PgQ has a schema pgq_ext, which has the same functions.
async fn left_alone(transaction: &Transaction<'_>, component: &str) -> Result<bool, Error> {
    if !["pgq_coop", "pgq_ext"].contains(&component)
        || recorded(transaction, component).await?.is_some()
    {
        return Ok(false);
    }
    Ok(extension_of(transaction, "trunkline").await?.is_some()
        || (component == "pgq_ext" && schema_exists(transaction, component).await?))
}

async fn install_one(
    transaction: &Transaction<'_>,
    component: &'static str,
    over: OverPgq,
) -> Result<Outcome, Error> {
    let files = entries(component)?;
    let all_steps = steps()?;
    let last_step = last_step(&all_steps);
    let files_digest = digest(&files);
    let (outcome, from_step) = match recorded(transaction, component).await? {
        None if over == OverPgq::TakeOver && is_of_pgq(transaction, component).await? => {
            (Outcome::TakenOver, last_step)
        }
        None => {
            refuse_foreign_schema(transaction, component).await?;
            (Outcome::Installed, last_step)
        }
        Some(old) if old.step > last_step => {
            return Err(Error::NewerInstall {
                component: component.to_owned(),
                installed: old.step,
                known: last_step,
            });
        }
        Some(old) if old.step == last_step && old.digest == files_digest => {
            return Ok(Outcome::Unchanged);
        }
        Some(old) => {
            refuse_extension(transaction, component).await?;
            (Outcome::Upgraded, old.step)
        }
    };
    for step in &all_steps {
        if step.component == component && step.number > from_step {
            run(transaction, step.path, step.sql).await?;
        }
    }
    let takes_over = outcome == Outcome::TakenOver;
    if takes_over && component == PGQ {
        run_takeover(transaction, "before.sql").await?;
    }
    for file in &files {
        if file.when == When::Each || outcome == Outcome::Installed {
            run(transaction, file.path, file.sql).await?;
        } else if takes_over {
            run_takeover(
                transaction,
                file.path.rsplit('/').next().unwrap_or_default(),
            )
            .await?;
        }
    }
    if takes_over && component == PGQ {
        run_takeover(transaction, "after.sql").await?;
    }
    transaction
        .batch_execute(&record_statement(component, last_step, &files_digest))
        .await
        .map_err(Error::database(format!("record component {component}")))?;
    Ok(outcome)
}

async fn run(transaction: &Transaction<'_>, path: &str, sql: &str) -> Result<(), Error> {
    transaction
        .batch_execute(sql)
        .await
        .map_err(Error::database(format!("run {path}")))
}

/// Runs a file of the takeover, if there is a file of that name: a table that needs no change has no file.
async fn run_takeover(transaction: &Transaction<'_>, name: &str) -> Result<(), Error> {
    match takeover(name) {
        Some(sql) => run(transaction, &format!("takeover/{name}"), sql).await,
        None => Ok(()),
    }
}

/// Whether a component's schema is there, and may be PgQ's: `takeover/before.sql` checks more.
async fn is_of_pgq(transaction: &Transaction<'_>, component: &str) -> Result<bool, Error> {
    let schema = schema_of(component);
    Ok(schema != schema_of(BASE) && schema_exists(transaction, schema).await?)
}

fn last_step(steps: &[Step]) -> i32 {
    steps.last().map_or(0, |step| step.number)
}

async fn recorded(
    transaction: &Transaction<'_>,
    component: &str,
) -> Result<Option<Recorded>, Error> {
    if !ownership::relation_exists(transaction, Schema::Trunkline, "component").await? {
        return Ok(None);
    }
    let row = transaction
        .query_opt(
            "select step, digest from trunkline.component where name = $1",
            &[&component],
        )
        .await
        .map_err(Error::database("read trunkline.component"))?;
    row.map(|row| {
        Ok(Recorded {
            step: column(&row, 0)?,
            digest: column(&row, 1)?,
        })
    })
    .transpose()
}

/// Refuses a schema that is there before its component's first install: the schema belongs to somebody else.
async fn refuse_foreign_schema(
    transaction: &Transaction<'_>,
    component: &str,
) -> Result<(), Error> {
    let schema = match component {
        BASE => "trunkline",
        "pgq" | "pgq_coop" | "pgq_ext" => component,
        _ => return Ok(()),
    };
    if !schema_exists(transaction, schema).await? {
        return Ok(());
    }
    Err(match extension_of(transaction, schema).await? {
        Some(extension) if extension.is_ours() => Error::Extension {
            schema: schema.to_owned(),
            extension: extension.name,
            advice: "run CREATE EXTENSION trunkline, which brings the rest".to_owned(),
        },
        _ => Error::ForeignSchema {
            schema: schema.to_owned(),
        },
    })
}

/// Refuses to upgrade objects that an extension made. Only ALTER EXTENSION may upgrade such objects: changed from here,
/// they would differ from the extension's files, and new objects would not be members of the extension.
async fn refuse_extension(transaction: &Transaction<'_>, component: &str) -> Result<(), Error> {
    let schema = schema_of(component);
    match extension_of(transaction, schema).await? {
        None => Ok(()),
        Some(Extension { name, version }) => Err(Error::Extension {
            schema: schema.to_owned(),
            advice: format!(
                "it is version {version}; put the extension files of this program's version ({}) on the server, then \
                 run ALTER EXTENSION {name} UPDATE",
                env!("CARGO_PKG_VERSION")
            ),
            extension: name,
        }),
    }
}

/// The statement that records a component. Its parts are our own constants: names, a number and hexadecimal digits.
fn record_statement(component: &str, step: i32, digest: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "insert into trunkline.component (name, step, digest, program_version) \
         values ('{component}', {step}, '{digest}', '{version}') \
         on conflict (name) do update set step = excluded.step, digest = excluded.digest, \
         program_version = excluded.program_version, installed_at = current_timestamp;\n"
    )
}

/// A script for psql that makes a fresh install of the components: one transaction, refused where they are already.
///
/// # Errors
/// [`Error::Manifest`] when the program was built wrong.
pub fn print_sql(components: &[Component]) -> Result<String, Error> {
    let mut script = String::from("\\set ON_ERROR_STOP on\nbegin;\n");
    script.push_str(SETTINGS);
    script.push_str(&lock_statement());
    let last_step = last_step(&steps()?);
    let mut names = vec![BASE];
    names.extend(components.iter().map(|component| component.name()));
    for name in names {
        let files = entries(name)?;
        for Entry { path, sql, .. } in &files {
            // Writing to a String cannot fail.
            let _ = writeln!(script, "\n-- {path}\n{sql}");
        }
        script.push_str(&record_statement(name, last_step, &digest(&files)));
    }
    if components.iter().any(|one| one.makes_a_node()) {
        script.push_str(NODE_ROW);
        script.push_str(";\n");
    }
    script.push_str("commit;\n");
    Ok(script)
}
