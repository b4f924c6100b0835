//! `replay resync`: has tables copied again. The command only sets their state; the daemon copies.

use std::{cell::Cell, time::Duration};

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use sql::{
    provider,
    subscriber::table_state::{self, Existing, Stand, TableRow},
};

use super::{
    Job,
    compare::Table,
    repair,
    subscriber::{self, Opened},
    wait,
};
use crate::{
    compare::{Options, Sessions},
    join::choose::{Choice, TablePattern, Unmatched},
};

/// Rows that are fetched one by one, however few the table has; of larger tables it is one in a hundred.
const FEW: u64 = 1_000;

/// Rows that differ with which a comparison ends: the table is copied.
const MOST: usize = 10_000;

/// How long changes in flight and a repair may take.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// Compare first: a table that is the same is left, and where few rows differ only these are fetched
    #[arg(long)]
    repair: bool,
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
    let beside = if args.repair {
        Some(job.provider().await?)
    } else {
        None
    };
    let (mut done, mut unknown, mut unmatched) = (Vec::new(), 0, Unmatched::default());
    for one in job.subscribers(args.subscriber.as_deref())? {
        let opened = Opened::of(job, one).await?;
        job.is_followed(&provider, one, &opened.session).await?;
        let chosen = opened.chosen(&choice).await?;
        unknown += chosen.tell_unknown("not copied again", "is not replicated");
        for row in chosen.named.iter().chain(&chosen.matched) {
            let table = &row.table;
            if let Some(beside) = &beside
                && matches!(row.stand, Stand::Ok)
            {
                let sessions = Sessions {
                    provider: &provider,
                    beside,
                    subscriber: &opened.session,
                    is_level: Cell::new(false),
                };
                if is_equal_by_rows(job, one, row, &sessions).await? {
                    done.push(table.clone());
                    continue;
                }
            }
            // A session that has compared is not used again: what is written here must be in a transaction of its own.
            let fresh = match &beside {
                Some(_) => Some(job.subscriber(one).await?),
                None => None,
            };
            let session = fresh.as_ref().unwrap_or(&opened.session);
            if !table_state::resync(&**session, &one.consumer, table, existing).await? {
                eprintln!("not copied again: {table}: it is no table of the job any more");
                unknown += 1;
                continue;
            }
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

/// Compares a table, and has the rows fetched that differ, where they are few. False: it must be copied.
async fn is_equal_by_rows(
    job: &Job,
    one: &SubscriberConfig,
    row: &TableRow,
    sessions: &Sessions<'_>,
) -> Result<bool, Failure> {
    let options = Options {
        after: None,
        share: 1.0,
        most: MOST,
        patience: PATIENCE,
    };
    let table = Table {
        job,
        one,
        row,
        sessions,
        options: &options,
        command: "compare",
        names_rows: false,
        since: None,
        journal: None,
    };
    let done = match table.compare().await {
        Ok(done) => done,
        Err(failure) if failure.exit == Exit::Part => {
            eprintln!("not compared: {:#}", failure.error);
            return Ok(false);
        }
        Err(failure) => return Err(failure),
    };
    done.told.print(job)?;
    let differing = done.report.differing();
    if differing == 0 {
        return Ok(true);
    }
    let one_percent = done.report.rows / 100;
    let is_few = differing <= FEW.max(one_percent);
    if !is_few || repair::refusal(&done).is_some() {
        return Ok(false);
    }
    Ok(repair::apply(&table, &done).await? == Exit::Done)
}
