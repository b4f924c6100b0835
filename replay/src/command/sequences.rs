//! `replay add-seq`, `remove-seq` and `seqs`.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    name::TableName,
    provider,
    subscriber::{relation, sequence_state},
};

use super::{
    Job, archive, label,
    subscriber::{self, Opened},
};
use crate::join::choose::{Choice, TablePattern, Unmatched};

/// The arguments of `add-seq` and `remove-seq`.
#[derive(Debug, clap::Args)]
pub(crate) struct SequenceArgs {
    /// Sequences, as schema.sequence; * and ? match in unquoted names
    #[arg(
        value_name = "SEQ",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    sequences: Vec<TablePattern>,
    /// All sequences
    #[arg(long)]
    all: bool,
}

impl SequenceArgs {
    fn choice(&self) -> Choice<'_> {
        Choice {
            all: self.all,
            wanted: &self.sequences,
            ..Choice::default()
        }
    }
}

/// Begins to carry sequences over.
pub(crate) async fn add(job: &Job, args: &SequenceArgs) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    job.has_queue(&provider).await?;
    let there = provider::sequence_candidates(&*provider, job.queue()).await?;
    let chosen = args.choice().of(there, |name| name);
    let unknown = chosen.tell_unknown("not added", "is no sequence of the provider");
    let mut unmatched = Unmatched::default();
    unmatched.also(chosen.unmatched);
    let chosen: Vec<TableName> = chosen.named.into_iter().chain(chosen.matched).collect();
    let mut carried = carry(job, &provider, None, &chosen).await?;
    carried.refused += unknown;
    Ok(unmatched.tell(
        "not added",
        match (carried.refused, carried.added) {
            (0, _) => Exit::Done,
            (_, 0) if !args.all => Exit::Failed,
            _ => Exit::Part,
        },
    ))
}

/// The result for sequences.
#[derive(Default)]
pub(super) struct Carried {
    added: usize,
    /// The number of sequences that a subscriber lacks, or that follow another provider there.
    pub(super) refused: usize,
}

/// Has sequences of the provider carried over, to one subscriber or to all.
pub(super) async fn carry(
    job: &Job,
    provider: &Session,
    subscriber: Option<&str>,
    chosen: &[TableName],
) -> Result<Carried, Failure> {
    let mut carried = Carried::default();
    let takers = job.takers(subscriber)?;
    for one in takers.archives {
        for sequence in chosen {
            let added = provider::add_sequence(&**provider, job.queue(), &one.consumer, sequence);
            if added.await? {
                carried.added += 1;
                job.say(&format!("{sequence} added into {}", one.name))?;
            }
        }
    }
    for one in takers.subscribers {
        let subscriber = Opened::of(job, one).await?.session;
        for sequence in chosen {
            let here = relation::find(&*subscriber, sequence)
                .await
                .with_context(|| format!("could not look for {sequence} on {}", label(one)))?;
            let why = match here {
                Some(found) if found.is_sequence => None,
                Some(other) => Some(format!("is {}", other.what)),
                None => Some("does not exist".into()),
            };
            let other = sequence_state::other_carrier(&*subscriber, &one.consumer, sequence)
                .await
                .with_context(|| format!("could not look for {sequence} on {}", label(one)))?;
            let follows = |other| format!("follows the provider of job {other} already");
            if let Some(why) = why.or(other.map(follows)) {
                eprintln!("not added: {sequence}: {why} on {}", label(one));
                carried.refused += 1;
                continue;
            }
            let new =
                provider::add_sequence(&**provider, job.queue(), &one.consumer, sequence).await?;
            sequence_state::register(&*subscriber, &one.consumer, sequence)
                .await
                .with_context(|| {
                    format!("could not register sequence {sequence} on {}", label(one))
                })?;
            if new {
                carried.added += 1;
                job.say(&format!("{sequence} added"))?;
            }
        }
    }
    Ok(carried)
}

