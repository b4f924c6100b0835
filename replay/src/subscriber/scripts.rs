//! Scripts of DDL on a subscriber (`replay execute`): when one is executed, and what becomes of its tables.
//!
//! A script is executed within the batch that it lies in, so its record, the rows around it and the position are one
//! commit. It must find the tables that it touches without changes of theirs in the same transaction: ALTER TABLE does
//! not pass by what waits for the commit, and if it fails, its tables must stay where it found them. So the batch is to
//! begin at the script's tick ([`Script::tick`]) or behind, which batches of one tick see to.
//!
//! A script that fails is noted in a transaction of its own; the batch comes again, goes on without the script, and the
//! tables that it touches are parked where they stand. From then on its row says what becomes of it: a person has it
//! tried again, or drops it. Between two batches it is then executed by itself, and the tables go on. The process may
//! die anywhere in between: whoever comes to the script reads the row first.

use std::sync::Arc;

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    queue::tick::TickId,
    script::{
        Script, log,
        record::{self, OpenScript, State, Why},
    },
    subscriber::{
        position::{Move, Position},
        table_state::{self, TableRow},
    },
};
use tracing::{error, info, warn};

use super::{followed::Followed, shared::Subscription};
use crate::{
    apply::{Applier, ApplyTx},
    batch::Header,
    trouble::Trouble,
};

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

/// What a person can do about a script that failed.
fn ways_on(id: &str) -> String {
    let name = if id.contains(char::is_whitespace) {
        format!("'{id}'")
    } else {
        id.to_owned()
    };
    format!(
        "end the cause, then: replay execute --retry {name}; or, if all of it is done by hand: \
         replay execute --skip {name}"
    )
}

