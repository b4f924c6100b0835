//! The check `archive`: what `replay archive check` finds out about each archive of a replay. It is a program beside
//! this one, which knows the files.

use std::process::Stdio;
use std::time::Duration;

use admin::config::{ArchiveConfig, ReplayConfig};
use admin::programs;
use futures::future::join_all;
use serde::Deserialize;

use super::finding::{Check, Finding, Level, Unit};

/// The checks that are a warning: nobody can mend a hole any more, and what is there can be restored without the bases
/// that are wanted. Where there is none at all, the check is `base`.
const LESS: [&str; 3] = ["bases", "border", "holes"];

/// What `replay archive check --json` prints.
#[derive(Debug, Default, Deserialize)]
struct Said {
    checks: Vec<Answer>,
    end_age_seconds: Option<f64>,
    base_age_seconds: Option<f64>,
    verified_age_seconds: Option<f64>,
    window_seconds: Option<f64>,
    holes: Option<f64>,
    bytes: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    check: String,
    ok: bool,
    message: String,
}

/// One finding for each archive.
pub(crate) async fn findings(replay: &ReplayConfig, patience: Duration) -> Vec<Finding> {
    let archives = replay.archives.iter();
    join_all(archives.map(|one| of(replay, one, patience))).await
}

async fn of(replay: &ReplayConfig, one: &ArchiveConfig, patience: Duration) -> Finding {
    let of = one.consumer.clone();
    match tokio::time::timeout(patience, ask(replay, one)).await {
        Ok(Ok(said)) => finding(of, &said),
        Ok(Err(why)) => Finding::new(Check::Archive, of, Level::Unknown, why),
        Err(_) => {
            let why = format!(
                "replay archive check has not answered within {} s: give it longer, --timeout",
                patience.as_secs_f64()
            );
            Finding::new(Check::Archive, of, Level::Unknown, why)
        }
    }
}

/// Runs the program; it is killed when this is dropped.
async fn ask(replay: &ReplayConfig, one: &ArchiveConfig) -> Result<Said, String> {
    let program = programs::beside("replay");
    let mut command = tokio::process::Command::new(&program);
    command
        .arg("-c")
        .arg(&replay.daemon.config_file)
        .args(["archive", "check", "--json", "--subscriber", &one.name])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = command.output().await;
    let ended = ended.map_err(|error| format!("could not run {}: {error}", program.display()))?;
    serde_json::from_slice(&ended.stdout).map_err(|_| {
        let text = String::from_utf8_lossy(&ended.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| ended.status.to_string(), str::to_owned)
    })
}

/// What is not as it should be, the worst level of it, and all numbers. Pure.
fn finding(of: String, said: &Said) -> Finding {
    let bad: Vec<&Answer> = said.checks.iter().filter(|answer| !answer.ok).collect();
    let is_critical = |answer: &&Answer| !LESS.contains(&answer.check.as_str());
    let level = match (bad.is_empty(), bad.iter().any(is_critical)) {
        (true, _) => Level::Ok,
        (false, false) => Level::Warning,
        (false, true) => Level::Critical,
    };
    let told: Vec<&Answer> = match bad.is_empty() {
        true => {
            let told =
                |answer: &&Answer| ["end", "bases", "verified"].contains(&answer.check.as_str());
            said.checks.iter().filter(told).collect()
        }
        false => bad,
    };
    let told: Vec<String> = told
        .iter()
        .map(|answer| format!("{}: {}", answer.check, answer.message))
        .collect();
    let mut finding = Finding::new(Check::Archive, of, level, told.join("; "));
    for (name, value, unit) in [
        ("archive_end_age", said.end_age_seconds, Unit::Seconds),
        ("archive_base_age", said.base_age_seconds, Unit::Seconds),
        (
            "archive_verified_age",
            said.verified_age_seconds,
            Unit::Seconds,
        ),
        ("archive_window", said.window_seconds, Unit::Seconds),
        ("archive_holes", said.holes, Unit::Count),
        ("archive", said.bytes, Unit::Bytes),
    ] {
        if let Some(value) = value {
            finding = finding.count(name, value, unit);
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_answers(answers: &[(&str, bool)]) -> Finding {
        let checks = answers.iter().map(|(check, ok)| Answer {
            check: (*check).into(),
            ok: *ok,
            message: format!("word of {check}"),
        });
        let said = Said {
            checks: checks.collect(),
            holes: Some(0.0),
            window_seconds: Some(60.0),
            ..Said::default()
        };
        finding("j/backup".into(), &said)
    }

    #[test]
    fn an_archive_is_as_bad_as_what_is_wrong_with_it_and_that_is_told() {
        let fine = of_answers(&[("chain", true), ("end", true)]);
        assert_eq!(
            (fine.status, fine.message.as_str()),
            (Level::Ok, "end: word of end")
        );
        let names: Vec<&str> = fine.numbers.iter().map(|number| number.name).collect();
        assert_eq!(names, ["archive_window", "archive_holes"]);
        let few = of_answers(&[("chain", true), ("bases", false)]);
        assert_eq!(
            (few.status, few.message.as_str()),
            (Level::Warning, "bases: word of bases")
        );
        assert_eq!(of_answers(&[("base", false)]).status, Level::Critical);
        let bad = of_answers(&[("chain", false), ("bases", false), ("end", true)]);
        assert_eq!(bad.status, Level::Critical);
        assert_eq!(bad.message, "chain: word of chain; bases: word of bases");
    }
}
