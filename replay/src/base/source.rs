//! Where the rows of a base are read: tables that are locked, a snapshot that several sessions share, and the tick
//! whose rows the snapshot shows.

use std::time::Duration;

use admin::{
    config::{ArchiveConfig, ReplayConfig, SubscriberConfig},
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    base::{self, ExportedTick, Found},
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    event::shape::Shape,
    install::ownership::Schema,
    name::TableName,
    near,
    provider::{
        Capture,
        copy::{self, Relation},
        foreign_code,
    },
    queue::tick::Epoch,
    subscriber::{
        position::{self, Position},
        table_state::{self, Stand, TableRow},
    },
};

use super::making::{From, Kept, Making, Shapes, missing, newest_shapes};
use crate::{
    copy::plan::{Sizes, may_be_binary},
    frames::{manifest::Missing, place::Place},
};

/// How often the tables are locked anew because one was added, renamed or taken out in the same moment.
const TRIES: u32 = 10;

/// How often a tick of the provider is made while other transactions end in the same moment.
const TICKS: u32 = 10_000;

/// A subscriber whose tick is older than this many seconds is passed over where none is named.
const BEHIND: f64 = 300.0;

/// The rest between two such ticks.
const REST: Duration = Duration::from_millis(1);

/// A table that is open for reading.
pub(super) struct Table {
    pub(super) kept: Kept,
    /// The table, or its leaf partitions.
    pub(super) relations: Vec<Relation>,
    /// Rows are read in binary form.
    pub(super) binary: bool,
    /// Rows that were not as their changes said.
    pub(super) conflicts: u64,
}

/// Tables that are open for reading. The snapshot lives as long as this.
pub(super) struct Source {
    /// The tick whose rows are read.
    pub(super) at: Place,
    pub(super) tables: Vec<Table>,
    pub(super) sizes: Sizes,
    /// How further sessions connect, and to what.
    pub(super) info: ConnectInfo,
    pub(super) schemas: &'static [Schema],
    /// The snapshot's name for other sessions.
    pub(super) exported: String,
    session: Session,
    of_provider: bool,
}

impl Source {
    /// Locks the tables, and takes the snapshot. Gives the tables that are not in it, too, each with the reason.
    pub(super) async fn open(
        making: &Making<'_>,
        provider: &Session,
        kept: &[Kept],
    ) -> Result<(Source, Vec<Missing>), Failure> {
        match making.from {
            From::Subscriber(one) => off_subscriber(making, one, kept).await,
            From::Provider => off_provider(making, provider, kept).await,
        }
    }

    /// The name of the snapshot, where it is one of the provider.
    pub(super) fn of_provider(&self) -> Option<&str> {
        self.of_provider.then_some(self.exported.as_str())
    }

    /// Whether the session that keeps the snapshot is still there.
    pub(super) async fn is_alive(&self) -> bool {
        self.session.simple_query("select 1").await.is_ok()
    }
}

/// Which of the wanted tables a base reads.
fn is_wanted(making: &Making<'_>, kept: &Kept) -> bool {
    making.tables.is_empty() || making.tables.contains(&kept.table)
}

const NOT_ASKED_FOR: &str = "it was not asked for";

impl<'a> From<'a> {
    /// The source that the config names, or that a command has named; where none does, the first subscriber that
    /// follows closely and has a copy of each table of the archive, else the provider.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a name that no database of the config has.
    pub(crate) async fn named(
        config: &'a ReplayConfig,
        archive: &ArchiveConfig,
        name: Option<&str>,
    ) -> Result<From<'a>, Failure> {
        match name {
            None => by_itself(config, archive).await,
            Some("provider") => Ok(From::Provider),
            Some(name) => {
                let mut databases = config.subscribers.iter();
                let found = databases.find(|one| one.source_name() == name);
                found.map(From::Subscriber).ok_or_else(|| {
                    let names = config.subscribers.iter().map(SubscriberConfig::source_name);
                    let near = near::name(name, names.chain(["provider"]));
                    let file = config.daemon.config_file.display();
                    let near = near::did_you_mean(near);
                    let text = format!("{file}: no database is named {name}{near}");
                    Failure::message(Exit::Usage, text)
                })
            }
        }
    }
}

