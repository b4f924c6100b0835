//! `replay pause` and `resume`: the running daemon keeps its position and waits, or goes on and
//! tries parked tables at once.

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::subscriber::{
    position,
    table_state::{self, State},
};

use super::{
    Job, label,
    subscriber::{self, Opened},
};
use crate::join::choose::{Choice, TablePattern, Unmatched};

/// The arguments of `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Parked tables that are tried at once; without: the whole job goes on, and all are
    #[arg(value_name = "TABLE")]
    tables: Vec<TablePattern>,
    /// On one subscriber only
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
}

/// Keeps the positions of all subscribers.
pub(crate) async fn pause(job: &Job) -> Result<Exit, Failure> {
    set(job, None, true).await?;
    Ok(Exit::Done)
}

/// Ends the pause, or tries the named parked tables at once.
pub(crate) async fn resume(job: &Job, args: &ResumeArgs) -> Result<Exit, Failure> {
    let all = args.tables.is_empty();
    if all {
        set(job, args.subscriber.as_deref(), false).await?;
    }
    let choice = Choice {
        all,
        wanted: &args.tables,
        ..Choice::default()
    };
    let (mut tried, mut refused, mut unmatched) = (0, 0, Unmatched::default());
    for one in job.subscribers(args.subscriber.as_deref())? {
        let opened = Opened::of(job, one).await?;
        let chosen = opened.chosen(&choice).await?;
        refused += chosen.tell_unknown("not tried", "is not replicated");
        for row in &chosen.named {
            if row.stand.needs_repair() {
                let advice = row.stand.why().map(|why| why.advice.as_str());
                eprintln!(
                    "not tried: {}: needs repair: {}",
                    row.table,
                    advice.unwrap_or_default()
                );
                refused += 1;
            } else if row.stand.state() != State::Parked {
                eprintln!(
                    "not tried: {}: is {}, not parked",
                    row.table,
                    row.stand.state()
                );
                refused += 1;
            }
        }
        for row in chosen.named.iter().chain(&chosen.matched) {
            let table = &row.table;
            // The running daemon reads the table's row every second.
            if row.stand.state() == State::Parked
                && !row.stand.needs_repair()
                && table_state::try_now(&*opened.session, &one.consumer, table).await?
            {
                tried += 1;
                job.say(&format!("{table} is tried now"))?;
            }
        }
        unmatched.also(chosen.unmatched);
    }
    Ok(unmatched.tell("not tried", subscriber::exit(refused, tried)))
}

async fn set(job: &Job, subscriber: Option<&str>, paused: bool) -> Result<(), Failure> {
    let word = if paused { "paused" } else { "going on" };
    for one in job.subscribers(subscriber)? {
        let opened = Opened::of(job, one).await?;
        let changed = position::pause(&*opened.session, &one.consumer, paused)
            .await
            .with_context(|| format!("could not tell {}", label(one)))?;
        let already = if changed { "" } else { " already" };
        job.say(&format!("{}: {word}{already}", label(one)))?;
    }
    Ok(())
}
