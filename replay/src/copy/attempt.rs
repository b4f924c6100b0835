//! The try that loads the subscriber's table: begun, completed, given up. Each function is one transaction.

use sql::{
    connect::Session,
    moment::{self, Tries},
    name::TableName,
    queue::tick::Tick,
    subscriber::{
        copy_attempt::Attempt,
        kept_ddl::{self, Left},
        session_role::SessionRole,
        table_state::{Copied, Existing, TableRow},
    },
};
use tracing::{debug, info};

use super::{
    aside::{self, treatment},
    files::Files,
    table_lock,
};
use crate::{
    apply::{
        owner::Hold,
        table::{Acting, Target},
        truncate,
    },
    subscriber::shared::Subscription,
    trouble::Trouble,
};

/// A try that has begun.
pub(super) struct Begun {
    pub(super) attempt: Attempt,
    /// The subscriber's table. After a rename on the provider it may be another table than that of the last try.
    target: TableName,
    /// The files that hold the table's rows.
    pub(super) files: Files,
}

/// What a try has loaded when all of its parts are in.
pub(super) struct Loaded {
    /// The tick from which the table's own events follow.
    pub(super) tick: Tick,
    /// What the copy showed.
    pub(super) copied: Copied,
    pub(super) rows: i64,
    /// Bytes of COPY text.
    pub(super) bytes: i64,
}

/// Begins a try: empties the table, or refuses to; takes indexes away if asked to, and stores how they are rebuilt.
pub(super) async fn begin(
    sub: &Subscription,
    row: &TableRow,
    target: &Target,
    session: &Session,
    take_indexes_away: bool,
) -> Result<Begun, Trouble> {
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_begin(sub, row, target, session, take_indexes_away).await {
            Ok(done) => return Ok(done),
            Err(trouble) => table_lock::again(session, &tries, trouble).await?,
        }
    }
}

async fn try_begin(
    sub: &Subscription,
    row: &TableRow,
    target: &Target,
    session: &Session,
    take_indexes_away: bool,
) -> Result<Begun, Trouble> {
    table_lock::begin(session, sub.settings.session_role).await?;
    let (acting, hold) = (&target.acting, Hold::ToWrite);
    acting.hold(session, &row.table, hold).await?;
    if row.existing == Existing::Refuse && !row.loading {
        refuse_rows(row, target, session).await?;
    }
    let treatment = treatment(row);
    let (loading, empties) = match treatment {
        Existing::Refuse => (true, false),
        Existing::Truncate => (true, true),
        Existing::Trust | Existing::Keep | Existing::Swap | Existing::Keys => (false, false),
    };
    let attempt = Attempt::begin(&**session, &sub.consumer, row, loading)
        .await?
        .ok_or(Trouble::Stale)?;
    if loading && take_indexes_away {
        let left = kept_ddl::keep(&**session, &sub.consumer, &row.table, &target.name)
            .await
            .map_err(Trouble::of_table(&row.table))?;
        tell_left(row, &left);
    }
    if empties {
        truncate::tables(session, &[(&target.name, &target.acting)]).await?;
    }
    if matches!(treatment, Existing::Keep | Existing::Swap | Existing::Keys) {
        aside::make(row, target, session, &sub.consumer).await?;
    }
    let files = if loading {
        Files::of(session, &row.table, &target.name).await?
    } else {
        Files::default()
    };
    table_lock::commit(session, &row.table).await?;
    Ok(Begun {
        attempt,
        target: target.name.clone(),
        files,
    })
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
            &format!(
                "select 'a row' from {} t{} limit 1",
                target.own_rows(),
                target.where_own()
            ),
        )
        .await
        .map_err(Trouble::at_table(
            &row.table,
            "could not read it on the subscriber",
        ))?;
    if !looked.is_empty() {
        let (why, advice) = match target.merge() {
            None => (
                "it holds rows on the subscriber".to_owned(),
                "empty the table, or copy it with: replay resync TABLE (empties it), or remove it \
                 from the job and add it with --keep-rows or --expect-sync",
            ),
            Some(merge) => (
                format!("it holds rows with {merge} on the subscriber"),
                "delete these rows, or copy it with: replay resync TABLE (replaces them), or remove it \
                 from the job and add it with --keep-rows or --expect-sync",
            ),
        };
        return Err(Trouble::misfit(&row.table, why, advice));
    }
    Ok(())
}

/// Ends the load: rows that were loaded beside the table are brought in, and the table gets its place in the queue.
/// Stale if the try is over.
pub(super) async fn complete(
    row: &TableRow,
    target: &Target,
    session: &Session,
    begun: &Begun,
    loaded: &Loaded,
) -> Result<(), Trouble> {
    // Whether the table is to hold the rows that were loaded beside it, and no others.
    let only_these = match treatment(row) {
        Existing::Refuse | Existing::Truncate | Existing::Trust => None,
        Existing::Keep => Some(false),
        Existing::Swap | Existing::Keys => Some(true),
    };
    if only_these.is_some() {
        aside::analyze(row, session, &begun.attempt.consumer).await?;
    }
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_complete(row, target, session, begun, loaded, only_these).await {
            Ok(done) => return Ok(done),
            Err(trouble) => table_lock::again(session, &tries, trouble).await?,
        }
    }
}

async fn try_complete(
    row: &TableRow,
    target: &Target,
    session: &Session,
    begun: &Begun,
    loaded: &Loaded,
    only_these: Option<bool>,
) -> Result<(), Trouble> {
    table_lock::begin(session, target.session_role).await?;
    let (table, attempt) = (&row.table, &begun.attempt);
    begun.files.still_hold(session, table, &target.name).await?;
    if let Some(only_these) = only_these {
        let (acting, hold) = (&target.acting, Hold::ToWrite);
        acting.hold(session, table, hold).await?;
        aside::merge(row, target, session, &attempt.consumer, only_these).await?;
    }
    let Loaded {
        tick,
        copied,
        rows,
        bytes,
    } = loaded;
    let done = attempt
        .complete(&**session, *tick, copied, *rows, *bytes)
        .await?;
    if !done {
        return Err(Trouble::Stale);
    }
    table_lock::commit(session, table).await
}

/// Gives a try up: deletes the rows that it has loaded.
pub(super) async fn give_up(
    role: SessionRole,
    row: &TableRow,
    session: &Session,
    begun: &Begun,
) -> Result<(), Trouble> {
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_give_up(role, row, session, begun).await {
            Ok(done) => return Ok(done),
            Err(trouble) => table_lock::again(session, &tries, trouble).await?,
        }
    }
}

async fn try_give_up(
    role: SessionRole,
    row: &TableRow,
    session: &Session,
    begun: &Begun,
) -> Result<(), Trouble> {
    table_lock::begin(session, role).await?;
    let given_up = begun.attempt.abandon(&**session).await?;
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
        Existing::Keep | Existing::Swap | Existing::Keys => {
            aside::drop(row, session, &begun.attempt.consumer).await?;
        }
    }
    table_lock::commit(session, &row.table).await
}