/// The first subscriber that answers, follows closely and has a copy of each table that the archive keeps, with all of
/// its columns; else the provider.
async fn by_itself<'a>(
    config: &'a ReplayConfig,
    archive: &ArchiveConfig,
) -> Result<From<'a>, Failure> {
    let name = ApplicationName::new(Purpose::Base, &config.daemon.job_name);
    let provider = config.provider.connect_for(&name, Schema::PROVIDER).await?;
    let mut kept = sql::provider::captures(&*provider, Some(&config.queue)).await?;
    kept.retain(|one| one.is_table_of(&archive.consumer) && !one.dropped);
    let shapes = newest_shapes(&provider, &config.queue).await?;
    for one in &config.subscribers {
        let Ok(session) = one.db.connect_for(&name, Schema::SUBSCRIBER).await else {
            continue;
        };
        let stored = position::find(&*session, &one.consumer).await?;
        let follows =
            |at: &position::Stored| !at.paused && !at.is_held && at.seconds_behind < BEHIND;
        if !stored.as_ref().is_some_and(follows) {
            continue;
        }
        let rows = rows(&session, one).await?;
        let is_copied = |capture: &Capture| {
            let mut rows = rows.iter();
            let row = rows.find(|row| row.provider_oid == capture.oid);
            row.is_some_and(|row| why_no_copy(row, &capture.name).is_none())
        };
        if kept.iter().all(is_copied) && have_all(&session, &kept, &shapes).await {
            return Ok(From::Subscriber(one));
        }
    }
    Ok(From::Provider)
}

/// Whether all tables of a subscriber can be read, with each column that the provider's have.
async fn have_all(session: &Session, kept: &[Capture], shapes: &Shapes) -> bool {
    for one in kept {
        let Some((shape, _)) = shapes.get(&one.oid) else {
            return false;
        };
        let found = base::look(&**session, &one.name).await;
        if !found.is_ok_and(|found| fits(shape, &found).is_ok()) {
            return false;
        }
    }
    true
}

async fn off_subscriber(
    making: &Making<'_>,
    one: &SubscriberConfig,
    kept: &[Kept],
) -> Result<(Source, Vec<Missing>), Failure> {
    let session = making.session(&one.db, Schema::SUBSCRIBER).await?;
    for _ in 0..TRIES {
        let (chosen, mut left) = chosen(making, &rows(&session, one).await?, kept);
        let names: Vec<TableName> = chosen.iter().map(|(kept, _)| kept.table.clone()).collect();
        base::begin(&*session, &names).await?;
        let exported = copy::export_snapshot(&*session).await?;
        // What was chosen before the locks must be so in the snapshot, too.
        let shown = rows(&session, one).await?;
        if chosen_names(making, &shown, kept) != names {
            end(&session).await?;
            continue;
        }
        let stored = position::find(&*session, &one.consumer).await?;
        let stored = stored.with_context(|| format!("consumer {} is gone", one.consumer))?;
        if stored.queue != making.config.queue {
            let text = format!("the subscriber's position is one in queue {}", stored.queue);
            return Err(Failure::message(Exit::Failed, text));
        }
        let mut tables = Vec::new();
        for (kept, row) in chosen {
            let found = base::look(&*session, &kept.table).await?;
            match fits(&kept.shape, &found) {
                Err(why) => left.push(missing(&kept.table, why)),
                Ok(binary) => tables.push(Table {
                    relations: copy::relations(&*session, found.oid).await?,
                    kept: kept.clone(),
                    binary,
                    conflicts: u64::try_from(row.conflicts).unwrap_or_default(),
                }),
            }
        }
        let source = Source {
            at: Place::from(stored.position),
            tables,
            sizes: Sizes {
                page_bytes: exported.page_bytes,
                streams: making.streams,
                reads_ranges: exported.reads_ranges,
            },
            info: one.db.clone(),
            schemas: Schema::SUBSCRIBER,
            exported: exported.name,
            session,
            of_provider: false,
        };
        return Ok((source, left));
    }
    let text = "the subscriber's tables have changed again and again while they were locked";
    Err(Failure::message(Exit::Failed, text).with_hint("repeat it"))
}

async fn end(session: &Session) -> Result<(), Failure> {
    let ended = session.batch_execute("rollback").await;
    Ok(ended.context("could not end a transaction on the subscriber")?)
}

async fn rows(session: &Session, one: &SubscriberConfig) -> Result<Vec<TableRow>, Failure> {
    Ok(table_state::list(&**session, &one.consumer).await?)
}

fn chosen_names(making: &Making<'_>, rows: &[TableRow], kept: &[Kept]) -> Vec<TableName> {
    let (chosen, _) = chosen(making, rows, kept);
    chosen.iter().map(|(kept, _)| kept.table.clone()).collect()
}

