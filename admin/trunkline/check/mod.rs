//! `trunkline check`: health checks for monitoring. `finding` has the words, `queues` and `replication` judge what
//! status tells, `archive` what replay finds in files, `versions` judges what is installed, `print` formats the
//! findings. Reads only.

mod archive;
mod finding;
mod members;
mod print;
mod queues;
mod range;
mod replication;
mod roles;
mod versions;

use std::time::Duration;

use admin::config::{AnyConfig, ReplayConfig};
use admin::exit::{Failure, one_line};
use admin::output;
use admin::status::{self, Asking, Promotable};
use clap::ValueEnum as _;
use futures::future::{join, join_all};

pub(crate) use self::finding::Level;
use self::finding::{Check, Finding, Limits};
use self::range::Range;
use crate::places::{self, Located, PlaceArgs};

/// What is checked, against which limits, and how it is told.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// What to check; all of it if none is named
    #[arg(value_enum)]
    checks: Vec<Check>,
    /// A warning above this: seconds, or bytes for size; of one check. Or a range as of Nagios' plugins: START:END (a
    /// warning outside of it), START:, ~:END, and @ before it for a warning inside
    #[arg(
        long,
        visible_alias = "warning",
        value_name = "RANGE",
        allow_hyphen_values = true
    )]
    warn: Option<Range>,
    /// Critical above this, or outside of this range
    #[arg(
        long,
        visible_alias = "critical",
        value_name = "RANGE",
        allow_hyphen_values = true
    )]
    crit: Option<Range>,
    /// Ask no longer than this, all databases together; what has not answered by then is told so
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = patience)]
    timeout: Duration,
    /// How to tell it
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
    #[command(flatten)]
    place: PlaceArgs,
}

/// How findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// As Nagios reads it: a line with numbers, then a line a finding
    Text,
    /// {"status": ..., "checks": [...]}
    Json,
    /// Gauges for Prometheus' textfile collector
    Prometheus,
}

fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.1..=3600.0).contains(seconds));
    let wrong = || "a number of seconds from 0.1 to 3600".to_owned();
    seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
}

impl CheckArgs {
    /// The checks in order, each once, and the limits.
    fn plan(&self) -> Result<(Vec<Check>, Limits), Failure> {
        let limits = Limits {
            warn: self.warn,
            crit: self.crit,
        };
        let wrong = |text: &str| Err(Failure::message(admin::exit::Exit::Usage, text));
        if limits != Limits::default() {
            match self.checks.as_slice() {
                [one] if one.measured().is_some() => {}
                [one] => return wrong(&format!("check {} has no limits", one.word())),
                _ => return wrong("--warn and --crit are for one check: name it"),
            }
        }
        let plain = |limit: Option<Range>| limit.and_then(Range::plain);
        if let (Some(warn), Some(crit)) = (plain(self.warn), plain(self.crit))
            && warn > crit
        {
            return wrong("--warn is above --crit");
        }
        let mut checks = if self.checks.is_empty() {
            // It reads what may lie far away, and more than a look each minute should.
            let all = Check::value_variants().iter();
            all.filter(|check| **check != Check::Archive)
                .copied()
                .collect()
        } else {
            self.checks.clone()
        };
        checks.sort_unstable();
        checks.dedup();
        Ok((checks, limits))
    }
}

/// Runs the checks, prints the findings, and gives the exit code. What is wrong with a config file is a finding among
/// the others. Errors: the arguments, or standard output.
pub(crate) async fn run(
    args: &CheckArgs,
    configs: &[AnyConfig],
    wrong: &[Failure],
) -> Result<u8, Failure> {
    let (checks, limits) = args.plan()?;
    let asking = asking(args.timeout, limits);
    let replays = configs.iter().filter_map(|config| match config {
        AnyConfig::Replay(replay) => {
            Some(of_replay(&checks, (replay, args.timeout), limits, &asking))
        }
        AnyConfig::Ticker(_) => None,
    });
    let queues = of_queues(&checks, configs, &args.place, limits, &asking);
    let (mut findings, replays) = join(queues, join_all(replays)).await;
    findings.extend(replays.into_iter().flatten());
    let bad = |failure: &Failure| Some(unknown(*checks.first()?, "config", &failure.error));
    findings.extend(wrong.iter().filter_map(bad));
    match args.output {
        Form::Text => output::print(&print::text(&findings))?,
        Form::Json => output::print_json(&print::json(&findings))?,
        Form::Prometheus => output::print(&print::prometheus(&findings)?)?,
    }
    Ok(finding::worst(&findings).code())
}

