//! `replay archive check`: whether archive and queue fit together. One line for each check; what is wrong goes to
//! standard error.

use std::time::{Duration, SystemTime};

use admin::{
    config::{ArchiveConfig, RetentionPolicy},
    exit::{self, Exit, Failure},
    output,
};
use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::json;
use sql::{provider, queue::tick, standing, subscriber::position::Position};

use super::{
    list,
    opened::{open, time},
};
use crate::{
    archive::{
        expire, proofs, retention,
        store::Store,
        verify::{self, Depth},
    },
    command::Job,
    frames::{manifest::Manifest, place::Time},
};

/// How much longer than `segment_every` a change may wait for its segment.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much longer than twice `verify_every` a verification may take.
const VERIFY_PATIENCE: Duration = Duration::from_secs(60);

/// How much of its history an archive may have without a complete base, where the operator makes the bases.
const WITHOUT_BASE: Duration = Duration::from_secs(86_400);

/// The arguments of `archive check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// As JSON: {"archive", "checks": [{"check", "ok", "message"}], ...} and numbers
    #[arg(long)]
    json: bool,
}

/// What is measured; None: not known.
#[derive(Debug, Default, Serialize)]
struct Numbers {
    /// Age of the oldest change that is not archived.
    end_age_seconds: Option<f64>,
    /// Between the newest complete base and the archive's end, by the time of ticks.
    base_age_seconds: Option<f64>,
    /// Since the archive was verified, and well.
    verified_age_seconds: Option<f64>,
    /// Between the oldest moment from which on everything can be restored, and the archive's end.
    window_seconds: Option<f64>,
    /// Holes.
    holes: Option<usize>,
    /// Bytes of segments and bases.
    bytes: Option<u64>,
}

/// The answer of one check.
struct Answer {
    what: &'static str,
    /// What was found; an error: why it is not well.
    found: Result<String, String>,
}

/// Runs the command.
pub(super) async fn run(job: &Job, one: &ArchiveConfig, args: &CheckArgs) -> Result<Exit, Failure> {
    let mut answers = Vec::new();
    let mut numbers = Numbers::default();
    let end = match open(job, one) {
        Err(failure) => {
            let why = exit::one_line(failure.error.as_ref());
            answers.push(Answer {
                what: "archive",
                found: Err(why),
            });
            None
        }
        Ok(opened) => {
            let verified = verify::archive(&opened.store, &opened.identity, Depth::Lines)
                .with_context(|| format!("archive {} cannot be listed", one.name))?;
            answers.push(Answer {
                what: "archive",
                found: Ok(opened.store.to_string()),
            });
            answers.extend(of_files(&verified));
            answers.extend(of_bases(&opened.store, one, &verified)?);
            answers.extend(of_proofs(&opened.store, one, &verified)?);
            answers.extend(of_none(one, &verified));
            answers.extend(of_age(one, &verified));
            numbers.of_files(&verified);
            numbers.of_proofs(&opened.store);
            let end = verified.lines.last().map(|line| line.to);
            Some(Position::from(end.unwrap_or(opened.identity.begin)))
        }
    };
    let queue = of_queue(job, one, end, &mut numbers).await;
    answers.push(Answer {
        what: "queue",
        found: queue.map_err(|error| exit::one_line(error.as_ref())),
    });
    if args.json {
        print_json(one, &answers, &numbers)?;
    }
    for Answer { what, found } in answers.iter().filter(|_| !args.json) {
        match found {
            Ok(found) => output::print(&format!("{what}: OK, {found}\n"))?,
            Err(why) => eprintln!("{what}: {why}"),
        }
    }
    Ok(match answers.iter().all(|answer| answer.found.is_ok()) {
        true => Exit::Done,
        false => Exit::Part,
    })
}

fn print_json(one: &ArchiveConfig, answers: &[Answer], numbers: &Numbers) -> Result<(), Failure> {
    let checks: Vec<serde_json::Value> = answers
        .iter()
        .map(|Answer { what, found }| {
            let message = found.as_ref().unwrap_or_else(|why| why);
            json!({ "check": what, "ok": found.is_ok(), "message": message })
        })
        .collect();
    let mut all = json!({ "archive": one.name, "checks": checks });
    let numbers = serde_json::to_value(numbers).context("writing the numbers")?;
    if let (Some(all), Some(numbers)) = (all.as_object_mut(), numbers.as_object()) {
        all.extend(numbers.clone());
    }
    output::print_json(&all)
}

