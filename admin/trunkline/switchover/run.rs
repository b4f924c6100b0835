//! What a switchover is asked for: new ones of one or several queues, those that go on, or those that are given up.

use std::time::{Duration, Instant};

use admin::cli::{self, CommonArgs};
use admin::config::{AnyConfig, ReplayConfig};
use admin::exit::{Exit, Failure};
use sql::connect::ApplicationName;
use sql::operation::{Kind, Operation, Plan, Step};
use sql::queue::lineage::NodeId;
use sql::role::Role;

use super::args::SwitchoverArgs;
use super::drive::{Stages, last_of, lead};
use super::plan::{Casting, Course, Wish, cast, course, refusals};
use super::prepare::{self, Asked};
use super::unwind::GivenUp;
use crate::failover;
use crate::topology::facts::{HostFacts, NodeFacts, running};
use crate::topology::hosts::{self, Host};
use crate::topology::work::{Options, Work};

/// How long a node that does not answer is asked again when a person gives an operation up and can repeat the command.
const PATIENCE_BY_HAND: Duration = Duration::from_secs(5);

/// How much longer a fence, a promotion, or what takes them back may take for each table and partition.
const WORK_OF_ONE: Duration = Duration::from_millis(5);

/// The same for an operation that goes on, whose tables nobody has counted.
const WORK_OF_ALL: Duration = Duration::from_secs(60);

/// The hosts of a queue's set, and what each of them says.
struct Set {
    queue: String,
    name: ApplicationName,
    hosts: Vec<Host>,
    said: Vec<HostFacts>,
}

impl Set {
    async fn ask(config: &ReplayConfig) -> Result<Set, Failure> {
        let (name, mut hosts) = hosts::of_config(config)?;
        let said = hosts::facts_of(&mut hosts, &config.queue).await;
        Ok(Set {
            queue: config.queue.clone(),
            name,
            hosts,
            said,
        })
    }
}

/// Runs `trunkline switchover`.
///
/// Errors: [`Exit::Failed`] refused, nothing has changed; [`Exit::TimedOut`] the time was up, and the provider is what
/// it was; [`Exit::Running`] another operation runs; [`Exit::Part`] it is not known whether the node was promoted.
pub(crate) async fn run(
    args: &SwitchoverArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    if args.force && !args.resume && !args.abort {
        let what = "--force is for --resume and for --abort";
        return Err(Failure::message(Exit::Usage, what));
    }
    if !args.or_failover && !args.loss.is_empty() {
        let what = "--fenced, --without, --behind and --yes are for --or-failover";
        return Err(Failure::message(Exit::Usage, what));
    }
    let mut sets = Vec::new();
    for config in hosts::configs_of(configs, args.queue.as_deref())? {
        sets.push(Set::ask(config).await?);
    }
    if args.resume || args.abort {
        let (left, none) = left(sets, args, common)?;
        for failure in &none {
            eprintln!("warning: {}", failure.error);
        }
        return if args.resume {
            resume(left, args, none.is_empty()).await
        } else {
            abort(left).await
        };
    }
    if args.or_failover && !sets.iter().all(|set| failover::has_provider(&set.said)) {
        return instead(&sets, args, configs, common).await;
    }
    let Some(to) = args.to.as_deref() else {
        return Err(Failure::message(
            Exit::Usage,
            "--to names the node that becomes the provider",
        ));
    };
    begin(sets, to, args, common).await
}

/// The failovers that take the place of switchovers whose provider does not answer.
async fn instead(
    sets: &[Set],
    args: &SwitchoverArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    if let Some(alive) = sets.iter().find(|set| failover::has_provider(&set.said)) {
        let what =
            "nothing was done: some of the queues have a provider, and some have none that answers";
        return Err(Failure::message(Exit::Failed, what)
            .with_hint(format!("name the queue; {} has one", alive.queue)));
    }
    let mut exit = Exit::Done;
    let (mut failures, mut is_any_done) = (Vec::new(), false);
    for set in sets {
        match failover::run(&args.failover(&set.queue), configs, common).await {
            Ok(Exit::Done) => is_any_done = true,
            Ok(other) => exit = other,
            Err(failure) => failures.push(failure),
        }
    }
    if is_any_done && !failures.is_empty() {
        failures.iter().for_each(|failure| {
            failure.print();
        });
        return Ok(Exit::Part);
    }
    last_of(failures).map(|_| exit)
}

