//! `replay archive expire` and `keep`.

use admin::{
    config::{ArchiveConfig, RetentionPolicy},
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;

use super::{
    opened::{Opened, open},
    show,
};
use crate::{
    archive::{
        bases::Bases,
        expire::{self, NotNow, Plan},
        keep,
        retention::Keep,
        turn::Turn,
    },
    command::Job,
};

/// The arguments of `archive expire`.
#[derive(Debug, clap::Args)]
pub(super) struct ExpireArgs {
    /// Print what would go, and leave it
    #[arg(long)]
    dry_run: bool,
}

/// The arguments of `archive keep`.
#[derive(Debug, clap::Args)]
pub(super) struct KeepArgs {
    /// The base's name, as archive list has it
    #[arg(value_name = "BASE")]
    base: String,
    /// The base alone, without what follows it
    #[arg(long)]
    standalone: bool,
    /// Let it go when the policy does
    #[arg(long, conflicts_with = "standalone")]
    release: bool,
}

/// Removes what the policy does not keep.
pub(super) fn run(job: &Job, one: &ArchiveConfig, args: &ExpireArgs) -> Result<Exit, Failure> {
    let opened = open(job, one)?;
    if one.retention == RetentionPolicy::Everything {
        job.say("retention is not set: everything is kept")?;
        return Ok(Exit::Done);
    }
    let turn = take(&opened)?;
    let (policy, minimum) = (one.retention, one.minimum_redundancy);
    let plan = expire::plan(&opened.store, &opened.identity, policy, minimum).map_err(not_now)?;
    output::print(&listed(&plan))?;
    if args.dry_run || plan.is_empty() {
        return Ok(Exit::Done);
    }
    if let Err(error) = expire::carry_out(&opened.store, &turn, &plan) {
        let error = anyhow::Error::new(error).context("not all of it could be removed");
        return Err(Failure::new(Exit::Part, error).with_hint("the next run removes the rest"));
    }
    Ok(Exit::Done)
}

/// A line for each object that goes.
fn listed(plan: &Plan) -> String {
    let mut text = String::new();
    for (base, bytes) in &plan.bases {
        text.push_str(&format!("bases/{base} {bytes}\n"));
    }
    for (segment, bytes) in &plan.segments {
        text.push_str(&format!("{} {bytes}\n", segment.path()));
    }
    text
}

/// The right to remove, or to pin.
fn take(opened: &Opened) -> Result<Turn, Failure> {
    let taken = Turn::take(&opened.store).map_err(NotNow::Io);
    let taken = taken.and_then(|taken| taken.ok_or(NotNow::UnderWay));
    taken.map_err(not_now)
}

fn not_now(why: NotNow) -> Failure {
    let exit = match why {
        NotNow::UnderWay => Exit::Running,
        NotNow::Io(_) | NotNow::Damaged(_) => Exit::Failed,
    };
    Failure::new(exit, anyhow::Error::new(why))
}

/// Pins a base, or lets it go.
pub(super) fn keep(job: &Job, one: &ArchiveConfig, args: &KeepArgs) -> Result<Exit, Failure> {
    let opened = open(job, one)?;
    let turn = take(&opened)?;
    let bases = Bases::read(&opened.store, &opened.identity.archive)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    let manifest = show::find(one, &bases, &args.base)?;
    let wanted = match (args.release, args.standalone) {
        (true, _) => None,
        (false, true) => Some(Keep::Standalone),
        (false, false) => Some(Keep::Full),
    };
    keep::set(&opened.store, &turn, &manifest.base, wanted)
        .with_context(|| format!("base {} cannot be pinned", manifest.base))?;
    job.say(&match wanted {
        None => format!("base {} goes when the policy does not need it", args.base),
        Some(Keep::Standalone) => format!("base {} is kept, alone", args.base),
        Some(Keep::Full) => format!("base {} is kept, with all that follows it", args.base),
    })?;
    Ok(Exit::Done)
}
