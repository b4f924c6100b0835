//! `replay restore`: makes a database, or single tables, as they were at a tick, from a base and what follows it.

mod abandon;
mod told;

use std::str::FromStr as _;

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    daemon_lock::DaemonLock,
    install::{self, Component, ownership},
    name::TableName,
    subscriber::{relation, restore as noted},
};

use super::{
    Job,
    archive::{
        identity::{self, IdentityArgs},
        opened::{Opened, chosen, open},
    },
};
use crate::{
    archive::verify::{self, Depth},
    files::batches::UpTo,
    frames::{manifest::Manifest, place::Time},
    restore::{
        Heir, Restoring,
        plan::{Asked, Begun, Plan, To, Wanted, plan},
    },
    set::host,
};

/// The arguments of `restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct FromArchiveArgs {
    /// The archive, where the config has several
    #[arg(long, value_name = "NAME")]
    pub(super) from: Option<String>,
    /// The database: a subscriber's name, or a connection string
    #[arg(long, value_name = "NAME|CONNINFO")]
    pub(super) into: String,
    /// The last tick: its number, or a time by the provider's clock (as 2026-11-28T09:30:00Z), or latest
    #[arg(long, value_name = "TIME|TICK|latest", default_value = "latest")]
    pub(super) to: String,
    /// Only this table, beside what is there, under another name if one is given; can be given several times
    #[arg(long = "table", value_name = "TABLE[=NEW]")]
    pub(super) tables: Vec<String>,
    /// The epoch of the queue that a tick's number is of, where several providers' queues have it; a branch, too
    #[arg(long, value_name = "EPOCH", allow_hyphen_values = true)]
    pub(super) epoch: Option<i64>,
    /// The base; else the newest one that serves
    #[arg(long, value_name = "BASE")]
    pub(super) base: Option<String>,
    /// Sessions that work at the same time
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: u16,
    /// Leave out owners and rights: whoever restores owns all
    #[arg(long)]
    pub(super) no_owner: bool,
    /// Only say what would be read
    #[arg(long)]
    pub(super) dry_run: bool,
    /// End a restore that has not ended and is not wanted any more, and drop the tables that --table has made for it
    #[arg(long, conflicts_with_all = ["dry_run", "base", "tables", "epoch"])]
    pub(super) abandon: bool,
    /// What the database is afterwards: on its own (the default; given so, it ends one that was begun with subscribe),
    /// or the subscriber that --into names, from the archive's end on
    #[arg(long, value_enum)]
    pub(super) then: Option<Then>,
    #[command(flatten)]
    pub(super) identity: IdentityArgs,
}

/// What a restored database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Then {
    /// An ordinary database
    Stop,
    /// A subscriber
    Subscribe,
}

/// Runs the command.
pub(crate) async fn run(job: &Job, args: &FromArchiveArgs) -> Result<Exit, Failure> {
    let archive = chosen(job, args.from.as_deref())?;
    let into = database(job, &args.into)?;
    let asked = to(&args.to)?;
    if args.epoch.is_some() && !matches!(asked, To::Tick(_)) {
        let text = "--epoch says of which queue a tick's number is: --to TICK";
        return Err(Failure::message(Exit::Usage, text));
    }
    let tables = tables(&args.tables)?;
    let consumer = format!("{}#restore", archive.consumer);
    if args.abandon {
        let session = bare(job, &into).await?;
        return abandon::abandon(job, (&session, &into), (&consumer, &args.into)).await;
    }
    let heir = heir(job, archive, args)?;
    let opened = args.identity.opens(job, open(job, archive)?)?;
    let found = verify::archive(&opened.store, &opened.identity, Depth::Lines)
        .with_context(|| format!("archive {} cannot be read", archive.name))?;
    let names: Vec<TableName> = tables.iter().map(|(table, _)| table.clone()).collect();
    let session = bare(job, &into).await?;
    let restore = Restore {
        job,
        archive,
        opened: &opened,
        into: &into,
        consumer,
        args,
        tables,
        heir,
    };
    let consumer = restore.consumer.as_str();
    if !args.dry_run && !(DaemonLock::Replay { consumer }).take(&*session).await? {
        let text = "nothing was done: another restore into this database is under way";
        return Err(Failure::message(Exit::Running, text));
    }
    let begun = restore.unfinished(&session).await?;
    let (wanted, to, epoch) = match &begun {
        None => (
            args.base.as_deref().map_or(Wanted::Newest, Wanted::Base),
            asked,
            args.epoch,
        ),
        // It goes on as it was begun, whatever the archive has got since.
        Some(begun) => {
            let (to, epoch) = match asked {
                To::Latest => (To::Tick(begun.end), begun.epoch),
                To::Tick(_) | To::Time(_) => (asked, args.epoch),
            };
            (Wanted::Base(&begun.base), to, epoch)
        }
    };
    let refused = |why| {
        let text = format!("nothing was done: archive {}: {why}", archive.name);
        Failure::message(Exit::Failed, text)
    };
    let what = Asked {
        wanted,
        to,
        epoch,
        tables: &names,
    };
    let plan = plan(&found, opened.identity.begin, &what).map_err(refused)?;
    if args.dry_run {
        if let (Some(heir), None) = (&restore.heir, &begun) {
            heir.refuse(&job.config, &session, plan.up_to).await?;
        }
        return restore.say_plan(&plan);
    }
    identity::fits(archive, &opened, &plan.segments)?;
    restore.run(session, begun, &plan).await
}