impl Numbers {
    fn of_files(&mut self, found: &verify::Verified) {
        let lines = &found.lines;
        self.holes = Some(lines.iter().filter(|line| line.hole.is_some()).count());
        let of_lines: u64 = lines.iter().map(|line| line.body_bytes).sum();
        let of_bases: u64 = found.bases.made().map(Manifest::bytes).sum();
        self.bytes = Some(of_lines + of_bases);
        let Some(end) = lines.iter().rev().find_map(|line| line.to_time) else {
            return;
        };
        let before_end = |time: Time| {
            let age = end.system().duration_since(time.system());
            age.unwrap_or_default().as_secs_f64()
        };
        let history = expire::history(found);
        let is_on_way = |base: &&Manifest| {
            base.is_complete() && !history.find(base.at).is_some_and(|at| at.on_branch)
        };
        let newest = found.bases.made().rfind(is_on_way);
        self.base_age_seconds = newest.map(|base| before_end(base.time));
        // Nothing is restored over a hole.
        let hole = lines.iter().rposition(|line| line.hole.is_some());
        let behind = lines.iter().skip(hole.map_or(0, |hole| hole + 1));
        let begin = behind.filter_map(|line| line.from_time).next();
        let mut bases = found.bases.made();
        let oldest = bases.find(|base| {
            is_on_way(base) && (hole.is_none() || begin.is_some_and(|begin| base.time >= begin))
        });
        self.window_seconds = oldest.map(|base| before_end(base.time));
    }

    fn of_proofs(&mut self, store: &Store) {
        let now = SystemTime::now();
        // What cannot be read is told by the check of the same name.
        let newest = proofs::newest(store, now).ok().flatten();
        let good = newest.filter(|proof| proof.is_good);
        self.verified_age_seconds = good.map(|proof| {
            let age = now.duration_since(proof.time.system());
            age.unwrap_or_default().as_secs_f64()
        });
    }
}

fn of_files(verified: &verify::Verified) -> Vec<Answer> {
    let lines = &verified.lines;
    let faults = verified.faults.iter();
    let mut answers: Vec<Answer> = faults
        .map(|fault| Answer {
            what: "chain",
            found: Err(format!("{}: {}", fault.object, fault.what)),
        })
        .collect();
    if answers.is_empty() {
        answers.push(Answer {
            what: "chain",
            found: Ok(format!("whole, {} segments", lines.len())),
        });
    }
    let newest = newest_living(verified);
    answers.push(Answer {
        what: "bases",
        found: Ok(match newest {
            None => "there is no complete one: nothing can be restored as a whole".into(),
            Some(base) => format!("the newest complete one is of {}", String::from(base.time)),
        }),
    });
    let stretches = list::stretches(lines).len();
    let holes = lines.iter().filter(|line| line.hole.is_some()).count();
    answers.push(Answer {
        what: "holes",
        found: match holes {
            0 => Ok("none".into()),
            holes => Err(format!(
                "{holes}, so it covers {stretches} stretches: see replay archive list"
            )),
        },
    });
    let flawed = lines.iter().filter_map(|line| {
        let flaws = line.hop.as_ref()?.flaws?;
        Some(Answer {
            what: "border",
            found: Err(format!(
                "{flaws} tables lack changes behind {}: see `archive table lacks changes` in the log",
                line.name()
            )),
        })
    });
    answers.extend(flawed);
    let end = lines.last();
    answers.push(Answer {
        what: "end",
        found: Ok(match end {
            None => "nothing is archived yet".into(),
            Some(line) => format!("tick {} of {}", line.to.1.0, time(line.to_time)),
        }),
    });
    answers
}

/// Whether the policy has as many bases as it wants, and what can be restored.
fn of_bases(
    store: &Store,
    one: &ArchiveConfig,
    found: &verify::Verified,
) -> Result<Option<Answer>, Failure> {
    if one.retention == RetentionPolicy::Everything {
        return Ok(None);
    }
    let statuses = expire::statuses(store, one.retention, one.minimum_redundancy, found)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    let kept = statuses.into_iter().flatten();
    let kept = kept
        .filter(|status| retention::holds_frames(*status))
        .count() as u64;
    let wanted = match one.retention {
        RetentionPolicy::Redundancy(count) => u64::from(count).max(one.minimum_redundancy),
        RetentionPolicy::RecoveryWindow { .. } | RetentionPolicy::Everything => {
            one.minimum_redundancy
        }
    };
    let policy = one.retention;
    Ok(Some(Answer {
        what: "bases",
        found: match kept < wanted {
            true => Err(format!(
                "{kept} of {wanted} for {policy}: make one with replay base"
            )),
            false => Ok(format!("{kept} for {policy}")),
        },
    }))
}

/// Whether the archive has verified itself as often as it is to, and how that went.
fn of_proofs(
    store: &Store,
    one: &ArchiveConfig,
    found: &verify::Verified,
) -> Result<Option<Answer>, Failure> {
    let every = one.verify_every;
    if every.is_zero() {
        return Ok(None);
    }
    let now = SystemTime::now();
    let newest = proofs::newest(store, now)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    // Without one the archive itself is as old as what was not verified.
    let begin = found.lines.first().and_then(|line| line.to_time);
    let since = newest.as_ref().map(|one| one.time).or(begin);
    let age = since.and_then(|since| now.duration_since(since.system()).ok());
    let is_late = age.is_some_and(|age| age > every * 2 + VERIFY_PATIENCE);
    let found = match newest {
        Some(proof) if !proof.is_good => Err(format!(
            "it failed at {}: {}",
            String::from(proof.time),
            proof.what
        )),
        Some(proof) if is_late => Err(format!(
            "late: the last time was {}",
            String::from(proof.time)
        )),
        Some(proof) => Ok(format!("at {}: {}", String::from(proof.time), proof.what)),
        None if is_late => Err("late: it never was; see `verify failed` in the log".into()),
        None => Ok("not yet".into()),
    };
    let what = "verified";
    Ok(Some(Answer { what, found }))
}