/// The line of a check that could not be made at all.
pub(crate) fn not_done(failure: &Failure) -> String {
    let text = one_line(failure.error.as_ref());
    format!("TRUNKLINE UNKNOWN - {}\n", print::plain(&text))
}

/// Questions within a time limit; answers are judged by the operator's limits of lag if he gave them.
fn asking(timeout: Duration, limits: Limits) -> Asking {
    let mut asking = Asking::within(timeout);
    if limits != Limits::default() {
        let never = f64::INFINITY;
        // A range that is no plain limit is judged where the number is told.
        let plain = |limit: Option<Range>| limit.and_then(Range::plain).unwrap_or(never);
        asking.limits = (plain(limits.warn), plain(limits.crit));
    }
    asking
}

/// The findings about queues. A database that cannot be asked is one finding, however many checks are asked for. It is
/// no finding here if `replication` reports the same database.
async fn of_queues(
    checks: &[Check],
    configs: &[AnyConfig],
    place: &PlaceArgs,
    limits: Limits,
    asking: &Asking,
) -> Vec<Finding> {
    let of_queues = checks.iter().filter(|check| !is_of_replay(**check));
    let Some(first) = of_queues.clone().next() else {
        return Vec::new();
    };
    let told = checks.contains(&Check::Replication);
    let (places, missed) = places::within(configs, place, asking).await;
    let missed = missed.iter().filter(|missed| !(told && missed.of_replay));
    let mut findings: Vec<Finding> = missed
        .map(|missed| unknown(*first, "database", &missed.failure.error))
        .collect();
    let found = join_all(
        places
            .iter()
            .map(|place| of_place(checks, place, limits, asking)),
    )
    .await;
    findings.extend(found.into_iter().flatten());
    findings
}

/// Whether a check is of a replay's subscribers, and not of a database with queues.
fn is_of_replay(check: Check) -> bool {
    matches!(
        check,
        Check::Replication | Check::Promotable | Check::Archive
    )
}

/// The findings about a replay and its subscribers.
async fn of_replay(
    checks: &[Check],
    (replay, patience): (&ReplayConfig, Duration),
    limits: Limits,
    asking: &Asking,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if checks.contains(&Check::Archive) {
        findings.extend(archive::findings(replay, patience).await);
    }
    let told = checks.contains(&Check::Replication);
    let of_promotion = checks.contains(&Check::Promotable) && replay.subscribers.len() == 1;
    if told || of_promotion {
        let status = status::of_replay(replay, asking).await;
        if told {
            findings.extend(replication::findings(&status, limits));
        }
        if of_promotion {
            let asked = Promotable::ask(replay, asking).await;
            // A database that does not answer is told once.
            if asked.is_ok() || !told {
                findings.extend(members::promotable(&status, &asked));
            }
        }
    }
    if checks.contains(&Check::Versions) {
        findings.extend(versions::of_subscribers(replay, asking, told).await);
    }
    findings
}

async fn of_place(
    checks: &[Check],
    place: &Located,
    limits: Limits,
    asking: &Asking,
) -> Vec<Finding> {
    let queues = match asking.ask(status::queues(&place.session)).await {
        Ok(queues) => queues,
        Err(unasked) => {
            let error = anyhow::anyhow!(unasked.error);
            let first = checks.iter().find(|check| !is_of_replay(**check));
            let missed = first.map(|check| unknown(*check, &place.name, &error));
            return missed.into_iter().collect();
        }
    };
    let mut found = Vec::new();
    for &check in checks {
        match check {
            Check::Replication | Check::Promotable | Check::Archive => {}
            Check::Versions => {
                found.extend(versions::of(&place.session, &place.name, asking).await);
            }
            Check::Ticker
            | Check::Consumers
            | Check::Rotation
            | Check::Size
            | Check::Holders
            | Check::Capture
            | Check::Role
            | Check::Fence
            | Check::Operation
            | Check::Lost
            | Check::Members => {
                found.extend(queues::findings(check, &place.name, &queues, limits));
            }
        }
    }
    found
}

fn unknown(check: Check, of: &str, error: &anyhow::Error) -> Finding {
    Finding::new(
        check,
        of.to_owned(),
        Level::Unknown,
        one_line(error.as_ref()),
    )
}