/// The subscriber that goes on with the database.
fn heir<'a>(
    job: &'a Job,
    archive: &'a ArchiveConfig,
    args: &FromArchiveArgs,
) -> Result<Option<Heir<'a>>, Failure> {
    if args.then != Some(Then::Subscribe) {
        return Ok(None);
    }
    let usage = |text: String| Err(Failure::message(Exit::Usage, text));
    let mut databases = job.config.subscribers.iter();
    let Some(subscriber) = databases.find(|one| one.source_name() == args.into) else {
        let text = "--then subscribe: --into names the subscriber of the config that goes on";
        return usage(text.into());
    };
    if args.to != "latest" || !args.tables.is_empty() {
        let text = "--then subscribe: all tables go on from the archive's end: no --to, no --table";
        return usage(text.into());
    }
    if job.config.is_member() || host::are_several(&job.config) {
        let text = "--then subscribe: a node of a set is made by replay install and add, or rejoin";
        return usage(text.into());
    }
    let mut sources = job.config.archive_sources.iter();
    if !sources.any(|source| source.address == archive.address) {
        let text = format!(
            "--then subscribe: archive {} is none of archive_sources, and what comes while the restore lasts is read \
             from there: nothing holds the queue for it",
            archive.name
        );
        return usage(text);
    }
    Ok(Some(Heir {
        archive,
        subscriber,
    }))
}

/// Reads a target.
fn to(text: &str) -> Result<To, Failure> {
    if text == "latest" {
        return Ok(To::Latest);
    }
    if let Ok(tick) = text.parse() {
        return Ok(To::Tick(tick));
    }
    Time::read(text).map(To::Time).ok_or_else(|| {
        let text = format!(
            "--to {text}: neither a tick's number, nor a time with its zone such as 2026-11-28T09:30:00Z, nor latest"
        );
        Failure::message(Exit::Usage, text)
    })
}

/// Reads `TABLE` or `TABLE=NEW`.
fn tables(texts: &[String]) -> Result<Vec<(TableName, TableName)>, Failure> {
    let read = |text: &str| {
        TableName::from_str(text).map_err(|bad| Failure::message(Exit::Usage, bad.to_string()))
    };
    let mut tables: Vec<(TableName, TableName)> = Vec::new();
    for text in texts {
        let (table, new) = text.split_once('=').unwrap_or((text, text));
        let (table, new) = (read(table)?, read(new)?);
        if tables.iter().any(|(one, _)| *one == table) {
            let text = format!("--table {table} is given twice: a restore makes one table of it");
            return Err(Failure::message(Exit::Usage, text));
        }
        tables.push((table, new));
    }
    Ok(tables)
}

/// The database that is meant: a subscriber of the config, or a connection string.
fn database(job: &Job, text: &str) -> Result<ConnectInfo, Failure> {
    let mut databases = job.config.subscribers.iter();
    if let Some(one) = databases.find(|one| one.source_name() == text) {
        return Ok(one.db.clone());
    }
    if !text.contains('=') && !text.contains("://") {
        let text = format!("--into {text}: neither a subscriber with db nor a connection string");
        return Err(Failure::message(Exit::Usage, text));
    }
    ConnectInfo::from_str(text)
        .map_err(|error| Failure::message(Exit::Usage, format!("--into: {error}")))
}

