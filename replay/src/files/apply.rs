//! Writes what an archive has to a subscriber's database, without a provider.

use std::{collections::BTreeMap, time::SystemTime};

use sql::{
    connect::Session,
    event::shape::Shape,
    name::TableName,
    provider::Heir,
    queue::{lineage::NodePath, tick::Snapshot},
    subscriber::{
        conflict::OnConflict,
        hop::{self, Hop},
        path,
        position::{self, Move, Position, Stored},
        session_role::SessionRole,
        table_state::{self, Stand, TableRow},
    },
};
use tracing::warn;

use super::{
    batches::{FileBatch, Files, Next, UpTo},
    border::Border,
    stream::Wanted,
    trail::{Ahead, NotThere},
};
use crate::{
    apply::{Applier, MoveTold},
    batch::{Barrier, End},
    frames::{
        frame::{Heirs, SequenceEntry, TickEntry},
        place::Time,
    },
    reading::parts::{PartSizes, Parts},
    subscriber::{
        followed::Followed,
        hop::plan::{self, NewUpstream, OwnPlace},
    },
    trouble::Trouble,
};

/// Batches of one tick each.
const TICK_BY_TICK: i64 = 0;

/// The database that is written to.
pub(crate) struct Database<'a> {
    /// A session of a role that may write the tables. Whoever calls makes sure that nobody else applies meanwhile.
    pub session: Session,
    /// The consumer whose position and tables count.
    pub consumer: &'a str,
    /// What happens when a row is not as its change says, for tables without a choice of their own.
    pub on_conflict: OnConflict,
    /// The role that the tables are written in.
    pub session_role: SessionRole,
    /// Bytes of changes that are held in memory before they are written.
    pub chunk_bytes: usize,
    /// Events merged into one transaction.
    pub max_events: i64,
    /// The tables are beside those that the changes are of, under names of their own: changes may come from the
    /// database itself, and nobody follows them from here.
    pub beside: bool,
    /// Columns of the tables are changed as the provider's were (`replicate_ddl`).
    pub alters: bool,
}

/// What has been applied so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// The batches that were committed.
    pub batches: u64,
    /// Their events, at most.
    pub events: u64,
    /// The rows that they wrote.
    pub rows: u64,
    /// The queue's sequences, by schema and name: each at least as far as it was at the last tick that is applied. All
    /// of them once a frame of the first position's segment is passed, or of the segment behind it.
    pub sequences: BTreeMap<(String, String), SequenceEntry>,
}

/// Where it ended.
#[derive(Debug)]
pub(crate) struct Reached {
    /// The subscriber's position now.
    pub position: Position,
    /// The tick behind it, where the archive has one already: it is beyond what was asked for.
    pub behind: Option<TickEntry>,
    /// What follows in the archive where all of it was asked for and no tick is left: its end, a file that is missing,
    /// or a hole.
    pub ahead: Option<Ahead>,
    /// The tables of the consumer that are not `ok`, which were not written.
    pub left: Vec<TableRow>,
    /// Rows that were not as their change said.
    pub conflicts: i64,
    /// The tables that frames have named and the consumer does not have, by their oids on the provider.
    pub unknown: BTreeMap<u32, TableName>,
    /// What was applied.
    pub done: Done,
}

/// Applies to a subscriber's database what an archive has after the database's position, up to a place, in chunks of
/// memory and in transactions of `max_events` events. No provider is asked.
///
/// `files` must have been opened at the position that `trunkline.position` has for the consumer. The tables in state
/// `ok` are written, all others stay as they are. `not_shown_by` leaves out what the tables have already: the snapshot
/// of a copy that shows more than the tick of the position. Each transaction takes the position with it, by
/// compare-and-swap, so a call that was killed is made again, with `files` opened at the new position. `told` hears of
/// each commit. Sequences are not set: [`Done::sequences`] has their values.
///
/// # Errors
/// [`Trouble::Stale`]: the position is another one, or somebody else has moved it meanwhile. [`Trouble::Table`]: a
/// table does not take its changes; what was committed before stays. [`Trouble::Operator`]: an object of the archive is
/// damaged, a table has a filter, which only the provider can apply, or the changes come from the database itself.
/// [`Trouble::Passing`]: a server or the archive's directory cannot be reached.
pub(crate) async fn apply(
    files: &mut Files,
    database: Database<'_>,
    up_to: UpTo,
    not_shown_by: Option<Snapshot>,
    mut told: impl FnMut(&FileBatch, &Done),
) -> Result<Reached, Trouble> {
    let mut writing = Writing::open(database, files.at(), not_shown_by).await?;
    writing.done.sequences.clone_from(files.sequences());
    let (behind, ahead) = loop {
        match files.next(writing.max_events, up_to)? {
            Next::Batch(batch) => {
                writing.batch(files, &batch).await?;
                told(&batch, &writing.done);
            }
            Next::Reached(tick) => break (Some(tick), None),
            Next::Nothing(Ahead::Hop(border)) if files.goes_over(&border, up_to)? => {
                writing.note_unknown(files);
                let behind = files.behind(&border)?;
                let behind = behind.map_err(|absent| not_behind(&border, &absent))?;
                writing.go_over(files, &border).await?;
                *files = behind;
            }
            Next::Nothing(ahead) => break (None, Some(ahead)),
        }
    };
    writing.note_unknown(files);
    let conflicts = writing.stored().await?.conflicts - writing.conflicts_before;
    Ok(Reached {
        position: files.at(),
        behind,
        ahead,
        left: writing.left,
        conflicts,
        unknown: writing.unknown,
        done: writing.done,
    })
}

