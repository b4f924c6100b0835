//! `replay archive verify`: reads every object of an archive.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;

use super::opened::open;
use crate::{
    archive::verify::{self, Depth, Fault},
    command::Job,
};

/// Runs the command: one line for each fault.
pub(super) fn run(job: &Job, one: &ArchiveConfig) -> Result<Exit, Failure> {
    let opened = open(job, one)?;
    let found = verify::archive(&opened.store, &opened.identity, Depth::Bodies)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    for Fault { object, what } in &found.faults {
        eprintln!("{object}: {what}");
    }
    if !found.faults.is_empty() {
        return Ok(Exit::Part);
    }
    let events: u64 = found.lines.iter().map(|line| line.events).sum();
    job.say(&format!(
        "archive {}: {} segments, {events} events, {} bases, all as they were written",
        one.name,
        found.lines.len(),
        found.bases.made().count()
    ))?;
    Ok(Exit::Done)
}