/// The tables that are copies of the provider's, and those that are not, with the reason. Pure.
fn chosen<'a>(
    making: &Making<'_>,
    rows: &[TableRow],
    kept: &'a [Kept],
) -> (Vec<(&'a Kept, TableRow)>, Vec<Missing>) {
    let (mut chosen, mut left) = (Vec::new(), Vec::new());
    for one in kept {
        let row = rows.iter().find(|row| row.provider_oid == one.oid);
        let why = match row {
            _ if !is_wanted(making, one) => NOT_ASKED_FOR.to_owned(),
            None => "the subscriber has not added it".into(),
            Some(row) => match why_no_copy(row, &one.table) {
                None => {
                    chosen.push((one, row.clone()));
                    continue;
                }
                Some(why) => why,
            },
        };
        left.push(missing(&one.table, why));
    }
    (chosen, left)
}

/// Why a subscriber's table is no copy of the provider's at its position. Pure.
fn why_no_copy(row: &TableRow, table: &TableName) -> Option<String> {
    let mapping = &row.mapping;
    if mapping.columns.is_some() || mapping.filter.is_some() || mapping.merge.is_some() {
        return Some("the subscriber has only a part of it".into());
    }
    if row.target() != table {
        return Some(format!("the subscriber has it as {}", row.target()));
    }
    match row.stand {
        Stand::Ok => None,
        Stand::Waiting
        | Stand::InCopy(_)
        | Stand::Loaded(_)
        | Stand::CatchingUp(_)
        | Stand::WannaSync(_)
        | Stand::Parked(_) => Some(format!(
            "it is {} on the subscriber",
            row.stand.state().as_str()
        )),
    }
}

/// Whether a table's rows are read in binary form; an error: why they cannot be read. Pure.
fn fits(shape: &Shape, found: &Found) -> Result<bool, String> {
    if let Some(code) = &found.code {
        return Err(format!(
            "{code}, which would run with the rights of replay's role where it is read"
        ));
    }
    let mut is_same = true;
    for column in &shape.columns {
        let there = found.columns.iter().find(|(name, ..)| *name == column.name);
        let Some((_, type_name, _)) = there else {
            return Err(format!("it has no column {} there", column.name));
        };
        is_same &= *type_name == column.type_name;
    }
    Ok(is_same && is_binary(shape, &found.columns))
}

fn is_binary(shape: &Shape, found: &[(String, String, u32)]) -> bool {
    let types = found
        .iter()
        .map(|(name, _, oid)| (name.clone(), *oid))
        .collect();
    let columns = &shape.columns;
    let names = columns.iter().map(|column| column.name.as_str());
    !columns.is_empty() && may_be_binary(names, &types, &types)
}

/// The snapshot is that of a tick which is made for it, so the rows are those at that tick.
async fn off_provider(
    making: &Making<'_>,
    provider: &Session,
    kept: &[Kept],
) -> Result<(Source, Vec<Missing>), Failure> {
    let wanted: Vec<&Kept> = kept.iter().filter(|one| is_wanted(making, one)).collect();
    let left = kept.iter().filter(|one| !is_wanted(making, one));
    let mut left: Vec<Missing> = left.map(|one| missing(&one.table, NOT_ASKED_FOR)).collect();
    let names: Vec<TableName> = wanted.iter().map(|one| one.table.clone()).collect();
    let session = making
        .session(&making.config.provider, Schema::PROVIDER)
        .await?;
    base::begin(&*session, &names).await?;
    let tick = tick(provider, &making.config.queue).await?;
    base::join(&*session, &tick.snapshot).await?;
    let exported = copy::export_snapshot(&*session).await?;
    let committed = provider.batch_execute("commit").await;
    committed.context("could not commit the base's tick on the provider")?;
    let epoch = sql::provider::queue_epoch(&**provider, &making.config.queue).await?;
    let epoch: Epoch = epoch.context("the provider's queue is gone")?;
    let mut tables = Vec::new();
    for one in wanted {
        if let Some(code) = foreign_code::functions(&*session, one.oid).await? {
            let why = format!("{code} would run with the rights of replay's role where it is read");
            left.push(missing(&one.table, why));
            continue;
        }
        let columns = sql::columns::named(&*session, one.oid).await?;
        tables.push(Table {
            relations: copy::relations(&*session, one.oid).await?,
            kept: one.clone(),
            binary: is_binary(&one.shape, &columns),
            conflicts: 0,
        });
    }
    let at = Position {
        epoch,
        tick: tick.tick,
    };
    let source = Source {
        at: Place::from(at),
        tables,
        sizes: Sizes {
            page_bytes: exported.page_bytes,
            streams: making.streams,
            reads_ranges: exported.reads_ranges,
        },
        info: making.config.provider.clone(),
        schemas: Schema::PROVIDER,
        exported: exported.name,
        session,
        of_provider: true,
    };
    Ok((source, left))
}

async fn tick(provider: &Session, queue: &str) -> Result<ExportedTick, Failure> {
    for _ in 0..TICKS {
        if let Some(tick) = base::tick(&**provider, queue).await? {
            return Ok(tick);
        }
        tokio::time::sleep(REST).await;
    }
    let text = "transactions end on the provider too often to make a tick for the base";
    Err(Failure::message(Exit::Failed, text).with_hint("make it off a subscriber, or repeat it"))
}