fn not_behind(border: &Border, absent: &NotThere) -> Trouble {
    Trouble::Operator {
        doing: "stopped at the border to another provider's queue".into(),
        advice: "see replay archive check".into(),
        source: anyhow::anyhow!("{}: {absent}", border.name),
    }
}

/// A database that is being written.
struct Writing<'a> {
    applier: Applier,
    consumer: &'a str,
    followed: Followed,
    wanted: Wanted,
    left: Vec<TableRow>,
    unknown: BTreeMap<u32, TableName>,
    tables_version: i64,
    conflicts_before: i64,
    max_events: i64,
    chunk_bytes: usize,
    beside: bool,
    alters: bool,
    /// Its own queue logs what is applied: others may stand at any tick.
    relays: bool,
    done: Done,
}

impl<'a> Writing<'a> {
    async fn open(
        database: Database<'a>,
        at: Position,
        not_shown_by: Option<Snapshot>,
    ) -> Result<Writing<'a>, Trouble> {
        let Database {
            session,
            consumer,
            on_conflict,
            session_role,
            chunk_bytes,
            max_events,
            beside,
            alters,
        } = database;
        let stored = stored(&session, consumer).await?;
        if stored.position != at || stored.is_held {
            return Err(Trouble::Stale);
        }
        position::tell_session_role(&*session, consumer, session_role).await?;
        let relays = hop::relaying(&*session, consumer).await?.relays;
        let rows = table_state::list(&*session, consumer).await?;
        let is_ok = |row: &TableRow| row.stand == Stand::Ok;
        let (ok, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_ok);
        if let Some(row) = ok.iter().find(|row| row.mapping.filter.is_some()) {
            return Err(Trouble::Operator {
                doing: format!("table {} has a filter, and nothing was applied", row.table),
                advice:
                    "only the provider can say which rows a filter takes: remove the table, or \
                         let the daemon read the queue"
                        .into(),
                source: anyhow::anyhow!("no provider is asked"),
            });
        }
        let mut applier = Applier::new(session, consumer, on_conflict, session_role).await?;
        applier.choose(&ok);
        applier.map_tables(&ok);
        applier.guard().await?;
        let tables = ok.iter().map(|row| row.provider_oid).collect();
        let mut followed = Followed::new(None).altering(alters);
        followed.replace(ok);
        Ok(Writing {
            applier,
            consumer,
            followed,
            wanted: Wanted {
                tables: Some(tables),
                not_shown_by,
            },
            left,
            unknown: BTreeMap::new(),
            tables_version: stored.tables_version,
            conflicts_before: stored.conflicts,
            max_events: if relays { TICK_BY_TICK } else { max_events },
            chunk_bytes,
            beside,
            alters,
            relays,
            done: Done::default(),
        })
    }

    /// Notes the tables of the frames so far that the consumer does not have.
    fn note_unknown(&mut self, files: &Files) {
        let left = |oid| self.left.iter().any(|row| row.provider_oid == oid);
        let tables = files.tables().into_iter();
        let unknown = tables.filter(|(oid, _)| !self.followed.has(*oid) && !left(*oid));
        self.unknown.extend(unknown.collect::<Vec<_>>());
    }

    /// Goes over the border to another provider's queue: position and tables get the names that they have there.
    async fn go_over(&mut self, files: &Files, border: &Border) -> Result<(), Trouble> {
        let stored = self.stored().await?;
        if stored.position != Position::from(border.hop.from) || self.relays {
            return Err(match self.relays {
                false => Trouble::Stale,
                true => Trouble::Operator {
                    doing: "stopped at the border to another provider's queue".into(),
                    advice: "start replay: it moves to the provider, which knows this database"
                        .into(),
                    source: anyhow::anyhow!("others read what this database applies"),
                },
            });
        }
        let heirs = heirs(files.heirs(border)?)?;
        let rows = table_state::list(&**self.applier.session(), self.consumer).await?;
        let lost =
            OwnPlace::Lost("its own changes are not followed over the border of an archive".into());
        let tables: Vec<(TableRow, TableRow)> = rows
            .into_iter()
            .map(|row| {
                let to = NewUpstream {
                    heir: plan::heir_of(&row, Some(row.provider_oid), &heirs),
                    own: row.stand.place().map(|_| &lost),
                };
                let after = plan::after(&row, to);
                (row, after)
            })
            .collect();
        let to_time = border.to_time.map_or(SystemTime::UNIX_EPOCH, Time::system);
        let hop = Hop {
            from: stored.position,
            tables_version: stored.tables_version,
            to: border.hop.to.into(),
            to_time,
            origins: None,
            path: &NodePath::default(),
            address: None,
            tables: &tables,
        };
        let tx = self.applier.begin().await?;
        let told = MoveTold {
            queue: &stored.queue,
            event: "hopped",
            details: "goes on at another provider's changes, from an archive",
            upstream: None,
        };
        tx.commit_hop(&hop, &told).await?;
        let (ok, left): (Vec<_>, Vec<_>) = tables
            .into_iter()
            .map(|(_, after)| after)
            .partition(|row| row.stand == Stand::Ok);
        self.applier.choose(&ok);
        self.applier.map_tables(&ok);
        self.followed = Followed::new(None).altering(self.alters);
        self.wanted.tables = Some(ok.iter().map(|row| row.provider_oid).collect());
        // A snapshot's numbers are another server's.
        self.wanted.not_shown_by = None;
        self.followed.replace(ok);
        self.left = left;
        self.tables_version = self.stored().await?.tables_version;
        Ok(())
    }

    async fn stored(&self) -> Result<Stored, Trouble> {
        stored(self.applier.session(), self.consumer).await
    }

    async fn batch(&mut self, files: &mut Files, batch: &FileBatch) -> Result<(), Trouble> {
        let header = batch.header(!self.relays);
        let mut lineage = header.lineage.clone();
        if self.followed.len() == 0 || self.beside {
            lineage.path = NodePath::default();
        } else {
            self.refuse_circle(&lineage.path).await?;
        }
        let settings = PartSizes {
            chunk_bytes: self.chunk_bytes,
            ..PartSizes::default()
        };
        let mut parts = Parts::new(files.events(batch, self.wanted.clone()), settings);
        self.followed.begin_batch();
        let mut tx = self.applier.begin().await?;
        while let Some(part) = parts.next(|| false).await? {
            self.followed
                .write(&mut tx, &part, header.to.tick.id)
                .await?;
            if let End::Before(Barrier::Script(script)) = &part.end {
                // The tables follow their shapes. What else a script has made is not an archive's to make.
                warn!(script = %script.id, tick = header.to.tick.id.0, "a script of the archive is not executed");
            }
        }
        let step = Move {
            from: header.from,
            tables_version: self.tables_version,
            to: header.to.tick,
            to_time: Some(header.to_time),
            conflicts: 0,
            lineage,
            is_kept: self.relays,
        };
        let committed = tx.commit_move(step).await;
        let rows = committed.map_err(|trouble| self.followed.under_its_stored_name(trouble))?;
        self.done.batches += 1;
        self.done.events += batch.events;
        self.done.rows += rows;
        for one in &batch.sequences {
            let key = (one.0.clone(), one.1.clone());
            self.done.sequences.insert(key, one.clone());
        }
        Ok(())
    }

    async fn refuse_circle(&self, above: &NodePath) -> Result<(), Trouble> {
        let own = path::own_node(&**self.applier.session()).await?;
        match own.filter(|own| above.leads_back_to(*own)) {
            None => Ok(()),
            Some(own) => Err(Trouble::Operator {
                doing: "stopped, nothing was applied".into(),
                advice: "this database has written the changes itself, or has passed them on"
                    .into(),
                source: anyhow::anyhow!(
                    "circle: the archive carries changes of this database (node {own})"
                ),
            }),
        }
    }
}

fn heirs(heirs: Heirs) -> Result<Vec<Heir>, Trouble> {
    let unreadable = |error| Trouble::Operator {
        doing: "could not read the tables behind a border of the archive".into(),
        advice: "see replay archive verify; or a later version has written them".into(),
        source: anyhow::Error::new(error),
    };
    let tables = heirs.tables.into_iter().map(|one| {
        let definition = one.shape.map(|text| text.get().to_owned());
        let shape = definition.as_deref().map(Shape::from_json).transpose();
        Ok(Heir {
            log_oid: one.was,
            oid: one.oid,
            table: TableName::new(one.schema, one.name),
            flaw: one.flaw,
            shape: shape.map_err(unreadable)?,
            definition,
        })
    });
    tables.collect()
}

async fn stored(session: &Session, consumer: &str) -> Result<Stored, Trouble> {
    let found = position::find(&**session, consumer).await?;
    found.ok_or_else(|| Trouble::Operator {
        doing: format!("consumer {consumer} has no position in this database"),
        advice: "run: replay install".into(),
        source: anyhow::anyhow!("nothing was applied"),
    })
}
