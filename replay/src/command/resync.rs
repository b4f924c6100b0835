//! `replay resync`: tables are copied again. The command only says so; the daemon copies.

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    provider,
    table_state::{self, Existing},
};

use super::{
    Job,
    choose::{Choice, Wanted},
    opened::{self, Opened},
    wait,
};

/// The arguments of `resync`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResyncArgs {
    /// Tables, as schema.table; * and ? match in unquoted names
    #[arg(
        value_name = "TABLE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    tables: Vec<Wanted>,
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

/// Runs the command. Safe to repeat: a copy that runs begins anew.
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
    let (mut done, mut unknown) = (0, 0);
    for one in job.subscribers(args.subscriber.as_deref())? {
        let opened = Opened::of(job, one).await?;
        let chosen = opened.chosen(&choice).await?;
        for table in &chosen.unknown {
            eprintln!("not copied again: {table}: is not replicated");
        }
        unknown += chosen.unknown.len();
        for row in chosen.named.iter().chain(&chosen.matched) {
            let table = &row.table;
            table_state::resync(&*opened.session, &one.consumer, table, existing)
                .await
                .with_context(|| format!("could not write the state of {table}"))?;
            done += 1;
            job.say(&format!("{table} is copied again"))?;
        }
    }
    provider::hint_tables(&*provider, job.queue())
        .await
        .context("could not tell the daemon")?;
    let exit = opened::exit(unknown, done);
    match patience {
        Some(limit) => {
            let waited = wait::for_tables(job, args.subscriber.as_deref(), limit).await?;
            Ok(if waited == Exit::Done { exit } else { waited })
        }
        None => Ok(exit),
    }
}