/// Stops carrying sequences over.
pub(crate) async fn remove(job: &Job, args: &SequenceArgs) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    let (mut removed, mut unknown, mut unmatched) = (0, 0, Unmatched::default());
    let takers = job.takers(None)?;
    for one in takers.archives {
        let carried = archive::captured(job, &provider, one, true).await?;
        let chosen = args.choice().of(carried, |capture| &capture.name);
        unknown += chosen.tell_unknown("not removed", "is not carried over");
        for capture in chosen.named.iter().chain(&chosen.matched) {
            provider::end_capture(&*provider, capture, &one.consumer).await?;
            removed += 1;
            job.say(&format!("{} removed from {}", capture.name, one.name))?;
        }
        unmatched.also(chosen.unmatched);
    }
    for one in takers.subscribers {
        let subscriber = Opened::of(job, one).await?.session;
        let rows = sequence_state::list(&*subscriber, &one.consumer)
            .await
            .with_context(|| format!("could not read the sequences of {}", label(one)))?;
        let chosen = args.choice().of(rows, |row| &row.sequence);
        unknown += chosen.tell_unknown("not removed", "is not carried over");
        for row in chosen.named.iter().chain(&chosen.matched) {
            let sequence = &row.sequence;
            provider::remove_sequence(&*provider, job.queue(), &one.consumer, sequence).await?;
            sequence_state::remove(&*subscriber, &one.consumer, sequence)
                .await
                .with_context(|| {
                    format!("could not remove sequence {sequence} from {}", label(one))
                })?;
            removed += 1;
            job.say(&format!("{sequence} removed"))?;
        }
        unmatched.also(chosen.unmatched);
    }
    Ok(unmatched.tell("not removed", subscriber::exit(unknown, removed)))
}

/// The arguments of `seqs`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Set them to just the provider's values now. They stay so until the provider goes on; the daemon then
    /// keeps them up to 1,000 steps ahead again
    #[arg(long)]
    sync: bool,
}

/// Lists the sequences that are carried over: `ok`, or why a sequence could not be set. Warns of sequences that count
/// in another way on the subscriber.
pub(crate) async fn list(job: &Job, args: &ListArgs) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    let mut rows = Vec::new();
    let mut errors = 0;
    let takers = job.takers(None)?;
    let several = takers.subscribers.iter().any(|one| one.name.is_some());
    let several = several || !takers.archives.is_empty();
    for one in takers.archives {
        for capture in archive::captured(job, &provider, one, true).await? {
            rows.push(vec![
                capture.name.to_string(),
                "ok".into(),
                one.name.clone(),
            ]);
        }
    }
    for one in takers.subscribers {
        let subscriber = Opened::of(job, one).await?.session;
        if args.sync {
            sync(job, &provider, &subscriber, one).await?;
        }
        let sequences = sequence_state::list(&*subscriber, &one.consumer)
            .await
            .with_context(|| format!("could not read the sequences of {}", label(one)))?;
        let names: Vec<TableName> = sequences.iter().map(|row| row.sequence.clone()).collect();
        warn_of_differences(&provider, &subscriber, one, &names).await?;
        for row in sequences {
            let state = if row.error.is_none() { "ok" } else { "error" };
            if let Some(error) = &row.error {
                errors += 1;
                eprintln!("{}: {error}", row.sequence);
            }
            let mut words = vec![row.sequence.to_string(), state.to_owned()];
            let name = one.name.clone();
            words.extend(several.then(|| name.unwrap_or_else(|| "-".into())));
            rows.push(words);
        }
    }
    rows.sort();
    let header: &[&str] = if several {
        &["Sequence", "State", "Subscriber"]
    } else {
        &["Sequence", "State"]
    };
    output::print(&output::words(header, &rows))?;
    Ok(if args.sync && errors > 0 {
        Exit::Part
    } else {
        Exit::Done
    })
}

/// Sets all sequences of a subscriber to the provider's values of now.
async fn sync(
    job: &Job,
    provider: &Session,
    subscriber: &Session,
    one: &SubscriberConfig,
) -> Result<(), Failure> {
    let values = provider::sequence_values(&**provider, job.queue(), &one.consumer).await?;
    for value in &values {
        sequence_state::set(&**subscriber, &one.consumer, value, 0)
            .await
            .with_context(|| {
                format!(
                    "could not set sequence {} on {}",
                    value.sequence,
                    label(one)
                )
            })?;
    }
    Ok(())
}

/// Warns of a sequence with another step, type or bounds: it may give out other values than the provider's sequence
/// would, or no value at all.
async fn warn_of_differences(
    provider: &Session,
    subscriber: &Session,
    one: &SubscriberConfig,
    names: &[TableName],
) -> Result<(), Failure> {
    let (here, there) = futures::try_join!(
        sequence_state::definitions(&**provider, names),
        sequence_state::definitions(&**subscriber, names),
    )?;
    for ours in &here {
        let theirs = there.iter().find(|theirs| theirs.sequence == ours.sequence);
        if let Some(theirs) = theirs
            && theirs.counts != ours.counts
        {
            eprintln!(
                "warning: {}: {} on the provider, {} on {}",
                ours.sequence,
                ours.counts,
                theirs.counts,
                label(one)
            );
        }
    }
    Ok(())
}
