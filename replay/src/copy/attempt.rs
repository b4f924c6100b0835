//! The subscriber's table before and after its load: the rows that it holds, its indexes and constraints, and the try
//! that loads it. Each function is one transaction.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sql::{
    connect::Session,
    moment::{self, Tries},
    name::TableName,
    queue::tick::Tick,
    subscriber::{
        copy_attempt::Attempt,
        kept_ddl::{self, Left},
        session_role::SessionRole,
        table_state::{self, Copied, Existing, TableRow},
    },
};
use tracing::{debug, info};

use super::files::Files;
use crate::{
    apply::{
        owner::Hold,
        table::{Acting, Target},
        truncate,
    },
    subscriber::shared::Subscription,
    trouble::Trouble,
};

/// Ends a failed try of a transaction that takes a table's lock on the subscriber: rolls it back, and waits for the
/// [next try](Tries::again), because readers queue behind each try.
pub(super) async fn again(
    session: &tokio_postgres::Client,
    tries: &Tries,
    trouble: Trouble,
) -> Result<(), Trouble> {
    session
        .batch_execute("rollback")
        .await
        .map_err(Trouble::database("could not roll back on the subscriber"))?;
    tries.again(trouble).await
}

/// Begins a transaction that takes a table's lock: see [`again`].
pub(super) async fn begin(
    session: &tokio_postgres::Client,
    role: SessionRole,
) -> Result<(), Trouble> {
    session
        .batch_execute(&format!(
            "begin isolation level read committed; {}; {}",
            role.for_transaction(),
            moment::in_transaction()
        ))
        .await
        .map_err(Trouble::database("could not begin on the subscriber"))
}

pub(super) async fn commit(
    session: &tokio_postgres::Client,
    table: &TableName,
) -> Result<(), Trouble> {
    session
        .batch_execute("commit")
        .await
        .map_err(Trouble::at_table(
            table,
            "could not commit on the subscriber",
        ))
}

/// What the copy does with rows that the table holds. Rows that an unfinished try has loaded are always deleted,
/// whatever is done with rows that were there before.
fn treatment(row: &TableRow) -> Existing {
    if row.loading {
        Existing::Truncate
    } else {
        row.existing
    }
}

/// The table that parts are loaded into.
pub(super) fn loaded_table(row: &TableRow, target: &Target, consumer: &str) -> TableName {
    match treatment(row) {
        Existing::Refuse | Existing::Truncate | Existing::Trust => target.name.clone(),
        Existing::Keep | Existing::Swap => aside(row, consumer),
    }
}

/// The table that rows are loaded into if they must not be seen before all are loaded. It is a logged table: an
/// unlogged table would be empty after a crash.
///
/// Its name depends on the consumer, too: the providers of two jobs may give their tables the same numbers, and the
/// copy of one job would drop the table of the other. The consumer's name itself may be too long.
fn aside(row: &TableRow, consumer: &str) -> TableName {
    let digest = Sha256::digest(consumer.as_bytes());
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    TableName::new("trunkline", format!("copy_{}_{digest}", row.provider_oid))
}

/// Begins a try: empties the table, or refuses to; takes indexes away if asked to, and stores how they are rebuilt.
pub(super) async fn make(
    sub: &Subscription,
    row: &TableRow,
    target: &Target,
    session: &Session,
    take_indexes_away: bool,
) -> Result<Begun, Trouble> {
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_make(sub, row, target, session, take_indexes_away).await {
            Ok(done) => return Ok(done),
            Err(trouble) => again(session, &tries, trouble).await?,
        }
    }
}

