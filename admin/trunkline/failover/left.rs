//! An operation whose command has died: it goes on, or it is given up.

use admin::exit::{Exit, Failure};
use sql::failover;
use sql::operation::{Kind, Operation, OperationId, Plan, Step};
use sql::queue::lineage::NodeId;

use super::ask;
use super::held;
use super::off;
use super::plan::{Course, Dead, Finding, Row, course, dead};
use super::setup::Setup;
use super::steps::{after_the_promotion, from_the_election, from_the_freeze};
use super::unwind::{GivenUp, advice, give_up, state};
use crate::topology::facts::{HostFacts, nodes, running};
use crate::topology::hosts::Host;
use crate::topology::work::{Stop, Work};

/// What is known of an operation whose command has died.
struct Left {
    plan: Plan,
    course: Course,
    /// The nodes that answer, with their hosts: one that does not know of it yet may be about to be held.
    hosts: Vec<(NodeId, Host)>,
    /// All hosts.
    all: Vec<Host>,
    /// Hosts that do not answer.
    silent: Vec<String>,
}

fn find(setup: &Setup<'_>, hosts: Vec<Host>, said: &[HostFacts]) -> Result<Left, Failure> {
    let queue = &setup.args.queue;
    let one = running(said, Kind::Failover, queue, None)?;
    let plan = |one: &Operation| Plan {
        queue: queue.clone(),
        id: one.id,
        kind: one.kind,
        old: one.old.clone(),
        new: one.new.clone(),
        was_fenced: false,
    };
    let nodes = nodes(said, &mut Vec::new());
    let of = |host: usize, id: OperationId| {
        let node = nodes.iter().find(|one| one.host == host)?;
        let mut rows = node.facts.operations.iter();
        rows.find(|row| row.id == id).map(|row| (node.node, row))
    };
    let numbers = 0..said.len();
    let found: Vec<(NodeId, &Operation)> = numbers.filter_map(|host| of(host, one.id)).collect();
    let rows: Vec<Row> = found
        .iter()
        .map(|(node, row)| Row {
            node: *node,
            new: row.new.node,
            step: row.step,
        })
        .collect();
    let course = course(&rows);
    let new = match course {
        Course::Elected(new) | Course::Promoted(new) => Some(new),
        Course::Held | Course::GivenUp => None,
    };
    let named = found.iter().find(|(_, row)| Some(row.new.node) == new);
    let all = hosts.iter().map(Host::again).collect();
    let hosts = hosts.into_iter().enumerate();
    let hosts = hosts.filter_map(|(number, host)| {
        let found = nodes.iter().find(|one| one.host == number)?;
        Some((found.node, host.of_node(found.node)))
    });
    Ok(Left {
        plan: named.map_or_else(|| plan(one), |(_, row)| plan(row)),
        course,
        hosts: hosts.collect(),
        all,
        silent: said
            .iter()
            .filter(|host| host.said.is_err())
            .map(|host| host.title.clone())
            .collect(),
    })
}

/// The operation at work, with the node that was elected; None: that one does not answer.
async fn at_work<'a>(
    setup: &Setup<'a>,
    left: &mut Left,
    new: NodeId,
) -> Result<Option<Work<'a>>, Failure> {
    let mut election = None;
    for (_, host) in &mut left.hosts {
        let (queue, id) = (left.plan.queue.as_str(), left.plan.id);
        let asked = host.ask(async |session| failover::elected(&**session, queue, id).await);
        if let Ok(Some(found)) = asked.await {
            election = Some(found);
        }
    }
    let Some(election) = election.filter(|election| election.new.node == new) else {
        let what = "what was elected is not known on the nodes that answer";
        return Err(Failure::message(Exit::Failed, what).with_hint(advice(&left.plan)));
    };
    let (mut found, mut others) = (None, Vec::new());
    for (node, host) in left.hosts.drain(..) {
        if node == new {
            found = Some(host);
        } else {
            others.push(host);
        }
    }
    let plan = left.plan.clone();
    Ok(match found {
        Some(host) => Some(held::work(setup.beside(), plan, host, others, election)),
        None => {
            left.hosts = others
                .into_iter()
                .map(|host| (plan.old.node, host))
                .collect();
            None
        }
    })
}

fn silent(plan: &Plan) -> Failure {
    let what = format!(
        "nothing was done: {} was elected, does not answer, and may be the provider",
        plan.new.title()
    );
    Failure::message(Exit::Failed, what).with_hint(advice(plan))
}