/// New switchovers: nothing is begun before all queues are known to be ready.
async fn begin(
    sets: Vec<Set>,
    to: &str,
    args: &SwitchoverArgs,
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let (mut asked, mut ready) = (Vec::new(), Vec::new());
    for mut set in sets {
        let cast = match cast(&set.said, to) {
            Casting::Cast(cast) => cast,
            Casting::IsProvider => {
                let done = format!("{to} is the provider of queue {} already", set.queue);
                cli::say(common, &done)?;
                continue;
            }
            Casting::Busy(busy) => return Err(busy.failure(&set.queue)),
            Casting::Refused(refused) => {
                asked.push(Asked {
                    queue: set.queue,
                    refused,
                    ready: None,
                });
                continue;
            }
        };
        let (readiness, id) = prepare::ask(&mut set.hosts, &cast, &set.queue).await?;
        let relations = readiness
            .old_size
            .relations
            .max(readiness.new_size.relations);
        let plan = Plan {
            queue: set.queue.clone(),
            id,
            kind: Kind::Switchover,
            old: cast.old,
            new: cast.new,
            was_fenced: cast.was_fenced,
        };
        asked.push(Asked {
            queue: set.queue.clone(),
            refused: refusals(&readiness, args.max_lag),
            ready: Some(readiness),
        });
        ready.push((set, plan, WORK_OF_ONE * relations.unsigned_abs()));
    }
    if asked.is_empty() {
        return Ok(Exit::Done);
    }
    if args.dry_run || asked.iter().any(|one| !one.refused.is_empty()) {
        return prepare::tell(args, &asked);
    }
    let works = ready.into_iter();
    let begin = works.map(|(set, plan, more)| work(set, plan, more, args, common));
    let stages = Stages {
        begin: begin.collect(),
        ..Stages::default()
    };
    lead(stages, args).await
}

/// The switchover of a set, with each node's host. A node that does not answer is one of the hosts that do not.
fn work<'a>(
    set: Set,
    plan: Plan,
    more: Duration,
    args: &'a SwitchoverArgs,
    common: &'a CommonArgs,
) -> Work<'a> {
    let Set {
        name, hosts, said, ..
    } = set;
    let is = |facts: &HostFacts, node: NodeId| {
        let said = facts.said.as_ref();
        said.is_ok_and(|NodeFacts { is, .. }| {
            is.node == Some(node) && !is.in_recovery && is.role != Some(Role::Copy)
        })
    };
    let silent: Vec<Host> = hosts
        .iter()
        .zip(&said)
        .filter(|(_, facts)| facts.said.is_err())
        .map(|(host, _)| host.again())
        .collect();
    let (mut old, mut new, mut others) = (None, None, Vec::new());
    for (host, facts) in hosts.into_iter().zip(&said) {
        if is(facts, plan.old.node) {
            old.get_or_insert(host);
        } else if is(facts, plan.new.node) {
            new.get_or_insert(host);
        } else {
            others.push(host);
        }
    }
    let place = |found: Option<Host>, node| match found {
        Some(host) => host.of_node(node),
        None => Host::among(&silent, &name, node),
    };
    Work {
        options: Options {
            before: args.before.as_deref(),
            after: args.after.as_deref(),
            patience: args.catch_up,
            force: args.force,
            json: args.json,
        },
        common,
        old: place(old, plan.old.node),
        new: place(new, plan.new.node),
        others,
        plan,
        limit: hosts::LIMIT + more,
        last: None,
        fenced_at: None,
        term: None,
        lost: None,
        verified: None,
        pause: None,
        followers: Vec::new(),
        beaten_at: Instant::now(),
    }
}

