//! `replay restore-ddl`: brings back by hand the indexes and constraints that copies took away. The daemon does so by
//! itself; the command is for a daemon that does not run, or for objects that the daemon could not bring back.

use admin::exit::{self, Exit, Failure};
use anyhow::Context as _;
use sql::subscriber::kept_ddl;

use super::{
    Job, label,
    subscriber::{self, Opened},
};
use crate::copy::restore;
use crate::join::choose::{Choice, TablePattern, Unmatched};

/// The arguments of `restore-ddl`.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Tables, as schema.table; * and ? match in unquoted names. All, if none is named
    #[arg(value_name = "TABLE")]
    tables: Vec<TablePattern>,
}

/// Runs the command on all subscribers. Safe to repeat, also beside a running daemon.
pub(crate) async fn run(job: &Job, args: &RestoreArgs) -> Result<Exit, Failure> {
    let choice = Choice {
        all: args.tables.is_empty(),
        wanted: &args.tables,
        ..Choice::default()
    };
    let (mut back, mut failed, mut unmatched) = (0, 0, Unmatched::default());
    for one in job.subscribers(None)? {
        let opened = Opened::of(job, one).await?;
        let kept = kept_ddl::list(&*opened.session, &one.consumer)
            .await
            .with_context(|| format!("could not read what copies took away on {}", label(one)))?;
        let chosen = choice.of(kept, |one| &one.table);
        unmatched.also(chosen.unmatched);
        let wanted: Vec<_> = chosen.named.into_iter().chain(chosen.matched).collect();
        for (object, result) in
            restore::by_hand(&opened.session, job.config.session_role, wanted, true).await
        {
            match result {
                Ok(()) => {
                    back += 1;
                    job.say(&format!("{object} is back"))?;
                }
                Err(trouble) => {
                    failed += 1;
                    eprintln!("not brought back: {object}: {}", exit::one_line(&trouble));
                }
            }
        }
    }
    if back + failed == 0 {
        job.say("nothing was taken away")?;
    }
    Ok(unmatched.tell("not brought back", subscriber::exit(failed, back)))
}