/// A session to a database that may have none of our schemas.
async fn bare(job: &Job, into: &ConnectInfo) -> Result<Session, Failure> {
    let name = ApplicationName::new(Purpose::Restore, job.name());
    Ok(into.connect(&name).await?)
}

/// A restore as it is asked for.
struct Restore<'a> {
    job: &'a Job,
    archive: &'a ArchiveConfig,
    opened: &'a Opened,
    into: &'a ConnectInfo,
    consumer: String,
    args: &'a FromArchiveArgs,
    /// The only tables, and what they are to be called; empty: all.
    tables: Vec<(TableName, TableName)>,
    /// Who goes on with the database.
    heir: Option<Heir<'a>>,
}

impl Restore<'_> {
    /// The restore that was begun with the same words and has not ended.
    async fn unfinished(&self, session: &Session) -> Result<Option<Begun>, Failure> {
        let Some((consumer, detail)) = noted::unfinished(&**session).await? else {
            return Ok(None);
        };
        let begun: Begun = serde_json::from_str(&detail)
            .context("what is noted in trunkline.restore cannot be read")?;
        let is_same = consumer == self.consumer
            && begun.archive == self.opened.identity.archive
            && begun.asked == self.asked()
            && self
                .args
                .base
                .as_ref()
                .is_none_or(|base| *base == begun.base)
            && begun.tables == self.words()
            // Nothing but the last step differs.
            && (begun.subscribes == self.heir.is_some()
                || begun.subscribes && self.args.then == Some(Then::Stop))
            && begun.no_owner == self.args.no_owner;
        if is_same {
            return Ok(Some(begun));
        }
        let tables: Vec<String> = begun
            .tables
            .iter()
            .map(|(table, new)| format!(" --table {table}={new}"))
            .collect();
        let text = format!(
            "nothing was done: another restore has begun in this database and not ended: --to {} --base {}{}{}{}",
            begun.asked,
            begun.base,
            tables.concat(),
            if begun.no_owner { " --no-owner" } else { "" },
            if begun.subscribes {
                " --then subscribe"
            } else {
                ""
            }
        );
        Err(Failure::message(Exit::Failed, text).with_hint(
            "end that one with the same words, give it up with --abandon, or begin in another database",
        ))
    }

    /// The target, as it was asked for.
    fn asked(&self) -> String {
        match self.args.epoch {
            None => self.args.to.clone(),
            Some(epoch) => format!("{} --epoch {epoch}", self.args.to),
        }
    }

    fn words(&self) -> Vec<(String, String)> {
        let tables = self.tables.iter();
        tables
            .map(|(table, new)| (table.to_string(), new.to_string()))
            .collect()
    }

    fn say_plan(&self, plan: &Plan<'_>) -> Result<Exit, Failure> {
        let (manifest, segments) = (plan.manifest, &plan.segments);
        let events: u64 = segments.iter().map(|line| line.events).sum();
        let bytes: u64 = segments.iter().map(|line| line.body_bytes).sum();
        let to = match plan.to {
            To::Latest => "the archive's end".to_owned(),
            To::Tick(tick) => format!("tick {tick}"),
            To::Time(time) => format!("the last tick up to {}", String::from(time)),
        };
        self.job.say(&format!(
            "base {} of tick {}, {} rows, {} bytes; then {} segments, {events} events, {bytes} bytes, to {to}",
            manifest.base,
            manifest.at.1.0,
            manifest.rows(),
            manifest.bytes(),
            segments.len(),
        ))?;
        Ok(Exit::Done)
    }

    async fn run(
        &self,
        mut session: Session,
        begun: Option<Begun>,
        plan: &Plan<'_>,
    ) -> Result<Exit, Failure> {
        let manifest = &identity::whole(self.archive, self.opened, plan.manifest)?;
        let tables = self.chosen(manifest);
        if begun.is_none() {
            if let Some(heir) = &self.heir {
                let refused = heir.refuse(&self.job.config, &session, plan.up_to);
                refused.await?;
            }
            self.refuse(&session, manifest, &tables).await?;
        }
        let had_schema = match &begun {
            Some(begun) => begun.had_schema,
            None => {
                let there = ownership::prove(&*session, ownership::Schema::SUBSCRIBER).await;
                !there
                    .context("could not look for schema trunkline")?
                    .is_empty()
            }
        };
        install::install(&mut session, &[Component::Subscriber])
            .await
            .context("could not make schema trunkline")?;
        let consumer = self.consumer.as_str();
        if !(DaemonLock::Replay { consumer }).take(&*session).await? {
            let text = "another restore into this database is under way";
            return Err(Failure::message(Exit::Running, text));
        }
        let (end, epoch) = match plan.up_to {
            UpTo::Tick(epoch, tick) => (tick.0, Some(epoch.0)),
            UpTo::End | UpTo::Time(_) => (0, None),
        };
        if begun.is_none() {
            let begun = Begun {
                archive: self.opened.identity.archive.clone(),
                asked: self.asked(),
                base: manifest.base.to_string(),
                end,
                epoch,
                tables: self.words(),
                no_owner: self.args.no_owner,
                had_schema,
                subscribes: self.heir.is_some(),
            };
            let detail = serde_json::to_string(&begun).context("could not note the restore")?;
            noted::begin(&*session, consumer, &detail).await?;
        }
        let restoring = Restoring {
            config: &self.job.config,
            archive: &self.archive.consumer,
            store: &self.opened.store,
            manifest,
            up_to: plan.up_to,
            on_branch: plan.on_branch,
            into: self.into,
            consumer,
            tables,
            is_whole: self.tables.is_empty(),
            streams: usize::from(self.args.jobs),
            no_owner: self.args.no_owner,
            had_schema,
            heir: self.heir.as_ref(),
        };
        match restoring.run().await {
            Ok(restored) => {
                let told = told::tell(self.job, manifest, &restored, self.tables.is_empty())?;
                let was_to_subscribe = begun.is_some_and(|begun| begun.subscribes);
                if was_to_subscribe && self.heir.is_none() {
                    let left = abandon::left_behind(self.job, self.into, &self.args.into).await?;
                    return Ok(if left { Exit::Part } else { told });
                }
                Ok(told)
            }
            Err(failure) => {
                // Where nothing was made, nothing is left.
                let done = noted::done(&*session, consumer).await;
                if done.is_ok_and(|done| done.len() <= 1) {
                    noted::end(&*session, consumer, !had_schema).await?;
                }
                Err(failure)
            }
        }
    }

    /// The tables of the base that are restored, each with its name there.
    fn chosen<'m>(
        &self,
        manifest: &'m Manifest,
    ) -> Vec<(&'m crate::frames::manifest::Table, TableName)> {
        let named = |table: &TableName| match self.tables.is_empty() {
            true => Some(table.clone()),
            false => {
                let mut tables = self.tables.iter();
                let found = tables.find(|(one, _)| one == table);
                found.map(|(_, new)| new.clone())
            }
        };
        let tables = manifest.tables.iter();
        tables
            .filter_map(|table| Some((table, named(&table.table())?)))
            .collect()
    }

    /// Refuses a database where a table is there that would be made, or a role is missing.
    async fn refuse(
        &self,
        session: &Session,
        manifest: &Manifest,
        tables: &[(&crate::frames::manifest::Table, TableName)],
    ) -> Result<(), Failure> {
        let failed =
            |text: String| Failure::message(Exit::Failed, format!("nothing was done: {text}"));
        let names = tables.iter().map(|(_, target)| target);
        let there = relation::which_exist(&**session, names.clone()).await?;
        let there: Vec<String> = names
            .zip(there)
            .filter(|(_, there)| *there)
            .map(|(name, _)| name.to_string())
            .collect();
        if !there.is_empty() {
            return Err(failed(format!("there already: {}", there.join(", "))).with_hint(
                "restore into an empty database; a single table gets another name by --table TABLE=NEW",
            ));
        }
        if self.args.no_owner || !self.tables.is_empty() {
            return Ok(());
        }
        let missing = noted::missing_roles(&**session, &manifest.roles).await?;
        if !missing.is_empty() {
            let text = format!(
                "the server lacks roles of the schema: {}",
                missing.join(", ")
            );
            return Err(failed(text).with_hint("create them, or leave owners out: --no-owner"));
        }
        Ok(())
    }
}
