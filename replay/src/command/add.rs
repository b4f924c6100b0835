//! `replay add`: capture on the provider, a row in state `-` on the subscriber; the running
//! daemon copies. Everything is checked before anything is made, table by table.

use std::collections::{HashMap, HashSet};

use admin::{
    config::SubscriberConfig,
    exit::{self, Exit, Failure},
};
use anyhow::{Context as _, anyhow};
use sql::{
    conflict::OnConflict,
    connect::Session,
    mapping::Mapping,
    name::{TableName, quote_ident},
    provider::{self, Candidate, WantedIdentity},
    table_state::{self, Existing, Registered, TableRow},
};

use crate::apply::SessionRole;

use super::{
    Job,
    choose::{Choice, Chosen, Wanted},
    create,
    fit::{self, Wish},
    label, patience, stored, turns, wait,
    wishes::{self, Wishes},
};

/// The arguments of `add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Tables, as schema.table; * and ? match in unquoted names
    #[arg(
        value_name = "TABLE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    tables: Vec<Wanted>,
    /// All tables that can be replicated
    #[arg(long)]
    all: bool,
    /// With --all: only schemas that match
    #[arg(long, value_name = "PATTERN", requires = "all")]
    schema: Option<String>,
    /// Not the tables that match
    #[arg(long, value_name = "PATTERN")]
    exclude: Option<String>,
    /// The subscriber's rows are the provider's already: copy nothing
    #[arg(long, conflicts_with = "truncate")]
    expect_sync: bool,
    /// Empty the subscriber's table before the copy
    #[arg(long)]
    truncate: bool,
    /// How rows are told apart, where the table has no key or another one is wanted: columns
    /// (a,b) that a unique index makes unique; full: by all columns; insert-only: updates and
    /// deletes are counted and left out
    #[arg(long, value_name = "COLS|full|insert-only", value_parser = identity)]
    identity: Option<WantedIdentity>,
    /// Keep the subscriber's rows; those with the provider's keys become the provider's
    #[arg(long, conflicts_with_all = ["truncate", "expect_sync"])]
    keep_rows: bool,
    /// Make tables that the subscriber lacks as they are on the provider, with their sequences and
    /// the types, functions and extensions that they need (by pg_dump; owned by replay's role,
    /// without triggers and rights)
    #[arg(long)]
    create: bool,
    /// What to do with a row of the subscriber that is not as its change says: the provider's row
    /// wins, or the table stops; job: as the config says. Of a table that is there already it is changed
    #[arg(long, value_name = "overwrite|stop|job")]
    on_conflict: Option<ConflictChoice>,
    #[command(flatten)]
    wishes: Wishes,
    /// Into one subscriber only
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait until the tables are ok, at most so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "")]
    wait: Option<String>,
}

/// What `--on-conflict` takes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ConflictChoice {
    Overwrite,
    Stop,
    Job,
}

impl ConflictChoice {
    fn stored(self) -> Option<OnConflict> {
        match self {
            ConflictChoice::Overwrite => Some(OnConflict::Overwrite),
            ConflictChoice::Stop => Some(OnConflict::Stop),
            ConflictChoice::Job => None,
        }
    }
}

impl AddArgs {
    /// How rows are told apart: without a word of it, as the table itself says.
    fn wanted_identity(&self) -> WantedIdentity {
        self.identity.clone().unwrap_or(WantedIdentity::Own)
    }

    fn existing(&self) -> Existing {
        match (self.truncate, self.expect_sync, self.keep_rows) {
            (true, _, _) => Existing::Truncate,
            (false, true, _) => Existing::Trust,
            (false, false, true) => Existing::Keep,
            (false, false, false) => Existing::Refuse,
        }
    }
}

/// Reads `--identity`.
fn identity(text: &str) -> Result<WantedIdentity, String> {
    match text {
        "full" => Ok(WantedIdentity::Full),
        "insert-only" => Ok(WantedIdentity::InsertOnly),
        columns => sql::name::columns(columns)
            .map(WantedIdentity::Columns)
            .map_err(|bad| bad.to_string()),
    }
}

