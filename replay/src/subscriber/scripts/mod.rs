//! Scripts of DDL on a subscriber (`replay execute`): when one is executed, and what becomes of the tables that it
//! touches.
//!
//! A script is executed within the batch that it lies in, so its record, the rows around it and the position are one
//! commit. It must find the tables that it touches without changes of theirs in the same transaction: ALTER TABLE does
//! not pass by what waits for the commit, and if it fails, its tables must stay where it found them. So the batch is to
//! begin at the script's tick ([`Script::tick`]) or behind, which batches of one tick see to. Where the other tables
//! must stand says `rule`.
//!
//! A script that fails is noted in a transaction of its own; the batch comes again, goes on without the script, and the
//! tables that it touches are parked where they stand. The commit that moves the position past the script notes that,
//! too: before it, the script is executed in its place, and from then on between two batches. Its row says what becomes
//! of it: a person has it tried again, or drops it. The process may die anywhere in between: whoever comes to the
//! script reads the row first.

pub(crate) mod elsewhere;
mod obstacle;
mod rule;

use std::{sync::Arc, time::Duration};

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    queue::tick::TickId,
    script::{
        Script, logged,
        record::{self, OpenScript, State, Why},
    },
    subscriber::{
        position::{Move, Position},
        table_state,
    },
};
use tokio_postgres::error::SqlState;
use tracing::{error, info, warn};

use self::obstacle::{LOCKED, Standing, is_locked, is_touched, obstacle, quoted, ways_on};
use super::{followed::Followed, shared::Subscription};
use crate::{
    apply::{Applier, ApplyTx},
    batch::Header,
    trouble::Trouble,
};

/// How long a tick for who follows this node may take, with a script's locks held.
const TICK_LIMIT: Duration = Duration::from_secs(10);

/// How a batch goes on at a script.
pub(super) enum Met {
    /// The script is over, or the tables that it touches are out of the way.
    GoOn,
    /// It was executed in the batch's transaction: after the commit the session is of no more use.
    Executed,
    /// The batch must be read again in smaller steps.
    Smaller,
    /// The batch must be rolled back, this noted, and the batch read again.
    Note(State, Why),
}

/// The trouble of a table that a script touches which is not over.
pub(crate) fn is_open(table: &TableName, script: &Script, why: Option<&Why>) -> Trouble {
    let Script { id, .. } = script;
    match why {
        Some(Why { error, advice }) => {
            let why = format!("script {id} is not executed here: {error}");
            Trouble::unfollowable(table, why, advice)
        }
        None => {
            let why = format!("script {id} is to be executed again");
            Trouble::unfollowable(table, why, "the daemon does it")
        }
    }
}

