//! What `replay restore` says at its end.

use admin::exit::{Exit, Failure};

use crate::{command::Job, frames::manifest::Manifest, restore::Restored};

/// Says what a restore has done, and what not.
pub(super) fn tell(
    job: &Job,
    manifest: &Manifest,
    restored: &Restored,
    is_whole: bool,
) -> Result<Exit, Failure> {
    let next = restored
        .next
        .map(|(tick, time)| format!(", the next tick {tick} is of {}", String::from(time)));
    job.say(&format!(
        "restored to tick {}{}: {} rows of base {}, {} rows after it, {} conflicts",
        restored.tick,
        next.unwrap_or_default(),
        restored.loaded,
        manifest.base,
        restored.rows,
        restored.conflicts
    ))?;
    for left in &restored.left {
        eprintln!("not restored: {left}");
    }
    for (table, why) in &restored.unknown.lacking {
        eprintln!("not restored: {table}: {why}");
    }
    for table in &restored.unknown.of_others {
        eprintln!(
            "not restored: {table}: the archive did not keep it when the base was made, and does not now; its changes \
             are there for another subscriber"
        );
    }
    for out in &restored.left_out {
        eprintln!("not made: {out}");
    }
    for view in &restored.not_filled {
        eprintln!("not filled: materialized view {view}: refresh it");
    }
    for sequence in &restored.no_sequence {
        eprintln!("not set: sequence {sequence} is not there");
    }
    if is_whole {
        for out in &manifest.left_out {
            eprintln!("not in the archive: {}: {}", out.what, out.why);
        }
    }
    if let Some(one) = &restored.subscribed {
        job.say(&format!(
            "{} is a subscriber from tick {} on",
            one.name, restored.tick
        ))?;
        for left in &one.not_followed {
            eprintln!("not followed: {left}");
        }
    }
    let conflicts: u64 = manifest.tables.iter().map(|table| table.conflicts).sum();
    if restored.conflicts > 0 {
        eprintln!(
            "{} changes met another row than they said: these tables are not the provider's",
            restored.conflicts
        );
    }
    if conflicts > 0 {
        eprintln!("where the base was read {conflicts} changes had met another row than they said");
    }
    let is_good = restored.conflicts == 0
        && conflicts == 0
        && restored.left.is_empty()
        && restored.unknown.lacking.is_empty()
        && restored
            .subscribed
            .as_ref()
            .is_none_or(|one| one.not_followed.is_empty());
    Ok(match is_good {
        true => Exit::Done,
        false => Exit::Part,
    })
}
