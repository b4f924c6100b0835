//! `replay rejoin`: gives up what a provider of the past has taken, and makes the node a standby of the later one. The
//! command decides how each table comes into step again; one transaction stores that, and the daemon does it.

use std::collections::BTreeMap;

use admin::{
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use clap::ValueEnum;
use sql::{
    event::shape::Shape,
    lost::{self, Finding, Touched},
};

use super::{Job, adopt::agreed};
use crate::set::way_back::{self, Ahead};

/// The arguments of `rejoin`.
#[derive(Debug, clap::Args)]
pub(crate) struct RejoinArgs {
    /// How tables come into step again that were written here
    #[arg(long, value_enum, default_value_t = Way::Repair)]
    lost: Way,
    /// With --lost repair: copy the tables of which keys do not tell which rows were written
    #[arg(long)]
    copy_others: bool,
    /// Say what would be done to each table, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// How tables come into step again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// The rows that were written are fetched from the provider by their keys
    Repair,
    /// The tables that were written are copied again; their rows stay readable meanwhile
    Copy,
}

/// What becomes of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It was not written: it goes on.
    GoesOn,
    /// The rows of these keys are fetched.
    Keys,
    /// It is copied again.
    Copy,
    /// It would have to be copied, and nobody has said so; why.
    Refused(String),
}

/// Runs the command. Safe to repeat: it is one transaction.
pub(crate) async fn run(job: &Job, args: &RejoinArgs) -> Result<Exit, Failure> {
    let one = job.subscribers(None)?.into_iter().next();
    let one = one.context("the config names no subscriber")?;
    if !job.config.standby {
        let text = "nothing was done: the config does not say standby = true";
        return Err(Failure::message(Exit::Failed, text).with_hint("then run: replay install"));
    }
    let Some(Ahead { finding, address }) = way_back::find(&job.config).await? else {
        job.say("nothing to be given up waits here")?;
        return Ok(Exit::Done);
    };
    let session = job.subscriber(one).await?;
    let touched = lost::touched(&*session, job.queue(), finding.lost.place()).await?;
    let fates: Vec<(&Touched, Fate)> = touched
        .iter()
        .map(|table| (table, fate(table, &finding, args)))
        .collect();
    output::print(&format!("{}\n", finding.describe()))?;
    for (table, fate) in &fates {
        output::print(&format!("{}: {}\n", table.table, told(table, fate)))?;
    }
    let refused = fates
        .iter()
        .any(|(_, fate)| matches!(fate, Fate::Refused(_)));
    if args.dry_run {
        return Ok(Exit::Done);
    }
    if refused {
        let text = "nothing was done: some tables cannot be repaired by keys";
        return Err(Failure::message(Exit::Failed, text)
            .with_hint("to copy these tables again, say --copy-others; to copy all that were written: --lost copy"));
    }
    if !args.yes && !agreed()? {
        let text = "nothing was changed: not agreed to";
        return Err(Failure::message(Exit::Failed, text));
    }
    let tables: BTreeMap<String, &str> = fates
        .iter()
        .filter_map(|(table, fate)| Some((table.oid.to_string(), word(fate)?)))
        .collect();
    let tables = serde_json::to_string(&tables).context("could not write the tables as JSON")?;
    let term = lost::rejoin(
        &*session,
        job.queue(),
        (&one.consumer, job.name()),
        address.as_deref(),
        finding.lost.upto_id,
        &tables,
    )
    .await?;
    job.say(&format!(
        "joined the provider of term {term}; replay wait tells when all tables are in step"
    ))?;
    Ok(Exit::Done)
}

fn fate(table: &Touched, finding: &Finding, args: &RejoinArgs) -> Fate {
    if table.changes == 0 && finding.lost.whole {
        return Fate::GoesOn;
    }
    if finding.lost.whole && args.lost == Way::Repair && is_only_filled(table) {
        return Fate::GoesOn;
    }
    match (args.lost, not_by_keys(table, finding)) {
        (Way::Copy, _) => Fate::Copy,
        (Way::Repair, None) => Fate::Keys,
        (Way::Repair, Some(_)) if args.copy_others => Fate::Copy,
        (Way::Repair, Some(why)) => Fate::Refused(why),
    }
}

/// Whether the table has only got columns: rows are as the provider has them, in all columns that it has.
fn is_only_filled(table: &Touched) -> bool {
    table.kinds.as_slice() == ["filled"]
}

/// Why keys do not tell which rows of a table were written.
fn not_by_keys(table: &Touched, finding: &Finding) -> Option<String> {
    const OF_ROWS: [&str; 7] = [
        "insert", "update", "delete", "live", "gone", "large", "filled",
    ];
    if !finding.lost.whole {
        return Some("the log does not hold what was written".into());
    }
    let shape = table.shape.as_deref().map(Shape::from_json);
    let Some(Ok(shape)) = shape else {
        return Some("its columns are not known".into());
    };
    if !shape.has_key() {
        return Some("its rows are not told apart by a key".into());
    }
    if let Some(kind) = table
        .kinds
        .iter()
        .find(|kind| !OF_ROWS.contains(&kind.as_str()))
    {
        return Some(format!("it has an event of all its rows: {kind}"));
    }
    if !shape.key_text_is_equality() {
        return Some("keys that are equal can have different texts".into());
    }
    (!table.has_keys)
        .then(|| "its key was changed meanwhile, or has values that are no text".into())
}

fn told(table: &Touched, fate: &Fate) -> String {
    let changes = table.changes;
    if table.kinds.iter().any(|kind| kind == "large") && *fate != Fate::GoesOn {
        return format!(
            "{changes} changes; rows that are too large for the log are kept nowhere else: save them first"
        );
    }
    match fate {
        Fate::GoesOn if changes > 0 => format!(
            "{changes} changes; got columns with values, which the provider does not have, and goes on: bring the \
             columns of both in line"
        ),
        Fate::GoesOn => "was not written, and goes on".into(),
        Fate::Keys => format!("{changes} changes; the rows of their keys are fetched"),
        Fate::Copy => format!("{changes} changes; is copied again"),
        Fate::Refused(why) => format!("{changes} changes; must be copied again: {why}"),
    }
}

fn word(fate: &Fate) -> Option<&'static str> {
    match fate {
        Fate::GoesOn | Fate::Refused(_) => None,
        Fate::Keys => Some("keys"),
        Fate::Copy => Some("copy"),
    }
}
