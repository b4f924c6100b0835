//! Whether the provider is off: no node may have met it lately, and somebody must say that it is.

use std::time::{Duration, Instant};

use admin::config::ReplayConfig;
use admin::exit::{Exit, Failure};
use admin::notice::Letter;
use tokio_util::sync::CancellationToken;

use super::plan::{Dead, Finding, dead};
use crate::topology::hosts::{self, Host};
use sql::operation::OperationId;

/// A node that meets another one notes it every ten seconds, and meets it each second. So one that has noted nothing
/// for this long has not met it.
const NOT_MET: f64 = 12.0;

/// How long it is waited until no node has met the provider.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until no node that answers has met the provider for ten seconds; gives what was said then.
///
/// # Errors
/// [`Exit::Failed`]: one of them meets it still, or it answers.
pub(super) async fn not_met(
    hosts: &mut [Host],
    queue: &str,
    own: Option<OperationId>,
) -> Result<Dead, Failure> {
    let started = Instant::now();
    loop {
        let said = hosts::facts_of(hosts, queue).await;
        let found = match dead(&said, None, own) {
            Finding::Dead(found) => found,
            Finding::Busy(busy) => return Err(busy.failure(queue)),
            Finding::IsProvider(_) => return Err(nothing_done("the provider answers")),
            Finding::Refused(refused) => {
                let all: Vec<String> = refused.into_iter().map(|one| one.reason).collect();
                return Err(nothing_done(&all.join("; ")));
            }
        };
        match &found.met {
            Some((by, seconds)) if *seconds < NOT_MET => {
                if started.elapsed() >= PATIENCE {
                    let what = format!(
                        "{by} has met {} {seconds:.0} s ago: it is not off",
                        found.part.title()
                    );
                    return Err(nothing_done(&what));
                }
            }
            Some(_) | None => return Ok(found),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Has the provider switched off by `fence_command`, unless the operator has said that it is.
///
/// # Errors
/// [`Exit::Failed`]: nobody says so, or the command has failed.
pub(super) async fn switch_off(
    config: &ReplayConfig,
    is_fenced: bool,
    dead: &Dead,
    address: Option<String>,
) -> Result<(), Failure> {
    let command = match &config.failover.fence {
        _ if is_fenced => return Ok(()),
        None => return Err(nothing_done(&nobody_says(dead))),
        Some(command) => command,
    };
    let known = address.or_else(|| dead.client.clone());
    let values = [
        (Letter::Provider, dead.part.title()),
        // Empty where nobody knows it, as for an event. The name is always there.
        (Letter::Client, known.unwrap_or_default()),
        (Letter::Queue, config.queue.clone()),
        (Letter::Term, dead.term.to_string()),
    ];
    let never = CancellationToken::new();
    let ended = command
        .run(&values.into_iter().collect(), config.programs.limit, &never)
        .await;
    match ended.error {
        None => Ok(()),
        Some(error) => Err(nothing_done(&format!(
            "fence_command: {error}: {}",
            ended.output
        ))),
    }
}

/// Why a failover is refused where nobody says that the provider is off.
pub(super) fn nobody_says(dead: &Dead) -> String {
    format!("nobody says that {} is off", dead.part.title())
}

fn nothing_done(why: &str) -> Failure {
    Failure::message(Exit::Failed, format!("nothing was done: {why}"))
}
