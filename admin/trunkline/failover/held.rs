//! The nodes are held where they stand, then one of them is elected, and promoted.

use std::time::{Duration, Instant};

use admin::cli::CommonArgs;
use admin::exit::Exit;
use sql::connect::ApplicationName;
use sql::failover::{self, Election};
use sql::moment::Tries;
use sql::operation::{self, Part, Plan};

use super::ask::{self, Follower};
use super::plan::{Dead, Loss, Wish, elect, loss};
use crate::topology::hosts::{self, Host, Unanswered};
use crate::topology::work::{Options, Stop, Work};

/// How long a batch that is being committed is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an operation has beside its nodes.
pub(super) struct Beside<'a> {
    pub(super) options: Options<'a>,
    pub(super) common: &'a CommonArgs,
    pub(super) name: ApplicationName,
    pub(super) sequence_margin: i32,
}

/// Holds all nodes where they stand, and asks again where that is.
pub(super) async fn hold(
    followers: &mut [Follower],
    plan: &Plan,
    old_term: i64,
) -> Result<(), Stop> {
    for one in followers.iter_mut() {
        let name = one.standing.part.title();
        let tries = Tries::within(PATIENCE);
        loop {
            let held = one
                .host
                .ask(async |session| failover::freeze(&**session, plan, old_term).await);
            match held.await {
                Ok(()) => break,
                Err(Unanswered::Refused(error)) => {
                    if let Err(error) = tries.again(error).await {
                        return Err(refused(&name, &Unanswered::Refused(error)));
                    }
                }
                Err(lost) => return Err(refused(&name, &lost)),
            }
        }
        ask::look(one, &plan.queue)
            .await
            .map_err(|why| refused(&name, &why))?;
    }
    Ok(())
}

/// Before anybody is promoted, a failure changes nothing.
fn refused(node: &str, why: &Unanswered) -> Stop {
    let exit = if why.is_in_use() {
        Exit::Running
    } else {
        Exit::Failed
    };
    Stop {
        exit,
        ..Stop::of(node, why)
    }
}

/// Elects among the nodes that are held, and notes it on all of them; gives the operation with its new provider.
pub(super) async fn elect_one<'a>(
    followers: &mut Vec<Follower>,
    mut plan: Plan,
    dead: &Dead,
    silent: &[Part],
    wish: Wish<'_>,
    beside: Beside<'a>,
) -> Result<Work<'a>, Stop> {
    let standings: Vec<_> = followers.iter().map(|one| one.standing.clone()).collect();
    let winner = elect(dead, &standings, silent, wish).map_err(|refused| {
        let all: Vec<String> = refused.into_iter().map(|one| one.reason).collect();
        Stop {
            exit: Exit::Failed,
            text: all.join("; "),
            hint: None,
        }
    })?;
    let lost = || Stop {
        exit: Exit::Failed,
        text: "the node that was elected has no place".to_owned(),
        hint: None,
    };
    let standing = standings.get(winner).ok_or_else(lost)?;
    let loss = loss(dead, &standings, standing).ok_or_else(lost)?;
    let election = Election {
        new: standing.part.clone(),
        last: standing.in_log(dead).ok_or_else(lost)?,
        last_time: loss.after_time,
        heard: dead.heard,
        sequence_margin: beside.sequence_margin,
    };
    plan.new = election.new.clone();
    // The node itself last: whoever finds its row finds that all others know of it.
    let is_new = |one: &&mut Follower| one.node() == election.new.node;
    let (new, others): (Vec<_>, Vec<_>) = followers.iter_mut().partition(is_new);
    for one in others.into_iter().chain(new) {
        let name = one.standing.part.title();
        note(&mut one.host, &plan, &election)
            .await
            .map_err(|why| refused(&name, &why))?;
    }
    let new = followers.remove(winner);
    let others = std::mem::take(followers);
    let others = others.into_iter().map(|one| one.host).collect();
    Ok(Work {
        lost: Some(loss.json()),
        ..work(beside, plan, new.host, others, election)
    })
}

/// Notes an election on a node.
pub(super) async fn note(
    host: &mut Host,
    plan: &Plan,
    election: &Election,
) -> Result<(), Unanswered> {
    host.ask(async |session| failover::elect(&**session, &plan.queue, plan.id, election).await)
        .await
}

/// The operation with its nodes.
pub(super) fn work<'a>(
    beside: Beside<'a>,
    plan: Plan,
    new: Host,
    others: Vec<Host>,
    election: Election,
) -> Work<'a> {
    Work {
        options: beside.options,
        common: beside.common,
        // It is off, and is asked nothing.
        old: Host::among(&[], &beside.name, plan.old.node),
        new,
        others,
        plan,
        limit: hosts::LIMIT + PROMOTION,
        last: Some(election.last),
        fenced_at: None,
        term: None,
        lost: Some(Loss::of(&election).json()),
        verified: None,
        pause: None,
        followers: Vec::new(),
        beaten_at: Instant::now(),
    }
}

/// How much longer a promotion may take, with all its tables.
const PROMOTION: Duration = Duration::from_secs(60);

/// Lets nodes go that are held by an operation; gives the names of those that did not answer.
pub(super) async fn let_go<'h>(
    hosts: impl Iterator<Item = &'h mut Host>,
    plan: &Plan,
    why: &str,
) -> Vec<String> {
    let mut left = Vec::new();
    for host in hosts {
        let aborted = host.ask(async |session| operation::abort(&**session, plan, why).await);
        if let Err(unanswered) = aborted.await {
            left.push(format!("{}: {}", host.title(), unanswered.text()));
        }
    }
    left
}
