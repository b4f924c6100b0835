//! `replay remove`: ends replication on the subscriber first, so that nothing is applied any more, then capture on the
//! provider. The table's rows stay.

use admin::{
    config::SubscriberConfig,
    exit::{self, Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    moment,
    name::TableName,
    provider,
    subscriber::{kept_ddl, session_role::SessionRole, table_state::TableRow},
};

use super::{
    Job, archive, label,
    subscriber::{self, Opened},
};
use crate::copy::{self, names::Names, restore};
use crate::join::choose::{AutoAdd, Choice, TablePattern, Unmatched};

/// The arguments of `remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
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
        moment::prepare(&session).await?;
        Some(session)
    };
    let auto_add = AutoAdd::read(&job.config.auto_add).context("auto_add")?;
    let choice = Choice {
        all: args.all,
        wanted: &args.tables,
        ..Choice::default()
    };
    let (mut removed, mut unknown, mut unmatched) = (0, 0, Unmatched::default());
    let takers = job.takers(args.subscriber.as_deref())?;
    if let Some(provider) = &provider {
        for one in &takers.archives {
            let captured = archive::captured(job, provider, one, false).await?;
            let chosen = choice.of(captured, |capture| &capture.name);
            unknown += chosen.tell_unknown("not removed", "is not replicated");
            for capture in chosen.named.iter().chain(&chosen.matched) {
                let (table, oid) = (&capture.name, Some(capture.oid));
                end_capture(job, provider, &one.consumer, table, oid).await?;
                removed += 1;
                job.say(&format!("{table} removed from {}", one.name))?;
                warn_of_auto_add(&auto_add, table);
            }
            unmatched.also(chosen.unmatched);
        }
    } else if takers.subscribers.is_empty() {
        let text = "--keep-capture is for databases: of an archive there is nothing but capture";
        return Err(Failure::message(Exit::Usage, text));
    }
    for one in takers.subscribers {
        let opened = Opened::of(job, one).await?;
        let chosen = opened.chosen(&choice).await?;
        let mut gone: Vec<(TableName, Option<u32>)> = Vec::new();
        let rows: Vec<TableRow> = chosen.named.into_iter().chain(chosen.matched).collect();
        let names = names(provider.as_ref(), &rows).await?;
        for row in rows {
            let target = names.target(&row);
            remove_from(&opened.session, job.config.session_role, one, &row, target).await?;
            gone.push((row.table, Some(row.provider_oid)));
        }
        // An interrupted run may have left the capture of a table that the subscriber does not have any more.
        for one_unknown in chosen.unknown {
            let table = &one_unknown.table;
            let captured = match &provider {
                None => false,
                Some(provider) => end_capture(job, provider, &one.consumer, table, None).await?,
            };
            if captured {
                gone.push((table.clone(), None));
            } else {
                unknown += 1;
                eprintln!("not removed: {}", one_unknown.is("is not replicated"));
            }
        }
        for (table, oid) in gone {
            if let (Some(provider), Some(_)) = (&provider, oid) {
                end_capture(job, provider, &one.consumer, &table, oid).await?;
            }
            removed += 1;
            job.say(&format!("{table} removed"))?;
            warn_of_auto_add(&auto_add, &table);
        }
        unmatched.also(chosen.unmatched);
    }
    Ok(unmatched.tell("not removed", subscriber::exit(unknown, removed)))
}

fn warn_of_auto_add(auto_add: &AutoAdd, table: &TableName) {
    if auto_add.takes(table) {
        eprintln!(
            "warning: {table}: auto_add adds it again, unless \"!{table}\" leaves it out there"
        );
    }
}

/// Ends a table's capture for a consumer; false if there was no capture.
async fn end_capture(
    job: &Job,
    provider: &Session,
    consumer: &str,
    table: &TableName,
    oid: Option<u32>,
) -> Result<bool, Failure> {
    moment::with_lock(async || {
        provider::remove_table(&**provider, job.queue(), consumer, table, oid).await
    })
    .await?
    .ok_or_else(|| {
        Failure::message(
            Exit::TimedOut,
            format!("{table}: others hold locks on it on the provider, try again later"),
        )
    })
}

/// The names of the rows' tables on the subscriber. If the table was renamed on the provider, its name of now counts; a
/// table with the old name is another table.
async fn names(provider: Option<&Session>, rows: &[TableRow]) -> Result<Names, Failure> {
    match provider {
        Some(provider) => Ok(Names::read(provider, rows).await?),
        None => Ok(Names::default()),
    }
}

/// Takes a table out of the job on one subscriber, and brings back the indexes and constraints that an unfinished copy
/// took away. The rows of an unfinished copy are deleted.
pub(super) async fn remove_from(
    subscriber: &Session,
    role: SessionRole,
    one: &SubscriberConfig,
    row: &TableRow,
    target: &TableName,
) -> Result<(), Failure> {
    let table = &row.table;
    copy::forget(subscriber, role, &one.consumer, row, target)
        .await
        .map_err(|trouble| Failure::message(Exit::Failed, trouble.chain()))?;
    let kept = kept_ddl::list(&**subscriber, &one.consumer)
        .await
        .with_context(|| format!("could not read what copies took away on {}", label(one)))?;
    let of_table: Vec<_> = kept.into_iter().filter(|one| one.table == *table).collect();
    // A foreign key that waits to be validated goes on waiting; the daemon validates it.
    for (object, result) in restore::by_hand(subscriber, role, of_table, false).await {
        if let Err(trouble) = result {
            eprintln!(
                "not brought back: {object}: {} (replay restore-ddl tries again)",
                exit::one_line(&trouble)
            );
        }
    }
    Ok(())
}