/// Comes to a script in a batch.
///
/// # Errors
/// [`Trouble::Table`]: a table is to be parked. [`Trouble::Operator`]: a script is not executed that touches no table
/// of the job, and the subscriber stops at it.
pub(super) async fn at(
    sub: &Subscription,
    provider: &Session,
    (tx, followed): (&mut ApplyTx<'_>, &Followed),
    header: &Header,
    script: &Arc<Script>,
) -> Result<Met, Trouble> {
    let held = tx.hold_script(script).await?;
    match &held {
        Some((state, _)) if state.is_over() => return Ok(Met::GoOn),
        Some((State::Failed, why)) => {
            return stay_out(sub, (tx, followed), script, why.as_ref()).await;
        }
        Some(_) => {}
        None => is_recorded(sub, provider, script).await?,
    }
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let open = record::open(&*session, &sub.consumer).await?;
    let is_it = |one: &OpenScript| one.script.id == script.id && one.script.digest == script.digest;
    let before = open.iter().position(is_it).unwrap_or(open.len());
    let standing = Standing::read(&session, &sub.consumer, header.from.epoch).await?;
    if !sub.allow_execute && !standing.touches_own(script) {
        let lacks = "allow_execute is false, and it touches no table of the job";
        tx.note_script(&sub.settings.queue, script, (State::Ignored, &[]))
            .await?;
        info!(consumer = %sub.consumer, script = %script.id, %lacks, "script is not for this subscriber");
        return Ok(Met::GoOn);
    }
    let asked = matches!(held, Some((State::Wanted, _)));
    let before = open.get(..before).unwrap_or_default();
    let known = held.and_then(|(_, why)| why);
    match obstacle(sub, script, (before, &standing), asked) {
        Some(why) if asked || known.as_ref() == Some(&why) => {
            return stay_out(sub, (tx, followed), script, Some(&why)).await;
        }
        Some(why) => return Ok(Met::Note(State::Waiting, why)),
        None => {}
    }
    if known.as_ref().is_some_and(is_locked) && standing.touches_own(script) {
        // It is tried again between two batches, and the other tables need not wait.
        return stay_out(sub, (tx, followed), script, known.as_ref()).await;
    }
    let is_behind = script
        .tick
        .is_some_and(|tick| header.from.tick.id >= TickId(tick));
    if header.may_be_merged && !is_behind && followed.touched_by(script).is_some() {
        sub.tick_by_tick.begin();
        return Ok(Met::Smaller);
    }
    let written = tx.settle(header.to.tick.id).await;
    written.map_err(|trouble| followed.under_its_stored_name(trouble))?;
    run(sub, &session, tx, script).await
}

/// Checks that the node that is read has recorded a script: whoever writes an event may not have the rights for that.
async fn is_recorded(
    sub: &Subscription,
    provider: &Session,
    script: &Script,
) -> Result<(), Trouble> {
    if logged::is_known(&**provider, &sub.settings.queue, script).await? {
        return Ok(());
    }
    Err(Trouble::Operator {
        doing: "stopped, nothing was applied".into(),
        advice:
            "somebody has written the event by hand: find out who may write into the provider's \
                 event tables"
                .into(),
        source: anyhow::anyhow!(
            "an event says that script {} was executed, and the provider has not recorded it",
            script.id
        ),
    })
}

/// Lets the batch go on without a script that is not over: the tables that it touches are parked, one after the other.
async fn stay_out(
    sub: &Subscription,
    (tx, followed): (&ApplyTx<'_>, &Followed),
    script: &Script,
    why: Option<&Why>,
) -> Result<Met, Trouble> {
    if let Some(row) = followed.touched_by(script) {
        return Err(is_open(&row.table, script, why));
    }
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let rows = table_state::list(&*session, &sub.consumer).await?;
    if rows.iter().any(|row| is_touched(script, row)) {
        tx.pass_script(script).await?;
        return Ok(Met::GoOn);
    }
    let (error, advice) = match why {
        Some(why) => (why.error.clone(), why.advice.clone()),
        None => (
            "it is to be executed again".into(),
            "the daemon does it".into(),
        ),
    };
    Err(Trouble::Operator {
        doing: format!(
            "stopped at script {}, which touches no table of the job",
            script.id
        ),
        advice,
        source: anyhow::anyhow!("{error}"),
    })
}

/// What becomes of a script whose execution has ended in trouble. Everything between its begin and its commit counts as
/// the script's, but what says nothing of it: a lost session, and the end of this program.
fn failed(sub: &Subscription, script: &Script, trouble: Trouble) -> Result<Met, Trouble> {
    let code = trouble.sqlstate().map(SqlState::code);
    let is_lost = match code {
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code.starts_with("58"),
        None => matches!(trouble, Trouble::Passing { .. }),
    };
    if is_lost || matches!(trouble, Trouble::Stale) || sub.stop.is_cancelled() {
        return Err(trouble);
    }
    // No lock in time, a deadlock, another transaction was first.
    if matches!(code, Some("55P03" | "40P01" | "40001")) {
        return Ok(Met::Note(
            State::Waiting,
            Why {
                error: format!("{LOCKED}: {}", trouble.log_line()),
                advice: format!(
                    "it is tried again by itself: end what holds its tables on the subscriber; or, if all of it is \
                     done by hand: replay execute --skip {}",
                    quoted(&script.id)
                ),
            },
        ));
    }
    Ok(Met::Note(
        State::Failed,
        Why {
            error: trouble.log_line(),
            advice: ways_on(&script.id),
        },
    ))
}

/// Executes a script in the open transaction, with the note of it. `session` is another one to the subscriber.
async fn run(
    sub: &Subscription,
    session: &Session,
    tx: &mut ApplyTx<'_>,
    script: &Script,
) -> Result<Met, Trouble> {
    match try_to_run(sub, session, tx, script).await {
        Err(trouble) => failed(sub, script, trouble),
        ran => ran,
    }
}

async fn try_to_run(
    sub: &Subscription,
    session: &Session,
    tx: &mut ApplyTx<'_>,
    script: &Script,
) -> Result<Met, Trouble> {
    let queue = &sub.settings.queue;
    let (consumer, id) = (&sub.consumer, &script.id);
    if tx.script_is_done_here(script).await? {
        tx.note_script(queue, script, (State::Done, &[])).await?;
        info!(%consumer, script = %id, "script was executed for another job");
        return Ok(Met::GoOn);
    }
    if record::other_text_is_done(&**session, script).await? {
        return Ok(Met::Note(
            State::Failed,
            Why {
                error: format!("another script was executed here as {id}"),
                advice: format!("read both in trunkline.script; then {}", ways_on(id)),
            },
        ));
    }
    let mut further = Vec::new();
    for queue in logged::queues(&**session, consumer).await? {
        let mark = tx.script_mark(&queue).await?;
        further.push((queue, mark));
    }
    if let Some(lacks) = tx.lacks_for(script).await? {
        for (queue, mark) in &further {
            tx.pass_script_on(queue, script, (*mark, tick(session, queue).await?))
                .await?;
        }
        tx.note_script(queue, script, (State::Ignored, &[])).await?;
        info!(%consumer, script = %id, %lacks, "script is not for this subscriber");
        return Ok(Met::GoOn);
    }
    let made = tx.execute(script).await?;
    for (queue, mark) in &further {
        // A tick with the script's locks held: whoever follows this node stands there before the script.
        let Some(tick) = tick(session, queue).await? else {
            return Ok(Met::Note(
                State::Waiting,
                Why {
                    error: format!(
                        "{LOCKED}: queue {queue} makes no ticks now, and the script goes on into it"
                    ),
                    advice: "have it make ticks again: ticker resume".into(),
                },
            ));
        };
        tx.pass_script_on(queue, script, (*mark, Some(tick)))
            .await?;
    }
    tx.note_script(queue, script, (State::Done, &made)).await?;
    info!(%consumer, script = %id, "script executed");
    Ok(Met::Executed)
}

async fn tick(session: &Session, queue: &str) -> Result<Option<i64>, Trouble> {
    match tokio::time::timeout(TICK_LIMIT, logged::tick(&**session, queue)).await {
        Ok(made) => Ok(made?),
        Err(_) => Err(Trouble::Operator {
            doing: format!("could not make a tick of queue {queue}"),
            advice: "see what holds the queue's row: pg_locks".into(),
            source: anyhow::anyhow!("no answer for {} s", TICK_LIMIT.as_secs()),
        }),
    }
}

/// Notes why a script is not executed. The transaction that it was tried in is over.
pub(super) async fn note(
    sub: &Subscription,
    script: &Script,
    state: State,
    why: &Why,
) -> Result<(), Trouble> {
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let of = (sub.settings.queue.as_str(), sub.consumer.as_str());
    record::note(&*session, of, script, state, (Some(why), &[])).await?;
    let (consumer, id, Why { error, advice }) = (&sub.consumer, &script.id, why);
    if state == State::Failed || !sub.allow_execute {
        error!(%consumer, script = %id, %error, %advice, "script is not executed");
    } else {
        warn!(%consumer, script = %id, %error, %advice, "script waits");
    }
    Ok(())
}

/// Executes what the position has passed and can be executed, between two batches, each in a transaction that the
/// position is proven in. True if one was executed: the session is of no more use.
pub(super) async fn at_border(
    sub: &Subscription,
    applier: &mut Applier,
    (position, tables_version): (Position, i64),
) -> Result<bool, Trouble> {
    let open = record::open(&**applier.session(), &sub.consumer).await?;
    let may_go = |one: &OpenScript| one.is_passed && one.state != State::Failed;
    if !open.iter().any(may_go) {
        return Ok(false);
    }
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let standing = Standing::read(&session, &sub.consumer, position.epoch).await?;
    for (place, one) in open.iter().enumerate().filter(|(_, one)| may_go(one)) {
        let script = &one.script;
        let before = open.get(..place).unwrap_or_default();
        let asked = one.state == State::Wanted;
        if let Some(why) = obstacle(sub, script, (before, &standing), asked) {
            if !asked && one.why.as_ref() != Some(&why) {
                note(sub, script, State::Waiting, &why).await?;
            }
            continue;
        }
        if !asked && one.why.as_ref().is_some_and(is_locked) && !one.has_rested {
            continue;
        }
        let mut tx = applier.begin().await?;
        let held = tx.hold_script(script).await?;
        if held.is_none_or(|(state, _)| state != one.state) {
            tx.rollback().await?;
            continue;
        }
        match run(sub, &session, &mut tx, script).await? {
            Met::Note(state, why) => {
                tx.rollback().await?;
                note(sub, script, state, &why).await?;
                continue;
            }
            Met::GoOn | Met::Executed | Met::Smaller => {}
        }
        let stay = Move {
            from: position,
            tables_version,
            to: position.tick,
            to_time: None,
            conflicts: 0,
            lineage: sql::queue::lineage::Lineage::default(),
            is_kept: false,
        };
        tx.commit_move(stay).await?;
        for row in standing.own.iter().filter(|row| is_touched(script, row)) {
            table_state::try_now(&*session, &sub.consumer, &row.table).await?;
        }
        sub.for_tables.notify_one();
        return Ok(true);
    }
    Ok(false)
}