async fn try_make(
    sub: &Subscription,
    row: &TableRow,
    target: &Target,
    session: &Session,
    take_indexes_away: bool,
) -> Result<Begun, Trouble> {
    begin(session, sub.settings.session_role).await?;
    target
        .acting
        .hold(session, &row.table, Hold::ToWrite)
        .await?;
    let treatment = treatment(row);
    let (loading, empties) = match treatment {
        Existing::Refuse => {
            refuse_rows(row, target, session).await?;
            (true, false)
        }
        Existing::Truncate => (true, true),
        Existing::Trust | Existing::Keep | Existing::Swap => (false, false),
    };
    let attempt = Attempt::begin(&**session, &sub.consumer, row, loading)
        .await
        .map_err(Trouble::database("could not begin a try"))?
        .ok_or(Trouble::Stale)?;
    if loading && take_indexes_away {
        let left = kept_ddl::keep(&**session, &sub.consumer, &row.table, &target.name)
            .await
            .map_err(Trouble::at_table(
                &row.table,
                "could not take its indexes away on the subscriber",
            ))?;
        tell_left(row, &left);
    }
    if empties {
        truncate::tables(session, &[(&target.name, &target.acting)]).await?;
    }
    if matches!(treatment, Existing::Keep | Existing::Swap) {
        make_aside(row, target, session, &sub.consumer).await?;
    }
    let files = if loading {
        Files::of(session, &row.table, &target.name).await?
    } else {
        Files::default()
    };
    commit(session, &row.table).await?;
    Ok(Begun {
        attempt,
        target: target.name.clone(),
        files,
    })
}

/// A try that has begun.
pub(super) struct Begun {
    pub(super) attempt: Attempt,
    /// The subscriber's table. After a rename on the provider it may be another table than that of the last try.
    target: TableName,
    /// The files that hold the table's rows.
    pub(super) files: Files,
}

/// Logs the objects that stay in place; once, and not with every try.
fn tell_left(row: &TableRow, left: &[Left]) {
    for Left { object, reason } in left {
        let object = object.as_deref().unwrap_or("all");
        if row.attempt == 0 {
            info!(table = %row.table, index = object, %reason, "index stays in place while its table is copied");
        } else {
            debug!(table = %row.table, index = object, %reason, "index stays in place");
        }
    }
}

async fn refuse_rows(row: &TableRow, target: &Target, session: &Session) -> Result<(), Trouble> {
    let looked = target
        .acting
        .lines(
            session,
            &format!("select 'a row' from {} limit 1", target.own_rows()),
        )
        .await
        .map_err(Trouble::at_table(
            &row.table,
            "could not read it on the subscriber",
        ))?;
    if !looked.is_empty() {
        return Err(Trouble::misfit(
            &row.table,
            "it holds rows on the subscriber".into(),
            "empty the table, or copy it with: replay resync TABLE (empties it), or remove it \
             from the job and add it with --keep-rows or --expect-sync",
        ));
    }
    Ok(())
}

/// Makes the table that is loaded beside the subscriber's table. It belongs to replay's role and has no types of the
/// owner, who reads it.
async fn make_aside(
    row: &TableRow,
    target: &Target,
    session: &Session,
    consumer: &str,
) -> Result<(), Trouble> {
    let aside = aside(row, consumer).quoted();
    session
        .batch_execute(&format!(
            "drop table if exists {aside}; {}{}",
            target.make_aside(&aside),
            target.acting.grant("select", &[&aside])
        ))
        .await
        .map_err(Trouble::at_table(
            &row.table,
            "could not make a table beside it on the subscriber",
        ))
}

/// Ends the load: rows that were loaded beside the table are brought in, and the table gets its place in the queue.
/// Stale if the try is over.
pub(super) async fn complete(
    row: &TableRow,
    target: &Target,
    session: &Session,
    begun: &Begun,
    place: (Tick, &Copied),
    moved: (i64, i64),
) -> Result<(), Trouble> {
    let beside = match treatment(row) {
        Existing::Refuse | Existing::Truncate | Existing::Trust => None,
        Existing::Keep => Some(false),
        Existing::Swap => Some(true),
    };
    if beside.is_some() {
        // Without statistics the join of two large tables may be planned row by row.
        session
            .batch_execute(&format!(
                "analyze {}",
                aside(row, &begun.attempt.consumer).quoted()
            ))
            .await
            .map_err(Trouble::at_table(
                &row.table,
                "could not analyze what was copied",
            ))?;
    }
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_complete(row, target, session, begun, place, moved, beside).await {
            Ok(done) => return Ok(done),
            Err(trouble) => again(session, &tries, trouble).await?,
        }
    }
}

