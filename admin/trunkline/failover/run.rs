//! A failover from its first question to its end: a new one, or one that goes on.

use admin::cli::{self, CommonArgs};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use sql::operation::{Kind, Plan};

use super::args::FailoverArgs;
use super::ask::{self, Follower};
use super::plan::{Dead, Finding, Standing, dead, elect, loss, silent_standbys};
use super::setup::Setup;
use super::{left, off, steps, tell};
use crate::topology::facts::HostFacts;
use crate::topology::hosts::{self, Host};
use crate::topology::refusal::Refusal;
use crate::topology::run_hook;

/// Runs `trunkline failover`.
///
/// Errors: [`Exit::Failed`] refused, nothing has changed; [`Exit::Running`] another operation runs; [`Exit::Part`] it
/// is not known whether the node was promoted.
pub(crate) async fn run(
    args: &FailoverArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    if args.force && !args.resume && !args.abort {
        let what = "--force is for --resume and for --abort";
        return Err(Failure::message(Exit::Usage, what));
    }
    let config = hosts::config_of(configs, &args.queue)?;
    let (name, mut hosts) = hosts::of_config(config)?;
    let setup = Setup {
        args,
        common,
        config,
        name,
    };
    let said = hosts::facts_of(&mut hosts, &args.queue).await;
    if args.abort {
        left::abort(&setup, hosts, &said).await
    } else if args.resume {
        left::resume(&setup, hosts, &said).await
    } else {
        begin(&setup, hosts, &said).await
    }
}

async fn begin(setup: &Setup<'_>, hosts: Vec<Host>, said: &[HostFacts]) -> Result<Exit, Failure> {
    let queue = &setup.args.queue;
    let found = match dead(said, setup.args.to.as_deref(), None) {
        Finding::Dead(found) => found,
        Finding::IsProvider(to) => {
            let done = format!("{to} is the provider of queue {queue} already");
            cli::say(setup.common, &done)?;
            return Ok(Exit::Done);
        }
        Finding::Busy(busy) => return Err(busy.failure(queue)),
        Finding::Refused(refused) => return tell::refused(setup, None, &refused).await,
    };
    let mut all: Vec<Host> = hosts.iter().map(Host::again).collect();
    let (mut followers, _) = ask::followers(hosts, said, queue, found.part.node).await?;
    let (winner, mut refused) = choose(setup, &found, &followers, said);
    if setup.config.failover.fence.is_none() && !setup.args.loss.fenced {
        let advice = "switch it off, and say --fenced; or fence_command in replay.toml does so";
        refused.push(Refusal::new(off::nobody_says(&found)).advised(advice));
    }
    let standings: Vec<Standing> = followers.iter().map(|one| one.standing.clone()).collect();
    let lost = winner
        .as_ref()
        .and_then(|winner| loss(&found, &standings, winner));
    if let Some(lost) = &lost {
        refused.extend(tell::too_much(setup, &found, lost));
    }
    if !refused.is_empty() {
        return tell::refused(setup, lost.as_ref(), &refused).await;
    }
    let (Some(winner), Some(lost)) = (winner, lost) else {
        return Err(Failure::message(Exit::Failed, "nobody was elected"));
    };
    tell::plan(setup, &found, &winner, &followers, &lost)?;
    if setup.args.dry_run {
        return Ok(Exit::Done);
    }
    if !tell::agreed(setup)? {
        eprintln!("nothing was done");
        return Ok(Exit::Failed);
    }
    let found = off::not_met(&mut all, queue, None).await?;
    let address = ask::address(&followers, &found);
    off::switch_off(setup.config, setup.args.loss.fenced, &found, address).await?;
    let plan = Plan {
        queue: queue.clone(),
        id: ask::new_id(&mut followers).await?,
        kind: Kind::Failover,
        old: found.part.clone(),
        new: winner.part,
        was_fenced: false,
    };
    if let Some(line) = &setup.args.before {
        let ran = run_hook(line, &plan).await;
        ran.map_err(|why| {
            Failure::message(Exit::Failed, format!("nothing was done: --before: {why}"))
        })?;
    }
    steps::from_the_freeze(setup, plan, followers, all).await
}

/// Who takes the provider's place, as far as is known, and what stands in the way.
fn choose(
    setup: &Setup<'_>,
    found: &Dead,
    followers: &[Follower],
    said: &[HostFacts],
) -> (Option<Standing>, Vec<Refusal>) {
    let standings: Vec<Standing> = followers.iter().map(|one| one.standing.clone()).collect();
    let silent = silent_standbys(said, found);
    match elect(found, &standings, &silent, setup.wish()) {
        Ok(number) => (standings.get(number).cloned(), Vec::new()),
        Err(refused) => (None, refused),
    }
}