/// Runs the command.
pub(crate) async fn run(job: &Job, args: &AddArgs) -> Result<Exit, Failure> {
    let patience = wait::limit(args.wait.as_deref())?;
    let by_name = matches!(args.tables[..], [Wanted::Name(_)]);
    args.wishes.check_number(by_name)?;
    let provider = job.provider().await?;
    let mut subscribers: Vec<Side<'_>> = Vec::new();
    for one in job.subscribers(args.subscriber.as_deref())? {
        subscribers.push(Side::open(job, one).await?);
    }
    let identity = args.wanted_identity();
    let candidates = provider::candidates(&*provider, job.queue(), &identity)
        .await
        .context("could not list the provider's tables")?;
    let choice = Choice {
        all: args.all,
        wanted: &args.tables,
        schema: args.schema.as_deref(),
        exclude: args.exclude.as_deref(),
    };
    let chosen = choice.of(candidates, |candidate| &candidate.table);
    let tally = add_chosen(job, args, &provider, &mut subscribers, chosen).await?;
    let exit = tally.exit(args.all)?;
    match patience {
        Some(limit) if !args.dry_run => {
            let waited = wait::for_tables(job, args.subscriber.as_deref(), limit).await?;
            Ok(if waited == Exit::Done { exit } else { waited })
        }
        Some(_) | None => Ok(exit),
    }
}

/// One subscriber as `add` sees it.
struct Side<'a> {
    config: &'a SubscriberConfig,
    session: Session,
    /// Tables that it replicates already.
    known: HashMap<TableName, TableRow>,
    /// Tables that were made, or with `--dry-run` would be.
    created: HashSet<TableName>,
}

impl<'a> Side<'a> {
    async fn open(job: &Job, config: &'a SubscriberConfig) -> Result<Side<'a>, Failure> {
        let session = job.subscriber(config).await?;
        stored(&session, config).await?;
        let known = table_state::list(&*session, &config.consumer)
            .await
            .with_context(|| format!("could not read the tables of {}", label(config)))?;
        Ok(Side {
            config,
            session,
            known: known
                .into_iter()
                .map(|row| (row.table.clone(), row))
                .collect(),
            created: HashSet::new(),
        })
    }
}

/// What became of the tables.
#[derive(Default)]
struct Tally {
    added: usize,
    refused: usize,
    busy: usize,
}

impl Tally {
    fn exit(&self, all: bool) -> Result<Exit, Failure> {
        if self.busy > 0 && self.refused == 0 && self.added == 0 {
            return Ok(Exit::TimedOut);
        }
        match (self.refused + self.busy, self.added) {
            (0, _) => Ok(Exit::Done),
            (_, 0) if !all => Ok(Exit::Failed),
            _ => Ok(Exit::Part),
        }
    }

