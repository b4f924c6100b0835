//! The tick loop of one database: asks which queues are due, ticks each in a transaction of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use admin::daemon::{Beat, Rests};
use admin::log::Once;
use sql::connect::Session;
use sql::queue::Maker;
use sql::queue::tick::TickStatements;
use sql::{Class, Error};

use crate::database::Database;
use crate::history::History;
use crate::pace::Rounds;

/// The queues whose tick failed.
#[derive(Default)]
struct Failures {
    resting: HashMap<String, Rest>,
    logged: Once<String>,
}

/// A queue that is not ticked for a while after a failure.
struct Rest {
    rests: Rests,
    next_try: Instant,
}

/// Ticks until it is asked to stop.
///
/// # Errors
/// No queue of the database can be asked, or the connection broke. If one queue fails, the failure is logged, the queue
/// is tried again, and the others go on.
pub(crate) async fn run(
    database: &Database,
    session: &Session,
    maker: Maker,
    history: &mut History,
    beat: &Beat,
) -> Result<(), Error> {
    let statements = TickStatements::prepare(&**session, maker).await?;
    let mut failures = Failures::default();
    let mut last_work = Instant::now();
    let mut rounds = Rounds::default();
    while !database.stop.is_cancelled() {
        beat.beat();
        let started = Instant::now();
        let mut ticked_any = false;
        for queue in due(&statements, session).await? {
            if database.stop.is_cancelled() {
                return Ok(());
            }
            if failures
                .resting
                .get(&queue)
                .is_some_and(|one| one.next_try > Instant::now())
            {
                continue;
            }
            match statements.tick(&**session, &queue).await {
                Ok(ticked) => {
                    recovered(database, &mut failures, &queue);
                    if let Some(tick) = ticked {
                        last_work = Instant::now();
                        ticked_any = true;
                        database.stats.ticked();
                        tracing::debug!(database = database.name(), queue, tick = tick.0, "tick");
                    }
                }
                Err(error) if session.is_closed() => return Err(error),
                Err(_) if database.stop.is_cancelled() => return Ok(()),
                Err(error) => {
                    if due(&statements, session).await?.contains(&queue) {
                        failed(database, &mut failures, queue, &error);
                    } else {
                        // It was dropped or paused since it was listed: nothing is wrong with it.
                        failures.resting.remove(&queue);
                    }
                }
            }
        }
        if ticked_any && maker == Maker::Trunkline {
            history.note_if_due(session).await?;
        }
        if ticked_any {
            rounds.add(started.elapsed());
        }
        let pace = *database.pace.borrow();
        let delay = pace.look_delay(last_work.elapsed(), rounds.mean());
        if ticked_any {
            database.stats.paced(delay);
        }
        // The delay counts from start to start, so that slow looks do not make the ticks rarer; but there always is a
        // pause.
        let rest = pace.rest(delay, started.elapsed()).max(SHORTEST_PAUSE);
        if database.sleep(rest).await {
            break;
        }
    }
    Ok(())
}

/// The queues that are due. A queue that is dropped while they are looked for is an error of the server ("could not
/// open relation"), and none at the second look.
async fn due(statements: &TickStatements, session: &Session) -> Result<Vec<String>, Error> {
    match statements.due(&**session).await {
        Err(_) if !session.is_closed() => statements.due(&**session).await,
        listed => listed,
    }
}

/// The server gets at least this much time for others between two looks, however slow the looks are.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

fn recovered(database: &Database, failures: &mut Failures, queue: &str) {
    failures.resting.remove(queue);
    if failures.logged.over(queue) {
        tracing::info!(database = database.name(), queue, "queue ticks again");
    }
}

fn failed(database: &Database, failures: &mut Failures, queue: String, error: &Error) {
    database.stats.failed();
    let text = admin::exit::one_line(error);
    let name = database.name();
    let entry = failures
        .resting
        .entry(queue.clone())
        .or_insert_with(|| Rest {
            rests: database.pace.borrow().rests(),
            next_try: Instant::now(),
        });
    entry.next_try = Instant::now() + entry.rests.next_rest();
    if failures.logged.say(queue, &text) {
        // The queue's name is part of the error's text.
        match error.class() {
            Class::Transient => {
                tracing::warn!(database = name, error = text, "queue failed, trying again")
            }
            Class::Operator | Class::Bug => {
                let advice = error.hint();
                tracing::error!(
                    database = name,
                    error = text,
                    advice,
                    "queue failed, trying again"
                );
            }
        }
    }
}