/// The newest complete base that is on no branch.
fn newest_living(found: &verify::Verified) -> Option<&Manifest> {
    let history = expire::history(found);
    let on_branch = |at| history.find(at).is_some_and(|at| at.on_branch);
    let mut bases = found.bases.made();
    bases.rfind(|base| base.is_complete() && !on_branch(base.at))
}

/// Whether an archive has had time enough for a complete base, and has none.
fn of_none(one: &ArchiveConfig, found: &verify::Verified) -> Option<Answer> {
    if newest_living(found).is_some() {
        return None;
    }
    let begin = found.lines.iter().find_map(|line| line.from_time)?;
    let end = found.lines.iter().rev().find_map(|line| line.to_time)?;
    let age = end.system().duration_since(begin.system()).ok()?;
    without_base(one.base_every, age)
}

/// What is wrong with an archive of this age that has no complete base. Where the daemon is to make them, it is a
/// check of its own, since nothing of the archive can be restored. Pure.
fn without_base(every: Duration, age: Duration) -> Option<Answer> {
    let none = "there is no complete one, so nothing can be restored as a whole";
    let (what, limit, see) = match every.is_zero() {
        true => ("bases", WITHOUT_BASE, "make one with replay base"),
        false => ("base", every * 2 + PATIENCE, "see `base failed` in the log"),
    };
    (age > limit).then(|| Answer {
        what,
        found: Err(format!("{none}: {see}")),
    })
}

/// Whether the newest base is as new as the daemon is to make them, by the time of the ticks.
fn of_age(one: &ArchiveConfig, found: &verify::Verified) -> Option<Answer> {
    let every = one.base_every;
    if every.is_zero() {
        return None;
    }
    let end = found.lines.iter().rev().find_map(|line| line.to_time)?;
    let newest = newest_living(found)?;
    let made = newest.time.max(newest.began);
    let age = end.system().duration_since(made.system()).ok()?;
    (age > every * 2 + PATIENCE).then(|| Answer {
        what: "bases",
        found: Err(format!(
            "late: the newest complete one is of {}; see `base failed` in the log",
            String::from(newest.time)
        )),
    })
}

/// Whether the queue holds what the archive lacks, and how much that is; an error: why not.
async fn of_queue(
    job: &Job,
    one: &ArchiveConfig,
    end: Option<Position>,
    numbers: &mut Numbers,
) -> anyhow::Result<String> {
    let provider = job.provider().await?;
    let name = &one.consumer;
    let held = provider::consumer_position(&*provider, job.queue(), name).await?;
    let held = held.with_context(|| {
        format!("nothing holds the events that the archive lacks: there is no consumer {name}, or it was detached")
    })?;
    let end = end.unwrap_or(held);
    let last = tick::last(&*provider, job.queue(), end.tick.id).await?;
    let last = last.with_context(|| format!("queue {} is gone", job.queue()))?;
    let is_there = last.tag.is_none_or(|tag| tag == end.tick.tag);
    ensure!(
        last.epoch == end.epoch && is_there && last.newest.id >= end.tick.id,
        "the archive's end is not on the history of the queue"
    );
    ensure!(
        held.tick.id <= end.tick.id,
        "it holds what follows tick {}, and the archive ends at tick {}",
        held.tick.id,
        end.tick.id
    );
    let waits = standing::unapplied(&*provider, job.queue(), end.tick.id).await?;
    let waits = waits.seconds.unwrap_or(0.0);
    numbers.end_age_seconds = Some(waits);
    ensure!(
        waits < (one.segment_every + PATIENCE).as_secs_f64(),
        "changes wait for {waits:.0} s to be archived: see replay status"
    );
    let behind = last.newest.id.0 - end.tick.id.0;
    Ok(format!("it holds what follows the archive, {behind} ticks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_never_had_a_base_is_not_well_for_long() {
        let hour = Duration::from_secs(3600);
        let name = |every, age| without_base(every, age).map(|answer| answer.what);
        assert_eq!(name(hour, hour * 2), None);
        assert_eq!(name(hour, hour * 3), Some("base"));
        // Where the operator makes them it is a warning.
        assert_eq!(name(Duration::ZERO, hour * 23), None);
        assert_eq!(name(Duration::ZERO, hour * 25), Some("bases"));
        assert!(without_base(hour, hour * 3).unwrap().found.is_err());
    }
}
