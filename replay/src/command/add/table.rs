//! One table for one subscriber: checks whether it fits, makes capture on the provider, and then the row that tells the
//! daemon to copy it.

use admin::exit::{self, Failure};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::Session,
    event::mapping::Mapping,
    moment,
    name::TableName,
    provider::{self, WantedIdentity},
    subscriber::{
        path,
        table_state::{self, Registered},
    },
};

use super::{
    args::{AddArgs, ConflictChoice},
    side::{AddSubscriber, Tally},
};
use crate::{
    command::{Job, label},
    join::{
        fit::{self, Wish},
        mapping, merging,
    },
};

/// Adds a table for one subscriber, or says why it cannot be added.
pub(super) async fn to(
    job: &Job,
    args: &AddArgs,
    provider: &Session,
    side: &mut AddSubscriber<'_>,
    wish: &Wish<'_>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let (candidate, mapping) = (wish.candidate, wish.mapping);
    let table = &candidate.table;
    let suffix = match &side.config.name {
        Some(name) => format!(" into {name}"),
        None => String::new(),
    };
    match known(args, side, wish, &suffix) {
        Known::New => {}
        Known::There => {
            tally.tables.push(table.clone());
            return is_there(job, args, side, table, &suffix).await;
        }
        Known::Otherwise(why) => {
            tally.refuse(table, &why);
            return Ok(());
        }
    }
    let would_be_made = args.dry_run && side.created.contains(table);
    if !would_be_made && let Some(why) = misfit(provider, side, wish).await? {
        tally.refuse(table, &why);
        return Ok(());
    }
    if args.dry_run {
        let with = match mapping == &Mapping::default() {
            true => String::new(),
            false => format!(": {}", mapping::describe(mapping)),
        };
        return job.say(&format!("{table} would be added{suffix}{with}"));
    }
    let identity = args.wanted_identity();
    match capture(job, provider, &side.config.consumer, table, &identity).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            tally.busy(table);
            return Ok(());
        }
        Err(error) => {
            tally.refuse(table, &exit::one_line(error.as_ref()));
            return Ok(());
        }
    }
    if let Some(why) = circle(job, provider, side).await? {
        end_capture(job, provider, side, wish).await?;
        tally.refuse(table, &why);
        return Ok(());
    }
    if let Some(why) = register(job, provider, side, wish).await? {
        tally.refuse(table, &why);
        return Ok(());
    }
    if let Some(choice) = args.on_conflict {
        choose(side, table, choice).await?;
    }
    tally.added += 1;
    tally.tables.push(table.clone());
    job.say(&format!("{table} added{suffix}"))
}

/// Whether a subscriber replicates a table.
enum Known {
    /// The subscriber does not replicate the table.
    New,
    /// The subscriber replicates the table as wished.
    There,
    /// The subscriber replicates the table in another way: why the table has to be removed first.
    Otherwise(String),
}

fn known(args: &AddArgs, side: &AddSubscriber<'_>, wish: &Wish<'_>, suffix: &str) -> Known {
    let (candidate, mapping) = (wish.candidate, wish.mapping);
    match side.known.get(&candidate.table) {
        Some(row) if row.provider_oid == candidate.oid => {
            let asked = !args.all || !args.wishes.are_none();
            if asked && row.mapping != *mapping {
                let (before, now) = (mapping::describe(&row.mapping), mapping::describe(mapping));
                return Known::Otherwise(format!(
                    "is replicated{suffix} already ({before}), and not so ({now}): remove it, and add it again"
                ));
            }
            Known::There
        }
        Some(_) => Known::Otherwise(
            "another table was replicated under that name: remove it, and add this one".into(),
        ),
        None => {
            let before = side
                .known
                .iter()
                .find(|(_, row)| row.provider_oid == candidate.oid);
            before.map_or(Known::New, |(before, _)| {
                Known::Otherwise(format!(
                    "is replicated under its name of before: remove {before}, and add this one"
                ))
            })
        }
    }
}

