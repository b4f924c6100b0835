//! An operation that is given up after somebody was elected: the elected node's row first, so that no promotion of it
//! passes any more, then those of the nodes that are held.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use sql::moment::MOMENT;
use sql::operation::{self, Plan};

use super::held;
use crate::topology::work::Work;

/// How long an elected node that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of an operation that was to be given up.
pub(super) enum GivenUp {
    /// The nodes go on where they stand; what is told.
    Undone(String),
    /// It was too late: the new provider is the provider.
    Promoted,
}

/// What is told of an operation that was given up. `left`: nodes that did not answer.
pub(super) fn state(plan: &Plan, left: &[String]) -> String {
    if left.is_empty() {
        return "nobody was promoted, and all nodes go on where they stand".to_owned();
    }
    format!(
        "nobody was promoted; these may be held where they stand until trunkline failover {} --abort: {}",
        plan.queue,
        left.join(", ")
    )
}

/// Gives up an operation that has elected somebody.
///
/// # Errors
/// [`Exit::Part`]: it does not answer, and may be the provider.
pub(super) async fn give_up(work: &mut Work<'_>, why: &str) -> Result<GivenUp, Failure> {
    let plan = work.plan.clone();
    let started = Instant::now();
    loop {
        let aborted = work
            .new
            .ask(async |session| operation::abort(&**session, &plan, why).await);
        match aborted.await {
            Ok(true) => break,
            Ok(false) => return Ok(GivenUp::Promoted),
            Err(unanswered) if started.elapsed() >= PATIENCE => {
                return Err(Failure::message(
                    Exit::Part,
                    format!(
                        "{} does not answer, and may be the provider; the others are held where they stand: {}",
                        work.new_name(),
                        unanswered.text()
                    ),
                )
                .with_hint(advice(&plan)));
            }
            Err(_) => tokio::time::sleep(MOMENT).await,
        }
    }
    let left = held::let_go(work.others.iter_mut(), &plan, why).await;
    Ok(GivenUp::Undone(state(&plan, &left)))
}

/// What to do while the elected node does not answer.
pub(super) fn advice(plan: &Plan) -> String {
    format!(
        "when it answers: trunkline failover {0} --resume, or --abort; if it is off for ever: trunkline failover {0} \
         --abort --force",
        plan.queue
    )
}
