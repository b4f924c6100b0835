//! A switchover from its first question to its end: a new one, one that goes on, or one that is given up.

use std::time::{Duration, Instant};

use admin::cli::{self, CommonArgs};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use sql::connect::ApplicationName;
use sql::operation::{Kind, Plan, Step};
use sql::queue::lineage::NodeId;
use sql::role::Role;

use super::args::SwitchoverArgs;
use super::plan::{Casting, Course, Wish, cast, course, refusals};
use super::prepare;
use super::unwind::GivenUp;
use crate::failover;
use crate::topology::facts::{HostFacts, NodeFacts, running};
use crate::topology::hosts::{self, Host};
use crate::topology::work::{Options, Stop, Work};

/// How long nodes that do not answer are asked again before a step that failed is not taken back.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for a person, who can repeat the command.
const PATIENCE_BY_HAND: Duration = Duration::from_secs(5);

/// How much longer a fence, a promotion, or what takes them back may take for each table and partition.
const WORK_OF_ONE: Duration = Duration::from_millis(5);

/// The same for an operation that goes on, whose tables nobody has counted.
const WORK_OF_ALL: Duration = Duration::from_secs(60);

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
    let replay = hosts::config_of(configs, &args.queue)?;
    let (name, mut hosts) = hosts::of_config(replay)?;
    let beside = Beside { args, common, name };
    let said = hosts::facts_of(&mut hosts, &args.queue).await;
    if args.resume || args.abort {
        let operation = running(&said, Kind::Switchover, &args.queue, args.to.as_deref())?;
        let plan = Plan {
            queue: args.queue.clone(),
            id: operation.id,
            kind: operation.kind,
            old: operation.old.clone(),
            new: operation.new.clone(),
            was_fenced: operation.was_fenced,
        };
        let work = work(beside, hosts, &said, plan, WORK_OF_ALL);
        return if args.resume {
            resume(work, args).await
        } else {
            abort(work).await
        };
    }
    if args.or_failover && !failover::has_provider(&said) {
        let instead = args.failover();
        return failover::run(&instead, configs, common).await;
    }
    let Some(to) = args.to.as_deref() else {
        return Err(Failure::message(
            Exit::Usage,
            "--to names the node that becomes the provider",
        ));
    };
    let cast = match cast(&said, to) {
        Casting::Cast(cast) => cast,
        Casting::IsProvider => {
            let done = format!("{to} is the provider of queue {} already", args.queue);
            cli::say(common, &done)?;
            return Ok(Exit::Done);
        }
        Casting::Busy(busy) => return Err(busy.failure(&args.queue)),
        Casting::Refused(refused) => return prepare::tell(args, &refused, None),
    };
    let (ready, id) = prepare::ask(&mut hosts, &cast, &args.queue).await?;
    let refused = refusals(&ready, args.max_lag);
    if !refused.is_empty() || args.dry_run {
        return prepare::tell(args, &refused, Some(&ready));
    }
    let relations = ready.old_size.relations.max(ready.new_size.relations);
    let plan = Plan {
        queue: args.queue.clone(),
        id,
        kind: Kind::Switchover,
        old: cast.old,
        new: cast.new,
        was_fenced: cast.was_fenced,
    };
    let more = WORK_OF_ONE * relations.unsigned_abs();
    let work = work(beside, hosts, &said, plan, more);
    from_the_beginning(work, args).await
}

/// What a switchover has beside its nodes.
struct Beside<'a> {
    args: &'a SwitchoverArgs,
    common: &'a CommonArgs,
    name: ApplicationName,
}