/// Why the subscriber's table does not take the rows. Warns of values that the table may not take later.
async fn misfit(
    provider: &Session,
    side: &AddSubscriber<'_>,
    wish: &Wish<'_>,
) -> Result<Option<String>, Failure> {
    let table = &wish.candidate.table;
    let place = label(side.config);
    let consumer = &side.config.consumer;
    let refusal = match fit::refusal(&side.session, consumer, &place, wish).await? {
        Some(why) => Some(why),
        None => merging::shared_rows(&side.session, consumer, &place, table, wish.mapping).await?,
    };
    if refusal.is_some() {
        return Ok(refusal);
    }
    let types = provider::captured_types(&**provider, wish.candidate).await?;
    let differing = fit::types(&side.session, &place, wish, &types).await?;
    if differing.refusal.is_none() {
        for warning in differing.warnings {
            eprintln!("warning: {table}: {warning}");
        }
    }
    Ok(differing.refusal)
}

/// Makes the table's row on the subscriber. If that fails, ends the table's capture again and says why.
async fn register(
    job: &Job,
    provider: &Session,
    side: &AddSubscriber<'_>,
    wish: &Wish<'_>,
) -> Result<Option<String>, Failure> {
    let (candidate, mapping) = (wish.candidate, wish.mapping);
    let table = &candidate.table;
    let consumer = &side.config.consumer;
    let place = label(side.config);
    let registered = table_state::register(
        &*side.session,
        consumer,
        table,
        candidate.oid,
        wish.existing,
        mapping,
    )
    .await
    .with_context(|| format!("could not register {table} on {place}"))?;
    let Registered::TargetTaken(other) = registered else {
        return Ok(None);
    };
    // Another session has added the table since it was looked at.
    end_capture(job, provider, side, wish).await?;
    let target = mapping.target_of(table);
    Ok(Some(merging::target_is_taken(
        target, &place, mapping, &other,
    )))
}

/// Why the provider's queue cannot be followed, now that the table is captured: changes of the subscriber would come
/// back to it.
async fn circle(
    job: &Job,
    provider: &Session,
    side: &AddSubscriber<'_>,
) -> Result<Option<String>, Failure> {
    let path = provider::node_path(&**provider, job.queue()).await?;
    let own = path::own_node(&*side.session).await?;
    Ok(own.filter(|own| path.leads_back_to(*own)).map(|own| {
        format!(
            "circle: queue {} would carry changes of {} (node {own}) back to it: a table can be written at one \
             node of a circle only",
            job.queue(),
            label(side.config)
        )
    }))
}

/// Ends the capture that was made for the subscriber.
async fn end_capture(
    job: &Job,
    provider: &Session,
    side: &AddSubscriber<'_>,
    wish: &Wish<'_>,
) -> Result<(), Failure> {
    let (consumer, candidate) = (&side.config.consumer, wish.candidate);
    moment::with_lock(async || {
        provider::remove_table(
            &**provider,
            job.queue(),
            consumer,
            &candidate.table,
            Some(candidate.oid),
        )
        .await
    })
    .await?;
    Ok(())
}

/// Handles a table that is replicated already: its choice for conflicts may change.
async fn is_there(
    job: &Job,
    args: &AddArgs,
    side: &AddSubscriber<'_>,
    table: &TableName,
    suffix: &str,
) -> Result<(), Failure> {
    if let Some(choice) = args.on_conflict
        && !args.dry_run
        && choose(side, table, choice).await?
    {
        return job.say(&format!("{table} is there{suffix}, on_conflict changed"));
    }
    if args.all {
        return Ok(());
    }
    job.say(&format!("{table} is there{suffix}"))
}

/// Stores what happens with rows that are not as their changes say; false if the choice was the same before.
async fn choose(
    side: &AddSubscriber<'_>,
    table: &TableName,
    choice: ConflictChoice,
) -> Result<bool, Failure> {
    Ok(table_state::set_on_conflict(
        &*side.session,
        &side.config.consumer,
        table,
        choice.stored(),
    )
    .await?)
}

/// Makes capture; false if there was capture for the consumer. None if the table's lock was not granted in time.
pub(super) async fn capture(
    job: &Job,
    provider: &Session,
    consumer: &str,
    table: &TableName,
    identity: &WantedIdentity,
) -> anyhow::Result<Option<bool>> {
    moment::prepare(provider).await?;
    let made = moment::with_lock(async || {
        provider::add_table(&**provider, job.queue(), consumer, table, identity).await
    });
    match made.await {
        Ok(made) => Ok(made),
        Err(error) => {
            let why = fit::not_captured(&error);
            Err(match error.hint() {
                Some(hint) => anyhow!("{why} ({hint})"),
                None => anyhow!(why),
            })
        }
    }
}