async fn try_complete(
    row: &TableRow,
    target: &Target,
    session: &Session,
    begun: &Begun,
    place: (Tick, &Copied),
    moved: (i64, i64),
    beside: Option<bool>,
) -> Result<(), Trouble> {
    begin(session, target.session_role).await?;
    begun
        .files
        .still_hold(session, &row.table, &target.name)
        .await?;
    let attempt = &begun.attempt;
    if let Some(only_these) = beside {
        target
            .acting
            .hold(session, &row.table, Hold::ToWrite)
            .await?;
        let aside = aside(row, &attempt.consumer);
        let statements = target.merge_statements(&aside, only_these);
        for statement in &statements {
            let merged = target.acting.execute(session, statement).await;
            merged.map_err(Trouble::at_table(
                &row.table,
                "could not bring the copied rows in on the subscriber",
            ))?;
        }
        session
            .batch_execute(&format!("drop table {}", aside.quoted()))
            .await
            .map_err(Trouble::at_table(&row.table, "could not clear away"))?;
    }
    let done = attempt
        .complete(&**session, place.0, place.1, moved.0, moved.1)
        .await
        .map_err(Trouble::database("could not write a table's state"))?;
    if !done {
        return Err(Trouble::Stale);
    }
    commit(session, &row.table).await
}

/// Gives a try up: deletes the rows that it has loaded.
pub(super) async fn clear(
    role: SessionRole,
    row: &TableRow,
    session: &Session,
    begun: &Begun,
) -> Result<(), Trouble> {
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_clear(role, row, session, begun).await {
            Ok(done) => return Ok(done),
            Err(trouble) => again(session, &tries, trouble).await?,
        }
    }
}

async fn try_clear(
    role: SessionRole,
    row: &TableRow,
    session: &Session,
    begun: &Begun,
) -> Result<(), Trouble> {
    begin(session, role).await?;
    let attempt = &begun.attempt;
    let given_up = attempt
        .abandon(&**session)
        .await
        .map_err(Trouble::database("could not give a try up"))?;
    if !given_up {
        return Err(Trouble::Stale);
    }
    match treatment(row) {
        Existing::Refuse | Existing::Truncate => {
            let (table, hold) = (&row.table, Hold::ToWrite);
            let acting = Acting::find_and_hold(session, table, &begun.target, hold).await?;
            truncate::tables(session, &[(&begun.target, &acting)]).await?;
        }
        Existing::Trust => {}
        Existing::Keep | Existing::Swap => {
            session
                .batch_execute(&format!(
                    "drop table if exists {}",
                    aside(row, &attempt.consumer).quoted()
                ))
                .await
                .map_err(Trouble::at_table(&row.table, "could not clear away"))?;
        }
    }
    commit(session, &row.table).await
}

/// How long a command waits for the table of a copy that it ends: the copy's parts end first.
const COMMAND_PATIENCE: Duration = Duration::from_secs(10);

/// Takes a table with an unfinished copy out of the job, and deletes the rows that the copy has loaded. `target` is the
/// subscriber's table.
pub(crate) async fn forget(
    session: &tokio_postgres::Client,
    role: SessionRole,
    consumer: &str,
    row: &TableRow,
    target: &TableName,
) -> Result<(), Trouble> {
    let at_table = |doing: &'static str| Trouble::at_table(&row.table, doing);
    let there: bool = session
        .query_one("select to_regclass($1) is not null", &[&target.quoted()])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(at_table("could not read it on the subscriber"))?;
    let lock = if there && row.loading {
        // The table is locked before the row, because parts lock in this order too.
        format!("lock table {} in access exclusive mode", target.quoted())
    } else {
        String::new()
    };
    session
        .batch_execute(&format!(
            "begin isolation level read committed; {}; set local lock_timeout = {}; {lock}",
            role.for_transaction(),
            COMMAND_PATIENCE.as_millis()
        ))
        .await
        .map_err(at_table("could not lock it on the subscriber"))?;
    table_state::remove(session, consumer, &row.table)
        .await
        .map_err(at_table("could not remove it"))?;
    if there && row.loading {
        let acting = Acting::find_and_hold(session, &row.table, target, Hold::ToWrite).await?;
        truncate::tables(session, &[(target, &acting)]).await?;
    }
    session
        .batch_execute(&format!(
            "drop table if exists {}",
            aside(row, consumer).quoted()
        ))
        .await
        .map_err(at_table("could not clear away"))?;
    commit(session, &row.table).await
}
