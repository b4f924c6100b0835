//! `replay resync`: has tables copied again. The command only sets their state; the daemon copies.

use admin::exit::{Exit, Failure};
use sql::{
    provider,
    subscriber::table_state::{self, Existing},
};

use super::{
    Job,
    subscriber::{self, Opened},
    wait,
};
use crate::join::choose::{Choice, TablePattern, Unmatched};

/// The arguments of `resync`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResyncArgs {
    /// Tables, as schema.table; * and ? match in unquoted names
    #[arg(
        value_name = "TABLE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    tables: Vec<TablePattern>,
    /// All tables of the job
    #[arg(long)]
    all: bool,
    /// Readers see the old rows until the new ones are in; else the table is emptied first
    #[arg(long)]
    swap: bool,
    /// On one subscriber only
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
    /// Wait until the tables are ok, at most so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "")]
    wait: Option<String>,
}

/// Runs the command. Safe to repeat: a running copy begins anew.
pub(crate) async fn run(job: &Job, args: &ResyncArgs) -> Result<Exit, Failure> {
    let patience = wait::limit(args.wait.as_deref())?;
    let provider = job.provider().await?;
    let choice = Choice {
        all: args.all,
        wanted: &args.tables,
        ..Choice::default()
    };
    let existing = if args.swap {
        Existing::Swap
    } else {
        Existing::Truncate
    };
    let (mut done, mut unknown, mut unmatched) = (Vec::new(), 0, Unmatched::default());
    for one in job.subscribers(args.subscriber.as_deref())? {
        let opened = Opened::of(job, one).await?;
        job.is_followed(&provider, one, &opened.session).await?;
        let chosen = opened.chosen(&choice).await?;
        unknown += chosen.tell_unknown("not copied again", "is not replicated");
        for row in chosen.named.iter().chain(&chosen.matched) {
            let table = &row.table;
            table_state::resync(&*opened.session, &one.consumer, table, existing).await?;
            done.push(table.clone());
            job.say(&format!("{table} is copied again"))?;
        }
        unmatched.also(chosen.unmatched);
    }
    provider::hint_tables(&*provider, job.queue()).await?;
    let exit = unmatched.tell("not copied again", subscriber::exit(unknown, done.len()));
    if exit != Exit::Done {
        return Ok(exit);
    }
    wait::if_asked(job, args.subscriber.as_deref(), &done, patience).await
}
