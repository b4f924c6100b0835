//! `replay archive check`: whether archive and queue fit together. One line for each check; what is wrong goes to
//! standard error.

use std::time::Duration;

use admin::{
    config::{ArchiveConfig, RetentionPolicy},
    exit::{self, Exit, Failure},
    output,
};
use anyhow::{Context as _, ensure};
use sql::{provider, queue::tick, standing, subscriber::position::Position};

use super::{
    list,
    opened::{open, time},
};
use crate::{
    archive::{
        expire, retention,
        store::Store,
        verify::{self, Depth},
    },
    command::Job,
};

/// How much longer than `segment_every` a change may wait for its segment.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer of one check.
struct Answer {
    what: &'static str,
    /// What was found; an error: why it is not well.
    found: Result<String, String>,
}

/// Runs the command.
pub(super) async fn run(job: &Job, one: &ArchiveConfig) -> Result<Exit, Failure> {
    let mut answers = Vec::new();
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
            let end = verified.lines.last().map(|line| line.to);
            Some(Position::from(end.unwrap_or(opened.identity.begin)))
        }
    };
    let queue = of_queue(job, one, end).await;
    answers.push(Answer {
        what: "queue",
        found: queue.map_err(|error| exit::one_line(error.as_ref())),
    });
    for Answer { what, found } in &answers {
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
    let history = expire::history(verified);
    let on_branch = |at| history.find(at).is_some_and(|at| at.on_branch);
    let mut bases = verified.bases.made();
    let newest = bases.rfind(|base| base.is_complete() && !on_branch(base.at));
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

/// Whether the queue holds what the archive lacks, and how much that is; an error: why not.
async fn of_queue(job: &Job, one: &ArchiveConfig, end: Option<Position>) -> anyhow::Result<String> {
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
    ensure!(
        waits < (one.segment_every + PATIENCE).as_secs_f64(),
        "changes wait for {waits:.0} s to be archived: see replay status"
    );
    let behind = last.newest.id.0 - end.tick.id.0;
    Ok(format!("it holds what follows the archive, {behind} ticks"))
}
