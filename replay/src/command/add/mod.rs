//! `replay add`: makes capture on the provider and a row in state `-` on the subscriber; the running daemon copies. For
//! each table everything is checked before anything is made.

mod archive;
mod args;
mod form;
mod side;
mod table;

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use sql::{
    connect::Session,
    name::{TableName, quote_ident},
    provider::{self, Candidate},
    role,
    subscriber::session_role::SessionRole,
};

pub(crate) use self::args::AddArgs;
use self::side::{AddSubscriber, Tally};
use super::{Job, create, install, sequences, wait};
use crate::join::{
    choose::{Choice, Chosen, TablePattern, Unmatched},
    fit::Wish,
    order,
};

/// Runs the command.
pub(crate) async fn run(job: &Job, args: &AddArgs) -> Result<Exit, Failure> {
    let patience = wait::limit(args.wait.as_deref())?;
    let by_name = matches!(args.tables[..], [TablePattern::Name(_)]);
    args.wishes.check_number(by_name)?;
    let provider = job.provider().await?;
    job.has_queue(&provider).await?;
    let takers = job.takers(args.subscriber.as_deref())?;
    let mut subscribers: Vec<AddSubscriber<'_>> = Vec::new();
    for one in takers.subscribers {
        subscribers.push(AddSubscriber::open(job, &provider, one).await?);
    }
    if subscribers.is_empty() {
        archive::check(args, &takers.archives)?;
    }
    let identity = args.wanted_identity();
    let candidates = provider::candidates(&*provider, job.queue(), &identity).await?;
    let choice = Choice {
        all: args.all,
        wanted: &args.tables,
        schema: args.schema.as_deref(),
        exclude: args.exclude.as_deref(),
    };
    let chosen = choice.of(candidates, |candidate| &candidate.table);
    let mut unmatched = Unmatched::default();
    unmatched.also(chosen.unmatched.clone());
    let mut tally = add_chosen(
        job,
        args,
        &provider,
        (&mut subscribers, &takers.archives),
        chosen,
    )
    .await?;
    if !args.dry_run {
        close_added(job, &subscribers).await?;
        let consumers = subscribers.iter().map(|side| side.config.consumer.as_str());
        let archives = takers.archives.iter().map(|one| one.consumer.as_str());
        let consumers: Vec<&str> = consumers.chain(archives).collect();
        sequences_of(job, args, &provider, &consumers, &mut tally).await?;
        if let Some(capture) = args.capture {
            form::choose(job, &provider, capture.into(), &mut tally).await?;
        }
    }
    let exit = unmatched.tell("not added", tally.exit(args.all));
    if exit != Exit::Done || args.dry_run {
        // The table that was refused may be the one that the caller would wait for.
        return Ok(exit);
    }
    wait::if_asked(job, args.subscriber.as_deref(), &tally.tables, patience).await
}

