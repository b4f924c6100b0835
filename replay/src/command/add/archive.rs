//! One table for an archive: capture on the provider, and nothing else. The list of an archive's tables is the
//! provider's list of what is captured for its consumer.

use admin::{
    config::ArchiveConfig,
    exit::{self, Exit, Failure},
};
use sql::{connect::Session, provider::Candidate};

use super::{args::AddArgs, side::Tally, table};
use crate::command::Job;

/// Refuses options that an archive cannot follow where they are meant for archives alone: it keeps whole tables, and
/// has no rows of its own.
pub(super) fn check(args: &AddArgs, archives: &[&ArchiveConfig]) -> Result<(), Failure> {
    let Some(one) = archives.first() else {
        return Ok(());
    };
    match args.of_databases() {
        None => Ok(()),
        Some(option) => Err(Failure::message(
            Exit::Usage,
            format!(
                "{option} is for databases, and {} is an archive, which keeps whole tables",
                one.name
            ),
        )),
    }
}

/// Adds a table to an archive, or says why it cannot be added.
pub(super) async fn to(
    job: &Job,
    args: &AddArgs,
    provider: &Session,
    one: &ArchiveConfig,
    candidate: &Candidate,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let table = &candidate.table;
    if args.dry_run {
        return job.say(&format!("{table} would be added into {}", one.name));
    }
    let identity = args.wanted_identity();
    match table::capture(job, provider, &one.consumer, table, &identity).await {
        Err(error) => {
            tally.refuse(table, &exit::one_line(error.as_ref()));
            Ok(())
        }
        Ok(None) => {
            tally.busy(table);
            Ok(())
        }
        Ok(Some(added)) => {
            tally.tables.push(table.clone());
            tally.added += usize::from(added);
            match (added, args.all) {
                (true, _) => job.say(&format!("{table} added into {}", one.name)),
                (false, true) => Ok(()),
                (false, false) => job.say(&format!("{table} is there into {}", one.name)),
            }
        }
    }
}
