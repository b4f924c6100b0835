//! `trunkline check`: health checks for monitoring. `finding` has the words, `queues` and `replication` judge what
//! status tells, `versions` what is installed, `print` writes it down. Reads only.

mod finding;
mod print;
mod queues;
mod replication;
mod versions;

use admin::config::AnyConfig;
use admin::exit::{Failure, one_line};
use admin::output;
use admin::status;
use clap::ValueEnum as _;

use self::finding::{Check, Finding, Level, Limits};
use crate::places::{self, Place, PlaceArgs};

/// What is checked, against which limits, and how it is told.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// What to check; all of it if none is named
    #[arg(value_enum)]
    checks: Vec<Check>,
    /// A warning above this: seconds, or bytes for size; of one check
    #[arg(long, value_name = "N", value_parser = limit)]
    warn: Option<f64>,
    /// Critical above this
    #[arg(long, value_name = "N", value_parser = limit)]
    crit: Option<f64>,
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

fn limit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("a limit is a number, 0 or more".to_owned()),
    }
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
        if let (Some(warn), Some(crit)) = (self.warn, self.crit)
            && warn > crit
        {
            return wrong("--warn is above --crit");
        }
        let mut checks = if self.checks.is_empty() {
            Check::value_variants().to_vec()
        } else {
            self.checks.clone()
        };
        checks.sort_unstable();
        checks.dedup();
        Ok((checks, limits))
    }
}

/// Checks, tells, and gives the exit code. Errors: the arguments, or standard output.
pub(crate) async fn run(args: &CheckArgs, configs: &[AnyConfig]) -> Result<u8, Failure> {
    let (checks, limits) = args.plan()?;
    let mut findings = Vec::new();
    if checks.iter().any(|check| *check != Check::Replication) {
        let (places, failures) = places::all(configs, &args.place).await;
        for failure in failures {
            let asked = checks.iter().filter(|check| **check != Check::Replication);
            findings.extend(asked.map(|check| unknown(*check, "database", &failure.error)));
        }
        for place in &places {
            findings.extend(of_place(&checks, place, limits).await);
        }
    }
    for config in configs {
        let AnyConfig::Replay(replay) = config else {
            continue;
        };
        if checks.contains(&Check::Replication) {
            let status = status::of_replay(replay).await;
            findings.extend(replication::findings(&status, limits));
        }
        if checks.contains(&Check::Versions) {
            findings.extend(versions::of_subscribers(replay).await);
        }
    }
    match args.output {
        Form::Text => output::print(&print::text(&findings))?,
        Form::Json => output::print_json(&print::json(&findings))?,
        Form::Prometheus => output::print(&print::prometheus(&findings)?)?,
    }
    Ok(finding::worst(&findings).code())
}

/// The line for a check that could not be done at all.
pub(crate) fn not_done(failure: &Failure) -> String {
    let text = one_line(failure.error.as_ref());
    format!("TRUNKLINE UNKNOWN - {}\n", print::plain(&text))
}

async fn of_place(checks: &[Check], place: &Place, limits: Limits) -> Vec<Finding> {
    let queues = status::queues(&place.session).await;
    let mut found = Vec::new();
    for &check in checks {
        match (check, &queues) {
            (Check::Replication, _) => {}
            (Check::Versions, _) => found.extend(versions::of(&place.session, &place.name).await),
            (_, Err(error)) => found.push(unknown(check, &place.name, error)),
            (_, Ok(queues)) => found.extend(queues::findings(check, &place.name, queues, limits)),
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