/// The operations that are left of commands that have died; and of queues that have none, if others have, what says so.
fn left<'a>(
    sets: Vec<Set>,
    args: &'a SwitchoverArgs,
    common: &'a CommonArgs,
) -> Result<(Vec<Work<'a>>, Vec<Failure>), Failure> {
    let (mut found, mut none) = (Vec::new(), Vec::new());
    for set in sets {
        let is_any = set.said.iter().any(|host| {
            let said = host.said.as_ref();
            said.is_ok_and(|facts| facts.running().is_some())
        });
        match running(&set.said, Kind::Switchover, &set.queue, args.to.as_deref()) {
            Ok(operation) => {
                let plan = plan_of(&set.queue, operation);
                found.push(work(set, plan, WORK_OF_ALL, args, common));
            }
            Err(failure) if is_any => return Err(failure),
            Err(failure) => none.push(failure),
        }
    }
    if found.is_empty() {
        last_of(none)?;
        return Ok((found, Vec::new()));
    }
    Ok((found, none))
}

fn plan_of(queue: &str, operation: &Operation) -> Plan {
    Plan {
        queue: queue.to_owned(),
        id: operation.id,
        kind: operation.kind,
        old: operation.old.clone(),
        new: operation.new.clone(),
        was_fenced: operation.was_fenced,
    }
}

/// Goes on with operations whose command has died. `are_all`: each queue has one.
async fn resume(
    left: Vec<Work<'_>>,
    args: &SwitchoverArgs,
    are_all: bool,
) -> Result<Exit, Failure> {
    let mut stages = Stages::default();
    for mut work in left {
        let (old, new) = work.known().await;
        match course(Wish::Resume, old, new) {
            Course::GoOn(Step::Prepare) => stages.begin.push_back(work),
            Course::GoOn(Step::Fence) => stages.fence.push_back(work),
            Course::GoOn(_) => stages.open.push_back(work),
            Course::GiveUp { .. } => stages.given_up.push_back(work),
            Course::Over(step) => work.say(&format!(
                "the operation to {} is {}",
                work.new_name(),
                step.as_str()
            ))?,
            Course::NewIsSilent => return Err(silent(&work.new_name(), &work)),
            Course::OldIsSilent => return Err(silent(&work.old_name(), &work)),
            Course::IsPromoted | Course::Contradiction => return Err(work.contradiction()),
        }
    }
    let is_begun = !stages.begin.is_empty() || !stages.fence.is_empty();
    if is_begun && !are_all && stages.open.is_empty() {
        // The queues would part: those of which nothing runs stay where they are, or were given up.
        let what = "nothing was done: not all of the queues have an operation that runs, and no node is promoted yet";
        return Err(Failure::message(Exit::Failed, what).with_hint(
            "--abort gives up what runs; with the name of a queue --resume goes on with that one alone",
        ));
    }
    lead(stages, args).await
}

fn silent(node: &str, work: &Work<'_>) -> Failure {
    let what = format!("nothing was done: {node} does not answer");
    Failure::message(Exit::Failed, what).with_hint(format!(
        "when it answers, run it again; if {} is off for ever: trunkline switchover {} --abort --force",
        work.new_name(),
        work.plan.queue
    ))
}

/// Gives up operations whose command has died.
async fn abort(left: Vec<Work<'_>>) -> Result<Exit, Failure> {
    let mut failures = Vec::new();
    for mut work in left {
        if let Err(failure) = abort_one(&mut work).await {
            failures.push(failure);
        }
    }
    last_of(failures)
}

async fn abort_one(work: &mut Work<'_>) -> Result<(), Failure> {
    let force = work.options.force;
    let (new, old) = (work.new_name(), work.old_name());
    let given_up = work.give_up(force, "given up by --abort", PATIENCE_BY_HAND);
    match given_up.await? {
        GivenUp::Promoted | GivenUp::Over(Step::Done) => {
            let what = format!("nothing was done: {new} is the provider already");
            Err(Failure::message(Exit::Failed, what).with_hint(format!(
                "trunkline switchover {0} --resume goes on; the way back is trunkline switchover {0} --to {old}",
                work.plan.queue
            )))
        }
        GivenUp::Undone(state) => {
            work.report(Step::Aborted)?;
            work.say(&format!(
                "the operation to {new} is given up: {old} {state}"
            ))
        }
        GivenUp::Over(step) => work.say(&format!(
            "the operation to {new} is {} already",
            step.as_str()
        )),
    }
}