/// Has the added tables of a standby refuse writes. Tables that others have locked are closed by the daemon.
async fn close_added(job: &Job, subscribers: &[AddSubscriber<'_>]) -> Result<(), Failure> {
    if !job.config.standby {
        return Ok(());
    }
    for side in subscribers {
        let roles = role::list(&*side.session).await?;
        if roles.iter().any(|one| one.queue == job.queue()) {
            install::close_tables(&side.session, job.queue()).await?;
        }
    }
    Ok(())
}

/// Carries the sequences of the tables over, or warns of sequences that are not carried over. Such a sequence stands
/// still on the subscriber, and gives out keys of replicated rows once the subscriber is written to.
async fn sequences_of(
    job: &Job,
    args: &AddArgs,
    provider: &Session,
    consumers: &[&str],
    tally: &mut Tally,
) -> Result<(), Failure> {
    if args.wishes.is_merge() {
        // A sequence follows one provider, and a merged table has rows of several.
        return Ok(());
    }
    let mut left: Vec<TableName> = Vec::new();
    for consumer in consumers {
        let of_tables =
            provider::sequences_of(&**provider, job.queue(), consumer, &tally.tables).await?;
        left.extend(of_tables.into_iter().map(|(sequence, _)| sequence));
    }
    left.sort();
    left.dedup();
    if left.is_empty() {
        return Ok(());
    }
    if args.with_seqs {
        let carried = sequences::carry(job, provider, args.subscriber.as_deref(), &left).await?;
        tally.refused += carried.refused;
        return Ok(());
    }
    let names: Vec<String> = left.iter().map(ToString::to_string).collect();
    job.say(&format!(
        "sequences of these tables are not carried over: {} (replay add-seq SEQ..., or add --with-seqs)",
        names.join(", ")
    ))
}

async fn add_chosen(
    job: &Job,
    args: &AddArgs,
    provider: &Session,
    (subscribers, archives): (&mut [AddSubscriber<'_>], &[&ArchiveConfig]),
    chosen: Chosen<Candidate>,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for unknown in &chosen.unknown {
        let table = &unknown.table;
        let why = provider::why_no_candidate(&**provider, table).await?;
        match why {
            Some(why) => tally.refuse(table, &why),
            None => {
                tally.refused += 1;
                eprintln!(
                    "not added: {}",
                    unknown.is("does not exist on the provider")
                );
            }
        }
    }
    // A partition comes with its table; a partition that is named is refused with that reason.
    let matched = chosen.matched.into_iter().filter(|one| !one.is_part);
    let mut candidates: Vec<Candidate> = chosen.named.into_iter().chain(matched).collect();
    order::largest_first(provider, &mut candidates).await?;
    if args.create {
        for side in &mut *subscribers {
            let new: Vec<&Candidate> = candidates
                .iter()
                .filter(|one| one.refusal.is_none() && !side.known.contains_key(&one.table))
                .collect();
            let subscriber = (&side.session, side.config);
            side.created =
                create::missing_tables(job, provider, subscriber, &new, args.dry_run).await?;
        }
    }
    if job.config.session_role == SessionRole::Origin {
        let sessions = subscribers.iter().map(|side| &side.session);
        order::parents_first(sessions, &mut candidates).await?;
    }
    for candidate in candidates {
        if let Some(why) = candidate.why_not() {
            tally.refuse(&candidate.table, &why);
            continue;
        }
        let columns = provider::captured_columns(&**provider, &candidate).await?;
        warn_of_large_objects(provider, &candidate).await?;
        let mapping = match args.wishes.of(provider, &candidate, &columns).await? {
            Ok(mapping) => mapping,
            Err(why) => {
                tally.refuse(&candidate.table, &why);
                continue;
            }
        };
        let before = tally.added;
        for side in &mut *subscribers {
            let merged = args.wishes.merged(&side.session, &candidate, &mapping);
            let mapping = match merged.await? {
                Ok(mapping) => mapping,
                Err(why) => {
                    tally.refuse(&candidate.table, &why);
                    continue;
                }
            };
            let wish = Wish {
                candidate: &candidate,
                captured: &columns,
                mapping: &mapping,
                existing: args.existing(),
                session_role: job.config.session_role,
            };
            table::to(job, args, provider, side, &wish, &mut tally).await?;
        }
        for one in archives {
            archive::to(job, args, provider, one, &candidate, &mut tally).await?;
        }
        if tally.added > before {
            provider::hint_tables(&**provider, job.queue()).await?;
        }
    }
    Ok(tally)
}

/// Warns that the numbers of large objects are replicated like any number, and the objects are not.
async fn warn_of_large_objects(provider: &Session, candidate: &Candidate) -> Result<(), Failure> {
    let columns = provider::large_object_columns(&**provider, candidate).await?;
    for column in columns {
        eprintln!(
            "warning: {}: if {} holds numbers of large objects, those are not replicated",
            candidate.table,
            quote_ident(&column)
        );
    }
    Ok(())
}