/// The switchover, with each node's host. A node that does not answer is one of the hosts that do not.
fn work<'a>(
    beside: Beside<'a>,
    hosts: Vec<Host>,
    said: &[HostFacts],
    plan: Plan,
    more: Duration,
) -> Work<'a> {
    let Beside { args, common, name } = beside;
    let is = |facts: &HostFacts, node: NodeId| {
        let said = facts.said.as_ref();
        said.is_ok_and(|NodeFacts { is, .. }| {
            is.node == Some(node) && !is.in_recovery && is.role != Some(Role::Copy)
        })
    };
    let silent: Vec<Host> = hosts
        .iter()
        .zip(said)
        .filter(|(_, facts)| facts.said.is_err())
        .map(|(host, _)| host.again())
        .collect();
    let (mut old, mut new, mut others) = (None, None, Vec::new());
    for (host, facts) in hosts.into_iter().zip(said) {
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
        pause: None,
        followers: Vec::new(),
        beaten_at: Instant::now(),
    }
}

async fn from_the_beginning(mut work: Work<'_>, args: &SwitchoverArgs) -> Result<Exit, Failure> {
    match work.begin().await {
        Ok(()) => from_the_fence(work, args).await,
        Err(stop) => undone(work, stop).await,
    }
}

async fn from_the_fence(mut work: Work<'_>, args: &SwitchoverArgs) -> Result<Exit, Failure> {
    let promoted = async {
        let set = work.fence(args).await?;
        work.catch_up().await?;
        work.promote(Some(&set)).await
    };
    match promoted.await {
        Ok(()) => after_the_promotion(work).await,
        Err(stop) => undone(work, stop).await,
    }
}

async fn after_the_promotion(mut work: Work<'_>) -> Result<Exit, Failure> {
    let is_whole = work.open().await?;
    let force = work.options.force;
    work.follow(is_whole, force).await
}

/// Gives up what could not be done; if it was too late for that, it is done.
async fn undone(mut work: Work<'_>, stop: Stop) -> Result<Exit, Failure> {
    match work.give_up(false, &stop.text, PATIENCE).await {
        Ok(GivenUp::Promoted | GivenUp::Over(Step::Done)) => after_the_promotion(work).await,
        Ok(GivenUp::Undone(state)) => {
            work.report(Step::Aborted)?;
            let state = format!("{} {state}", work.old_name());
            Err(stop.failure(&state))
        }
        Ok(GivenUp::Over(_)) => {
            work.report(Step::Aborted)?;
            Err(stop.failure("nothing has changed"))
        }
        Err(failure) => {
            stop.failure("it is to be given up").print();
            Err(failure)
        }
    }
}

/// Goes on with an operation whose command has died.
async fn resume(mut work: Work<'_>, args: &SwitchoverArgs) -> Result<Exit, Failure> {
    let (old, new) = work.known().await;
    match course(Wish::Resume, old, new) {
        Course::GoOn(Step::Prepare) => from_the_beginning(work, args).await,
        Course::GoOn(Step::Fence) => from_the_fence(work, args).await,
        Course::GoOn(_) => after_the_promotion(work).await,
        Course::GiveUp { .. } => {
            let what = format!("the operation to {} was given up before", work.new_name());
            undone(work, Stop::late(what)).await
        }
        Course::Over(step) => {
            work.say(&format!(
                "the operation to {} is {}",
                work.new_name(),
                step.as_str()
            ))?;
            Ok(Exit::Done)
        }
        Course::NewIsSilent => Err(silent(&work.new_name(), &work)),
        Course::OldIsSilent => Err(silent(&work.old_name(), &work)),
        Course::IsPromoted | Course::Contradiction => Err(work.contradiction()),
    }
}

fn silent(node: &str, work: &Work<'_>) -> Failure {
    let what = format!("nothing was done: {node} does not answer");
    Failure::message(Exit::Failed, what).with_hint(format!(
        "when it answers, run it again; if {} is off for ever: trunkline switchover {} --abort --force",
        work.new_name(),
        work.plan.queue
    ))
}

/// Gives up an operation whose command has died.
async fn abort(mut work: Work<'_>) -> Result<Exit, Failure> {
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
            ))?;
            Ok(Exit::Done)
        }
        GivenUp::Over(step) => {
            work.say(&format!(
                "the operation to {new} is {} already",
                step.as_str()
            ))?;
            Ok(Exit::Done)
        }
    }
}
