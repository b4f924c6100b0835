//! The steps of a failover, once the provider is off.

use admin::exit::{Exit, Failure};
use sql::operation::{Plan, Step};

use super::ask::Follower;
use super::held;
use super::plan::{Dead, Finding, dead, silent_standbys};
use super::setup::Setup;
use super::unwind::{self, GivenUp};
use crate::topology::facts::HostFacts;
use crate::topology::hosts::{self, Host};
use crate::topology::work::{Stop, Work};

/// Holds all nodes, elects one of them, and promotes it. `all`: all hosts, to be asked once more.
pub(super) async fn from_the_freeze(
    setup: &Setup<'_>,
    plan: Plan,
    mut followers: Vec<Follower>,
    mut all: Vec<Host>,
) -> Result<Exit, Failure> {
    let elected = elected(setup, &plan, &mut followers, &mut all).await;
    match elected {
        Ok(work) => from_the_election(work).await,
        Err(stop) => {
            let hosts = followers.iter_mut().map(|one| &mut one.host);
            let left = held::let_go(hosts, &plan, &stop.text).await;
            Err(stop.failure(&unwind::state(&plan, &left)))
        }
    }
}

async fn elected<'a>(
    setup: &Setup<'a>,
    plan: &Plan,
    followers: &mut Vec<Follower>,
    all: &mut [Host],
) -> Result<Work<'a>, Stop> {
    let (found, _) = still_dead(all, plan).await?;
    held::hold(followers, plan, found.term).await?;
    // The provider may have come back meanwhile, and a node may have fallen silent.
    let (found, said) = still_dead(all, plan).await?;
    let silent = silent_standbys(&said, &found);
    held::elect_one(
        followers,
        plan.clone(),
        &found,
        &silent,
        setup.wish(),
        setup.beside(),
    )
    .await
}

async fn still_dead(all: &mut [Host], plan: &Plan) -> Result<(Dead, Vec<HostFacts>), Stop> {
    let said = hosts::facts_of(all, &plan.queue).await;
    let stop = |text: String, exit| Stop {
        exit,
        text,
        hint: None,
    };
    match dead(&said, None, Some(plan.id)) {
        Finding::Dead(found) => Ok((found, said)),
        Finding::IsProvider(_) => Err(stop("the provider answers".to_owned(), Exit::Failed)),
        Finding::Busy(busy) => Err(stop(busy.what, Exit::Running)),
        Finding::Refused(refused) => {
            let all: Vec<String> = refused.into_iter().map(|one| one.reason).collect();
            Err(stop(all.join("; "), Exit::Failed))
        }
    }
}

/// Promotes the node that was elected.
pub(super) async fn from_the_election(mut work: Work<'_>) -> Result<Exit, Failure> {
    match work.promote(None).await {
        Ok(()) => after_the_promotion(work).await,
        Err(stop) => match unwind::give_up(&mut work, &stop.text).await {
            Ok(GivenUp::Promoted) => after_the_promotion(work).await,
            Ok(GivenUp::Undone(state)) => {
                work.report(Step::Aborted)?;
                Err(stop.failure(&state))
            }
            Err(failure) => {
                stop.failure("it is to be given up").print();
                Err(failure)
            }
        },
    }
}

/// Opens the new provider's tables, and waits for the others.
pub(super) async fn after_the_promotion(mut work: Work<'_>) -> Result<Exit, Failure> {
    let is_whole = work.open().await?;
    let force = work.options.force;
    work.follow(is_whole, force).await
}