    fn refuse(&mut self, table: &TableName, why: &str) {
        self.refused += 1;
        eprintln!("not added: {table}: {why}");
    }
}

async fn add_chosen(
    job: &Job,
    args: &AddArgs,
    provider: &Session,
    subscribers: &mut [Side<'_>],
    chosen: Chosen<Candidate>,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for table in &chosen.unknown {
        let why = provider::why_no_candidate(&**provider, table)
            .await
            .with_context(|| format!("could not look for {table} on the provider"))?;
        let why = why.unwrap_or_else(|| "does not exist on the provider".into());
        tally.refuse(table, &why);
    }
    // A partition comes with its table; whoever names one is told.
    let matched = chosen.matched.into_iter().filter(|one| !one.is_part);
    let mut candidates: Vec<Candidate> = chosen.named.into_iter().chain(matched).collect();
    turns::largest_first(provider, &mut candidates).await?;
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
        turns::parents_first(sessions, &mut candidates).await?;
    }
    for candidate in candidates {
        if let Some(why) = candidate.why_not() {
            tally.refuse(&candidate.table, &why);
            continue;
        }
        let columns = provider::captured_columns(&**provider, candidate.oid)
            .await
            .with_context(|| format!("could not read the columns of {}", candidate.table))?;
        warn_of_large_objects(provider, &candidate).await?;
        let mapping = match args.wishes.of(provider, &candidate, &columns).await? {
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
        let before = tally.added;
        for side in &mut *subscribers {
            add_to(job, args, provider, side, &wish, &mut tally).await?;
        }
        if tally.added > before {
            provider::hint_tables(&**provider, job.queue())
                .await
                .context("could not tell the daemon")?;
        }
    }
    Ok(tally)
}

/// The numbers of large objects are replicated like any number; the objects are not.
async fn warn_of_large_objects(provider: &Session, candidate: &Candidate) -> Result<(), Failure> {
    let columns = provider::large_object_columns(&**provider, candidate.oid)
        .await
        .with_context(|| format!("could not read the columns of {}", candidate.table))?;
    for column in columns {
        eprintln!(
            "warning: {}: if {} holds numbers of large objects, those are not replicated",
            candidate.table,
            quote_ident(&column)
        );
    }
    Ok(())
}

async fn add_to(
    job: &Job,
    args: &AddArgs,
    provider: &Session,
    side: &mut Side<'_>,
    wish: &Wish<'_>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let (candidate, mapping) = (wish.candidate, wish.mapping);
    let table = &candidate.table;
    let suffix = match &side.config.name {
        Some(name) => format!(" into {name}"),
        None => String::new(),
    };
    match side.known.get(table) {
        Some(row) if row.provider_oid == candidate.oid => {
            let asked = !args.all || !args.wishes.are_none();
            if asked && row.mapping != *mapping {
                let (before, now) = (wishes::describe(&row.mapping), wishes::describe(mapping));
                tally.refuse(
                    table,
                    &format!("is replicated{suffix} already ({before}), and not so ({now}): remove it, and add it again"),
                );
                return Ok(());
            }
            return is_there(job, args, side, table, &suffix).await;
        }
        Some(_) => {
            tally.refuse(
                table,
                "another table was replicated under that name: remove it, and add this one",
            );
            return Ok(());
        }
        None => {}
    }
    if let Some((before, _)) = side
        .known
        .iter()
        .find(|(_, row)| row.provider_oid == candidate.oid)
    {
        tally.refuse(
            table,
            &format!("is replicated under its name of before: remove {before}, and add this one"),
        );
        return Ok(());
    }
    let place = label(side.config);
    let would_be_made = args.dry_run && side.created.contains(table);
    if !would_be_made
        && let Some(why) = fit::refusal(&side.session, &side.config.consumer, &place, wish).await?
    {
        tally.refuse(table, &why);
        return Ok(());
    }
    if !would_be_made {
        let types = provider::captured_types(&**provider, candidate.oid)
            .await
            .with_context(|| format!("could not read the columns of {table}"))?;
        let differing = fit::types(&side.session, &place, wish, &types).await?;
        if let Some(why) = differing.refusal {
            tally.refuse(table, &why);
            return Ok(());
        }
        for warning in differing.warnings {
            eprintln!("warning: {table}: {warning}");
        }
    }
    if args.dry_run {
        let with = match mapping == &Mapping::default() {
            true => String::new(),
            false => format!(": {}", wishes::describe(mapping)),
        };
        return job.say(&format!("{table} would be added{suffix}{with}"));
    }
    let identity = args.wanted_identity();
    match capture(job, provider, &side.config.consumer, table, &identity).await {
        Ok(true) => {}
        Ok(false) => {
            tally.busy += 1;
            eprintln!(
                "not added: {table}: others hold locks on it on the provider, try again later"
            );
            return Ok(());
        }
        Err(error) => {
            tally.refuse(table, &exit::one_line(error.as_ref()));
            return Ok(());
        }
    }
    let registered = table_state::register(
        &*side.session,
        &side.config.consumer,
        table,
        candidate.oid,
        wish.existing,
        mapping,
    )
    .await
    .with_context(|| format!("could not register {table} on {place}"))?;
    if let Registered::TargetTaken(other) = registered {
        // Somebody was faster since it was looked at.
        let consumer = &side.config.consumer;
        patience::with_lock(async || {
            provider::remove_table(
                &**provider,
                job.queue(),
                consumer,
                table,
                Some(candidate.oid),
            )
            .await
        })
        .await
        .with_context(|| format!("could not end capture of {table}"))?;
        tally.refuse(
            table,
            &fit::target_is_taken(mapping.target_of(table), &place, &other),
        );
        return Ok(());
    }
    if let Some(choice) = args.on_conflict {
        choose(side, table, choice).await?;
    }
    tally.added += 1;
    job.say(&format!("{table} added{suffix}"))
}

/// A table that is replicated already: its choice for conflicts may change.
async fn is_there(
    job: &Job,
    args: &AddArgs,
    side: &Side<'_>,
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

/// Stores what happens with rows that are not as their changes say; false if that was so.
async fn choose(
    side: &Side<'_>,
    table: &TableName,
    choice: ConflictChoice,
) -> Result<bool, Failure> {
    Ok(table_state::set_on_conflict(
        &*side.session,
        &side.config.consumer,
        table,
        choice.stored(),
    )
    .await
    .with_context(|| format!("could not write the choice of {table}"))?)
}

/// Makes capture. False if the table's lock could not be had in time.
async fn capture(
    job: &Job,
    provider: &Session,
    consumer: &str,
    table: &TableName,
    identity: &WantedIdentity,
) -> anyhow::Result<bool> {
    patience::prepare(provider).await?;
    let made = patience::with_lock(async || {
        provider::add_table(&**provider, job.queue(), consumer, table, identity).await
    });
    match made.await {
        Ok(made) => Ok(made.is_some()),
        Err(error) => {
            let hint = error
                .as_db_error()
                .and_then(|db| db.hint())
                .map(str::to_owned);
            let error = anyhow::Error::new(error);
            Err(match hint {
                Some(hint) => anyhow!("{} ({hint})", exit::one_line(error.as_ref())),
                None => error,
            })
        }
    }
}