/// Comes to a script in a batch. Everything before it is written.
///
/// # Errors
/// [`Trouble::Table`]: a table is to be parked. [`Trouble::Operator`]: a script failed that touches no table of the
/// job, and the subscriber stops at it.
pub(super) async fn at(
    sub: &Subscription,
    provider: &Session,
    (tx, followed): (&mut ApplyTx<'_>, &Followed),
    header: &Header,
    script: &Arc<Script>,
) -> Result<Met, Trouble> {
    if let Some((state, why)) = tx.hold_script(script).await? {
        if state.is_over() {
            return Ok(Met::GoOn);
        }
        return stay_out(sub, followed, script, why.as_ref()).await;
    }
    let is_behind = script
        .tick
        .is_some_and(|tick| header.from.tick.id >= TickId(tick));
    if header.may_be_merged && !is_behind && followed.touched_by(script).is_some() {
        sub.tick_by_tick.begin();
        return Ok(Met::Smaller);
    }
    is_recorded(provider, script).await?;
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let open = record::open(&*session, &sub.consumer).await?;
    let rows = table_state::list(&*session, &sub.consumer).await?;
    if let Some(why) = obstacle(sub, script, &open, &rows) {
        return Ok(Met::Note(State::Waiting, why));
    }
    run(sub, tx, script).await
}

/// Checks that the node that is read has recorded a script: whoever writes an event may not have the rights for that.
async fn is_recorded(provider: &Session, script: &Script) -> Result<(), Trouble> {
    if log::is_known(&**provider, script).await? {
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
    followed: &Followed,
    script: &Script,
    why: Option<&Why>,
) -> Result<Met, Trouble> {
    if let Some(row) = followed.touched_by(script) {
        return Err(is_open(&row.table, script, why));
    }
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let rows = table_state::list(&*session, &sub.consumer).await?;
    if rows.iter().any(|row| is_touched(script, row)) {
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

fn is_touched(script: &Script, row: &TableRow) -> bool {
    script.touches(row.provider_oid, &row.table)
}

/// What keeps a script from being executed now. `open` are scripts that came before it and are not over.
fn obstacle(
    sub: &Subscription,
    script: &Script,
    open: &[OpenScript],
    rows: &[TableRow],
) -> Option<Why> {
    let id = &script.id;
    if !sub.allow_execute {
        return Some(Why {
            error: "allow_execute is false for this subscriber".into(),
            advice: format!(
                "read the script (trunkline.script has it), set allow_execute = true in the config, and run: \
                 replay reload; \
                 or do it by hand, and: replay execute --skip {id}"
            ),
        });
    }
    let shared = |other: &Script| {
        rows.iter()
            .any(|row| is_touched(other, row) && is_touched(script, row))
    };
    if let Some(other) = open.iter().find(|other| shared(&other.script)) {
        return Some(Why {
            error: format!(
                "it comes behind script {}, which is not executed here",
                other.script.id
            ),
            advice: format!(
                "see to that one; to execute this one without it: replay execute --retry {id}"
            ),
        });
    }
    // A table that is `ok` has no place of its own: it stands where the loop stands.
    let stands_before = |row: &&TableRow| {
        let place = row.stand.place();
        place.is_some_and(|place| script.tick.is_none_or(|tick| place.tick.id < TickId(tick)))
    };
    let behind = rows
        .iter()
        .filter(|row| is_touched(script, row))
        .find(stands_before)?;
    Some(Why {
        error: format!(
            "table {} has changes from before it that are not applied here",
            behind.table
        ),
        advice: format!(
            "it is executed when the table gets there: see replay tables; to execute it at once: \
             replay execute --retry {id}"
        ),
    })
}

/// Executes a script in the open transaction, with the note of it.
async fn run(sub: &Subscription, tx: &mut ApplyTx<'_>, script: &Script) -> Result<Met, Trouble> {
    let queue = &sub.settings.queue;
    let session = sub.subscriber_session(Purpose::Parking).await?;
    if record::other_text_is_done(&*session, script).await? {
        return Ok(Met::Note(
            State::Failed,
            Why {
                error: format!("another script was executed here as {}", script.id),
                advice: format!(
                    "read both in trunkline.script; then {}",
                    ways_on(&script.id)
                ),
            },
        ));
    }
    let mut further = Vec::new();
    for queue in log::queues(&*session, &sub.consumer).await? {
        let mark = tx.script_mark(&queue).await?;
        further.push((queue, mark));
    }
    let lacks = tx.lacks_for(script).await?;
    if lacks.is_none()
        && let Err(trouble) = tx.execute(script).await
    {
        return match trouble {
            Trouble::Operator { .. } | Trouble::Table(_) => Ok(Met::Note(
                State::Failed,
                Why {
                    error: trouble.log_line(),
                    advice: ways_on(&script.id),
                },
            )),
            passing @ (Trouble::Passing { .. } | Trouble::Stale) => Err(passing),
        };
    }
    for (queue, mark) in &further {
        // A tick with the script's locks held: whoever follows this node stands there before the script.
        let tick = log::tick(&*session, queue).await?;
        tx.pass_script_on(queue, script, (*mark, tick)).await?;
    }
    let (consumer, id) = (&sub.consumer, &script.id);
    match lacks {
        None => {
            tx.note_script(queue, script, State::Done).await?;
            info!(%consumer, script = %id, "script executed");
            Ok(Met::Executed)
        }
        Some(lacks) => {
            tx.note_script(queue, script, State::Ignored).await?;
            info!(%consumer, script = %id, %lacks, "script is not for this subscriber");
            Ok(Met::GoOn)
        }
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
    record::note(&*session, of, script, state, Some(why)).await?;
    let (consumer, id, Why { error, advice }) = (&sub.consumer, &script.id, why);
    if state == State::Failed || !sub.allow_execute {
        error!(%consumer, script = %id, %error, %advice, "script is not executed");
    } else {
        warn!(%consumer, script = %id, %error, %advice, "script waits");
    }
    Ok(())
}

/// Executes what waits and can be executed, between two batches, each in a transaction that the position is proven in.
/// True if one was executed: the session is of no more use.
pub(super) async fn at_border(
    sub: &Subscription,
    applier: &mut Applier,
    (position, tables_version, followed): (Position, i64, &Followed),
) -> Result<bool, Trouble> {
    let open = record::open(&**applier.session(), &sub.consumer).await?;
    if open.iter().all(|one| one.state == State::Failed) {
        return Ok(false);
    }
    let rows = table_state::list(&**applier.session(), &sub.consumer).await?;
    for (place, one) in open.iter().enumerate() {
        let script = &one.script;
        let before = open.get(..place).unwrap_or_default();
        // Its batch has not begun at its tick yet.
        let is_ahead = script
            .tick
            .is_none_or(|tick| position.tick.id < TickId(tick))
            && followed.touched_by(script).is_some();
        let why = obstacle(sub, script, before, &rows);
        let may = match one.state {
            State::Waiting => why.is_none() && !is_ahead,
            State::Wanted => sub.allow_execute && !is_ahead,
            State::Failed | State::Done | State::Ignored | State::Skipped => false,
        };
        if !may {
            if let Some(why) =
                why.filter(|why| one.why.as_ref() != Some(why) && one.state != State::Failed)
            {
                note(sub, script, State::Waiting, &why).await?;
            }
            continue;
        }
        let mut tx = applier.begin().await?;
        let held = tx.hold_script(script).await?;
        if held.is_none_or(|(state, _)| state != one.state) {
            tx.rollback().await?;
            continue;
        }
        match run(sub, &mut tx, script).await? {
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
        let session = sub.subscriber_session(Purpose::Parking).await?;
        for row in rows.iter().filter(|row| is_touched(script, row)) {
            table_state::try_now(&*session, &sub.consumer, &row.table).await?;
        }
        sub.for_tables.notify_one();
        return Ok(true);
    }
    Ok(false)
}