/// Goes on with an operation whose command has died.
pub(super) async fn resume(
    setup: &Setup<'_>,
    hosts: Vec<Host>,
    said: &[HostFacts],
) -> Result<Exit, Failure> {
    let mut left = find(setup, hosts, said)?;
    match left.course {
        Course::Promoted(new) => match at_work(setup, &mut left, new).await? {
            Some(work) => after_the_promotion(work).await,
            None => Err(silent(&left.plan)),
        },
        Course::Elected(new) => {
            let Some(mut work) = at_work(setup, &mut left, new).await? else {
                return Err(silent(&left.plan));
            };
            still_off(setup, &left, said).await?;
            match note_again(&mut work).await {
                Ok(()) => from_the_election(work).await,
                Err(stop) => Err(stop.failure("nothing was done")),
            }
        }
        Course::GivenUp => {
            let why = "the operation was given up before";
            let hosts = left.hosts.iter_mut().map(|(_, host)| host);
            let away = held::let_go(hosts, &left.plan, why).await;
            Err(Stop::late(why.to_owned()).failure(&state(&left.plan, &away)))
        }
        Course::Held => {
            let found = still_off(setup, &left, said).await?;
            let hosts = left.all.iter().map(Host::again).collect();
            let queue = &left.plan.queue;
            let (followers, _) = ask::followers(hosts, said, queue, found.part.node).await?;
            from_the_freeze(setup, left.plan, followers, left.all).await
        }
    }
}

/// The provider as it is now: it may have come back since the command died, so it must be off as when an operation
/// begins.
async fn still_off(setup: &Setup<'_>, left: &Left, said: &[HostFacts]) -> Result<Dead, Failure> {
    let plan = &left.plan;
    match dead(said, None, Some(plan.id)) {
        Finding::Dead(_) => {}
        Finding::Busy(busy) => return Err(busy.failure(&plan.queue)),
        Finding::IsProvider(_) => return Err(back(plan, "it answers")),
        Finding::Refused(refused) => {
            let all: Vec<String> = refused.into_iter().map(|one| one.reason).collect();
            return Err(back(plan, &all.join("; ")));
        }
    }
    let mut all: Vec<Host> = left.all.iter().map(Host::again).collect();
    let held = |failure: Failure| failure.with_hint(lets_go(plan));
    let found = off::not_met(&mut all, &plan.queue, Some(plan.id)).await;
    let found = found.map_err(held)?;
    let fenced = setup.args.loss.fenced;
    let switched_off = off::switch_off(setup.config, fenced, &found, None).await;
    switched_off.map_err(|failure| {
        failure.with_hint(format!(
            "if it is off: trunkline failover {} --resume --fenced; else {}",
            plan.queue,
            lets_go(plan)
        ))
    })?;
    Ok(found)
}

fn back(plan: &Plan, why: &str) -> Failure {
    let what = format!("nothing was done, and the nodes are held still: {why}");
    Failure::message(Exit::Failed, what).with_hint(lets_go(plan))
}

fn lets_go(plan: &Plan) -> String {
    format!(
        "trunkline failover {} --abort lets the nodes go",
        plan.queue
    )
}

/// Notes on the elected node what the others know already.
async fn note_again(work: &mut Work<'_>) -> Result<(), Stop> {
    let (plan, new) = (work.plan.clone(), work.new_name());
    let election = work
        .others
        .iter_mut()
        .map(|host| host.again())
        .chain([work.new.again()]);
    let mut known = None;
    for mut host in election {
        let asked =
            host.ask(async |session| failover::elected(&**session, &plan.queue, plan.id).await);
        if let Ok(Some(found)) = asked.await {
            known = Some(found);
        }
    }
    let Some(election) = known else {
        return Err(Stop::late("nobody knows what was elected".to_owned()));
    };
    held::note(&mut work.new, &plan, &election)
        .await
        .map_err(|why| Stop::of(&new, &why))
}

/// Gives up an operation whose command has died.
pub(super) async fn abort(
    setup: &Setup<'_>,
    hosts: Vec<Host>,
    said: &[HostFacts],
) -> Result<Exit, Failure> {
    let mut left = find(setup, hosts, said)?;
    let why = "given up by --abort";
    let force = setup.args.force;
    let state = match left.course {
        Course::Promoted(_) => {
            let what = format!(
                "nothing was done: {} is the provider already",
                left.plan.new.title()
            );
            return Err(Failure::message(Exit::Failed, what).with_hint(format!(
                "trunkline failover {} --resume goes on",
                left.plan.queue
            )));
        }
        Course::Elected(new) => match at_work(setup, &mut left, new).await? {
            Some(mut work) => match give_up(&mut work, why).await? {
                GivenUp::Undone(state) => {
                    work.report(Step::Aborted)?;
                    state
                }
                GivenUp::Promoted => {
                    let what = format!("nothing was done: {} is the provider", work.new_name());
                    return Err(Failure::message(Exit::Failed, what));
                }
            },
            None if !force => return Err(silent(&left.plan)),
            None => released(&mut left, why).await,
        },
        Course::Held | Course::GivenUp => released(&mut left, why).await,
    };
    admin::cli::say(setup.common, &format!("the operation is given up: {state}"))?;
    if !left.silent.is_empty() {
        eprintln!(
            "note: {} do not answer: if they are held, run it again when they do",
            left.silent.join(", ")
        );
    }
    Ok(Exit::Done)
}

/// Lets all nodes go that answer.
async fn released(left: &mut Left, why: &str) -> String {
    let hosts = left.hosts.iter_mut().map(|(_, host)| host);
    let away = held::let_go(hosts, &left.plan, why).await;
    state(&left.plan, &away)
}
