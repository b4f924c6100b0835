//! `replay skip`: drops the one change that keeps a parked table from going on. The command finds the change and stores
//! a row on the subscriber that says it is dropped; the daemon then leaves the change out.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure, one_line},
};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::{ApplicationName, Purpose, Session},
    install::ownership::Schema,
    name::TableName,
    near, provider,
    subscriber::{
        skipped_change::{self, NewSkip, Of},
        table_state::{self, Parked, Place, Stand, TableRow},
    },
};

use super::{Job, label, stored, told_by};
use crate::{
    apply::Applier,
    subscriber::refused::{Refused, Search, Standing},
    trouble::Trouble,
};

/// The arguments of `skip`.
#[derive(Debug, clap::Args)]
pub(crate) struct SkipArgs {
    /// The parked table, as schema.table
    #[arg(value_name = "TABLE")]
    table: TableName,
    /// On this subscriber, where the table is parked on several
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
}

/// Runs the command. The change is dropped once the row is stored, and not before.
pub(crate) async fn run(job: &Job, args: &SkipArgs) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    let (one, session, row, place) = parked(job, args).await?;
    let position = stored(&session, one).await?.position;
    let settings = &job.config;
    let mut applier = Applier::new(
        session,
        &one.consumer,
        settings.on_conflict,
        settings.session_role,
    )
    .await
    .map_err(failure)?;
    applier.choose([&row]);
    let search = Search {
        connect: async || {
            settings
                .provider
                .connect_for(
                    &ApplicationName::new(Purpose::Skip, job.name()),
                    Schema::PROVIDER,
                )
                .await
                .map_err(Trouble::connect("provider"))
        },
        queue: job.queue(),
        epoch: position.epoch,
        row: &row,
        place: &place,
        max_batch_events: i64::try_from(settings.max_batch_events).unwrap_or(i64::MAX),
        chunk_bytes: usize::try_from(settings.chunk_size).unwrap_or(usize::MAX),
        alters: settings.replicates_columns(one),
    };
    let refused = match search.run(&mut applier).await.map_err(failure)? {
        Standing::Change(refused) => refused,
        Standing::NoChange(why) => {
            // Without advice there is no hint.
            let advice = why.advice().unwrap_or_default().to_owned();
            return Err(Failure::new(
                Exit::Failed,
                anyhow!(
                    "nothing was skipped: {} is parked for something that is no change: {}",
                    args.table,
                    why.chain()
                ),
            )
            .with_hint(advice));
        }
        Standing::Nothing => {
            return Err(Failure::message(
                Exit::Failed,
                format!(
                    "nothing was skipped: what {} waits for can be applied now",
                    args.table
                ),
            )
            .with_hint(format!("run: replay resume {}", args.table)));
        }
    };
    let of = Of {
        consumer: &one.consumer,
        provider_oid: row.provider_oid,
        epoch: position.epoch,
    };
    store(applier.session(), of, &row, &place, &refused).await?;
    provider::hint_tables(&*provider, job.queue()).await?;
    job.say(&format!(
        "{}: skipped {} (who, when and which key stand in trunkline.skipped_change): {}",
        args.table,
        describe(&refused),
        one_line(&refused.why)
    ))?;
    Ok(Exit::Done)
}

/// The one subscriber that the table is parked on, with the table's position there.
async fn parked<'a>(
    job: &'a Job,
    args: &SkipArgs,
) -> Result<(&'a SubscriberConfig, Session, TableRow, Place), Failure> {
    let mut found = Vec::new();
    let mut states = Vec::new();
    for one in job.subscribers(args.subscriber.as_deref())? {
        let subscriber = job.subscriber(one).await?;
        stored(&subscriber, one).await?;
        let row = table_state::find(&*subscriber, &one.consumer, &args.table)
            .await
            .with_context(|| format!("could not read the tables of {}", label(one)))?;
        match row {
            Some(row) => {
                if let Stand::Parked(parked) = row.stand.clone() {
                    found.push((one, subscriber, row, parked));
                } else {
                    states.push(format!("is {} on {}", row.stand.state(), label(one)));
                }
            }
            None => {
                let rows = table_state::list(&*subscriber, &one.consumer)
                    .await
                    .with_context(|| format!("could not read the tables of {}", label(one)))?;
                let near = near::table(&args.table, rows.iter().map(|row| &row.table));
                let near = near::did_you_mean(near);
                states.push(format!("is not replicated into {}{near}", label(one)));
            }
        }
    }
    if found.len() > 1 {
        return Err(Failure::message(
            Exit::Usage,
            format!("{} is parked on several subscribers", args.table),
        )
        .with_hint("say on which one: --subscriber NAME"));
    }
    let Some((one, subscriber, row, Parked { place, why, .. })) = found.pop() else {
        return Err(Failure::message(
            Exit::Failed,
            format!("nothing was skipped: {} {}", args.table, states.join(", ")),
        ));
    };
    let Some(place) = place else {
        return Err(Failure::new(
            Exit::Failed,
            anyhow!(
                "nothing was skipped: {} is parked for something that is no change: {}",
                args.table,
                why.with_rows()
            ),
        )
        .with_hint(why.advice));
    };
    Ok((one, subscriber, row, place))
}

async fn store(
    session: &Session,
    of: Of<'_>,
    row: &TableRow,
    place: &Place,
    refused: &Refused,
) -> Result<(), Failure> {
    let told_by = told_by();
    let error = refused.why.chain();
    let skip = NewSkip {
        table: &row.table,
        stands: place.tick,
        event_id: refused.event_id,
        row_number: refused.row_number,
        kind: refused.kind,
        row_key: refused.key.as_deref(),
        error: &error,
        told_by: told_by.as_deref(),
    };
    let run = async |sql: &str| {
        let done = session.batch_execute(sql).await;
        done.map_err(sql::Error::database("store what is skipped"))
    };
    let stored = async {
        run("begin").await?;
        let added = skipped_change::add(&**session, of, &skip).await?;
        run(if added { "commit" } else { "rollback" }).await?;
        Ok::<bool, sql::Error>(added)
    };
    if stored.await? {
        return Ok(());
    }
    Err(Failure::message(
        Exit::Failed,
        format!(
            "nothing was skipped: {} went on meanwhile, or was parked anew",
            row.table
        ),
    )
    .with_hint("look at it: replay tables --json"))
}

fn describe(refused: &Refused) -> String {
    match refused.row_number {
        0 => format!("the {} of event {}", refused.kind, refused.event_id),
        row => format!(
            "row {row} of the {} of event {}",
            refused.kind, refused.event_id
        ),
    }
}

fn failure(trouble: Trouble) -> Failure {
    let advice = trouble.advice().map(str::to_owned);
    let failed = Failure::new(
        Exit::Failed,
        anyhow!("nothing was skipped: {}", trouble.chain()),
    );
    match advice {
        Some(advice) => failed.with_hint(advice),
        None => failed,
    }
}
