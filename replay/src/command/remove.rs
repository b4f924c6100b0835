//! `replay remove`: first the subscriber, so that nothing is applied any more, then capture on
//! the provider. Rows stay where they are.

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{name::TableName, provider, table_state};

use super::{
    Job,
    choose::{Choice, Wanted},
    label, patience, stored,
};

/// The arguments of `remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
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
    /// From one subscriber only
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
    /// Leave the triggers on the provider
    #[arg(long)]
    keep_capture: bool,
}

/// Runs the command. Safe to repeat: capture that an interrupted run left is found again.
pub(crate) async fn run(job: &Job, args: &RemoveArgs) -> Result<Exit, Failure> {
    let provider = if args.keep_capture {
        None
    } else {
        let session = job.provider().await?;
        patience::prepare(&session)
            .await
            .context("could not ask the provider")?;
        Some(session)
    };
    let choice = Choice {
        all: args.all,
        wanted: &args.tables,
        ..Choice::default()
    };
    let (mut removed, mut unknown) = (0, Vec::new());
    for one in job.subscribers(args.subscriber.as_deref())? {
        let subscriber = job.subscriber(one).await?;
        stored(&subscriber, one).await?;
        let rows = table_state::list(&*subscriber, &one.consumer)
            .await
            .with_context(|| format!("could not read the tables of {}", label(one)))?;
        let chosen = choice.of(rows, |row| &row.table);
        let there: Vec<(TableName, Option<u32>)> = chosen
            .named
            .into_iter()
            .chain(chosen.matched)
            .map(|row| (row.table, Some(row.provider_oid)))
            .collect();
        for (table, _) in &there {
            table_state::remove(&*subscriber, &one.consumer, table)
                .await
                .with_context(|| format!("could not remove {table} from {}", label(one)))?;
        }
        let mut gone = there;
        let left_over = chosen.unknown.len();
        gone.extend(chosen.unknown.iter().cloned().map(|table| (table, None)));
        let known = gone.len() - left_over;
        for (n, (table, oid)) in gone.iter().enumerate() {
            let captured = match &provider {
                None => false,
                Some(provider) => patience::with_lock(async || {
                    provider::remove_table(&**provider, job.queue(), &one.consumer, table, *oid)
                        .await
                })
                .await
                .with_context(|| format!("could not end capture of {table}"))?
                .ok_or_else(|| {
                    Failure::message(
                        Exit::TimedOut,
                        format!(
                            "{table}: others hold locks on it on the provider, try again later"
                        ),
                    )
                })?,
            };
            if n < known || captured {
                removed += 1;
                job.say(&format!("{table} removed"))?;
            } else {
                unknown.push(table.clone());
            }
        }
    }
    for table in &unknown {
        eprintln!("not removed: {table}: is not replicated");
    }
    Ok(match (unknown.len(), removed) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        _ => Exit::Part,
    })
}
