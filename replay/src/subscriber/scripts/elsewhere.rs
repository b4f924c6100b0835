//! Scripts that are met elsewhere than in a batch: by a move to another provider, by a copy, and by a table's own
//! events.

use sql::{
    connect::{Purpose, Session},
    queue::tick::{Epoch, TickId},
    script::{
        Script, logged,
        record::{self, State, Why},
    },
    subscriber::{position, table_state::TableRow},
};

use super::{
    is_open, is_recorded, note,
    obstacle::{is_touched, quoted, ways_on},
};
use crate::{
    apply::ApplyTx,
    subscriber::{followed::Followed, shared::Subscription},
    trouble::Trouble,
};

/// Comes to a script in events that are applied once more, by which the subscriber goes to another provider. Nothing
/// can be executed among them: the script is left open behind the position, and the tables that it touches stay before
/// it.
///
/// # Errors
/// [`Trouble::Table`]: a table is to be parked, at the place that the events begin at.
pub(crate) async fn at_hop(
    sub: &Subscription,
    provider: &Session,
    (tx, followed): (&mut ApplyTx<'_>, &Followed),
    script: &Script,
) -> Result<(), Trouble> {
    match tx.hold_script(script).await? {
        Some((state, _)) if state.is_over() => return Ok(()),
        Some(_) => {}
        None => is_recorded(sub, provider, script).await?,
    }
    let why = Why {
        error: "it lies among the changes that a move to another provider has applied once more"
            .into(),
        advice: format!(
            "it is executed when its tables stand at it: see replay tables; or, if all of it is done by hand: \
             replay execute --skip {}",
            quoted(&script.id)
        ),
    };
    if let Some(row) = followed.touched_by(script) {
        return Err(is_open(&row.table, script, Some(&why)));
    }
    tx.leave_script(&sub.settings.queue, script, &why).await
}

/// Gives the scripts that are not over the names that they have at another provider, in the transaction of the move
/// there, to this tick.
pub(crate) async fn translate(
    sub: &Subscription,
    provider: &Session,
    tx: &ApplyTx<'_>,
    to: TickId,
) -> Result<(), Trouble> {
    let open = tx.open_scripts().await?;
    if open.is_empty() {
        return Ok(());
    }
    let there = logged::logged(&**provider, &sub.settings.queue, to).await?;
    for one in &open {
        let script = &one.script;
        let found = there
            .iter()
            .find(|other| other.id == script.id && other.digest == script.digest);
        let why = Why {
            error: "the new provider has not logged it".into(),
            advice: ways_on(&script.id),
        };
        tx.translate_script(one, found, &why).await?;
    }
    Ok(())
}

/// The first script that a table's copy would show, and that is not over here. `provider` has the snapshot of the copy.
/// Executed later, it would run on top of what it has made.
pub(crate) async fn shown_by_copy(
    sub: &Subscription,
    (provider, subscriber): (&Session, &Session),
    row: &TableRow,
) -> Result<Option<String>, Trouble> {
    // The position first: what it passes has a row by then.
    let stored = position::find(&**subscriber, &sub.consumer)
        .await?
        .ok_or(Trouble::Stale)?;
    let tick = stored.position.tick.id;
    for one in logged::logged(&**provider, &sub.settings.queue, tick).await? {
        let Some(sql) = one.after else { continue };
        let script = Script {
            id: one.id,
            digest: one.digest,
            sql,
            tick: one.tick,
            tables: one.tables,
        };
        if is_touched(&script, row) {
            let state = record::state(&**subscriber, &sub.consumer, &script).await?;
            if state.is_none_or(|(state, _)| !state.is_over()) {
                return Ok(Some(script.id));
            }
        }
    }
    let open = record::open(&**subscriber, &sub.consumer).await?;
    let open = open.into_iter().map(|one| one.script);
    Ok(open
        .into_iter()
        .find(|script| is_touched(script, row))
        .map(|script| script.id))
}

/// Looks again at a script that a table's own events, up to a tick, have and this subscriber does not know. True: it is
/// known by now, or noted as one that the subscriber went past without it, for a person to decide.
pub(crate) async fn is_known_by_now(
    sub: &Subscription,
    session: &Session,
    (epoch, to): (Epoch, TickId),
    script: &Script,
) -> Result<bool, Trouble> {
    // The position first: what it passes has a row by then.
    let stored = position::find(&**session, &sub.consumer)
        .await?
        .ok_or(Trouble::Stale)?;
    if stored.position.epoch != epoch {
        return Err(Trouble::Stale);
    }
    let state = record::state(&**session, &sub.consumer, script).await?;
    if state.is_some() {
        return Ok(true);
    }
    if stored.position.tick.id < to {
        return Ok(false);
    }
    let why = Why {
        error: "the subscriber went past it without it, as after a restore".into(),
        advice: ways_on(&script.id),
    };
    note(sub, script, State::Failed, &why).await?;
    let session = sub.subscriber_session(Purpose::Parking).await?;
    record::pass(&*session, &sub.consumer, script).await?;
    Ok(true)
}
