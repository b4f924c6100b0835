//! One table's own events between two ticks: how a table is read and written whose place is not the subscriber's
//! position.

use std::{collections::HashSet, ops::RangeInclusive, sync::Arc};

use sql::{
    connect::Session,
    provider::{Batch, Only, Want},
    queue::tick::{Epoch, TickId},
    script::Script,
    subscriber::{
        position::Position,
        table_state::{Place, TableRow},
    },
};
use tracing::warn;

use crate::{
    apply::ApplyTx,
    batch::{Barrier, BatchPart, End},
    change::Change,
    files::{
        batches::{FileBatch, Files},
        stream::Wanted,
    },
    fold::ChangeSet,
    queue::{
        batches::{Answer, Next, Queue},
        track::OffTrack,
    },
    reading::parts::{PartSizes, Parts},
    subscriber::{followed::Followed, hop::states::unmendable, scripts},
    trouble::Trouble,
};

/// A number of events that no queue reaches, and that does not overflow when an event's number is added.
const EVERYTHING: i64 = 1 << 62;

const NEEDS_RESYNC: &str = "the table needs a resync: replay resync TABLE";

/// Reads one table's events over a session to the provider, and writes them.
pub(crate) struct OwnEvents<'a> {
    queue: Queue,
    row: &'a TableRow,
    epoch: Epoch,
    chunk_bytes: usize,
    /// A list of the one table.
    followed: Followed,
    /// The script that the last write has stopped at.
    stopped_by: Option<Script>,
    /// The script that the last write has met, and that the subscriber does not know.
    unknown: Option<Script>,
}

impl<'a> OwnEvents<'a> {
    /// Prepares to read one table of a subscriber whose position has this epoch. A table with a filter needs a second
    /// session, `filtering`, which streams nothing.
    pub(crate) async fn open(
        session: Session,
        filtering: Option<Session>,
        queue: &str,
        epoch: Epoch,
        row: &'a TableRow,
        chunk_bytes: usize,
    ) -> Result<OwnEvents<'a>, Trouble> {
        let mut followed = Followed::new(filtering.map(Arc::new));
        followed.insert(row.clone());
        Ok(OwnEvents {
            queue: Queue::open(session, queue, Some(row.provider_oid)).await?,
            row,
            epoch,
            chunk_bytes,
            followed,
            stopped_by: None,
            unknown: None,
        })
    }

    /// The same; the table's columns are changed as the provider's were, or are not (`replicate_ddl`).
    pub(crate) fn altering(self, alters: bool) -> OwnEvents<'a> {
        OwnEvents {
            followed: self.followed.altering(alters),
            ..self
        }
    }

    /// The provider's session, for questions between two batches.
    pub(crate) fn session(&self) -> &Session {
        self.queue.session()
    }

    /// Finds the table's events after its place; `max_events` as in [`Want`]. Events that are applied once more are one
    /// batch: between them the rows would be as they were before.
    pub(crate) async fn find(&self, place: &Place, max_events: i64) -> Result<Next, Trouble> {
        let want = Want {
            max_events: place.overlap.map_or(max_events, |_| EVERYTHING),
            only: self.only(place),
            up_to: place.overlap,
        };
        self.ask(place, &want).await
    }

    /// Finds all of the table's events after its place, up to a tick.
    pub(crate) async fn find_up_to(
        &self,
        place: &Place,
        up_to: TickId,
    ) -> Result<Option<Batch>, Trouble> {
        let want = Want {
            max_events: EVERYTHING,
            only: self.only(place),
            up_to: Some(up_to),
        };
        Ok(self.ask(place, &want).await?.batch)
    }

    /// The batch limited to the events with these numbers; the batch was found after a place.
    pub(crate) async fn narrow(
        &self,
        place: &Place,
        batch: &Batch,
        events: RangeInclusive<i64>,
    ) -> Result<Batch, Trouble> {
        let want = Want {
            max_events: EVERYTHING,
            only: Only {
                events: Some(events),
                ..self.only(place)
            },
            up_to: Some(batch.to.id),
        };
        let found = self.ask(place, &want).await?.batch;
        found
            .filter(|found| found.to == batch.to)
            .ok_or(Trouble::Stale)
    }

    fn only(&self, place: &Place) -> Only {
        Only {
            table: Some(self.row.provider_oid),
            not_shown_by: place.copied.as_ref().map(|copied| copied.snapshot.clone()),
            events: None,
        }
    }

    async fn ask(&self, place: &Place, want: &Want) -> Result<Next, Trouble> {
        let stands = Position {
            epoch: self.epoch,
            tick: place.tick,
        };
        let next = match self.queue.after(stands, want).await? {
            // The other tables are not concerned: only events that this table waits for were dropped.
            Answer::Off(lost @ OffTrack::Behind { .. }) => {
                return Err(Trouble::unfollowable(
                    &self.row.table,
                    lost.to_string(),
                    NEEDS_RESYNC,
                ));
            }
            answer @ (Answer::OnTrack(_) | Answer::Off(_)) => answer.on_track()?,
        };
        self.check_copy(place).await?;
        Ok(next)
    }

    /// Checks that the provider still is the server that was copied. A copy shows more than the tick that its table's
    /// events begin at. Until the table has passed a tick that shows all of the copy, that tick must exist. A standby
    /// that was behind when it took over has only the first tick, and gives out transaction numbers that the copy's
    /// snapshot seems to show.
    async fn check_copy(&self, place: &Place) -> Result<(), Trouble> {
        let shown_by = match &place.copied {
            Some(copied) if place.tick.id < copied.shown_by.id => copied.shown_by,
            Some(_) | None => return Ok(()),
        };
        if self.queue.tick(shown_by.id).await? == Some(shown_by) {
            return Ok(());
        }
        Err(Trouble::unfollowable(
            &self.row.table,
            format!(
                "its copy was made of a provider with tick {}, which this one does not have: \
                 the provider went back in time",
                shown_by.id
            ),
            NEEDS_RESYNC,
        ))
    }

    /// The events of a batch that an operator could skip: rows and TRUNCATE, by their numbers.
    pub(crate) async fn skippable(&mut self, batch: &Batch) -> Result<Vec<i64>, Trouble> {
        let mut ids = Vec::new();
        let mut events = self.queue.events(batch).await?;
        while let Some((event_id, change)) = events.next().await? {
            match change {
                Change::Rows(_) | Change::Truncate(_) => ids.push(event_id),
                Change::Shape(_)
                | Change::Altered(..)
                | Change::Mark(..)
                | Change::Large(_)
                | Change::Script(_)
                | Change::Nothing => {}
            }
        }
        Ok(ids)
    }

    /// The change of the one event of a batch; none if the batch has no event.
    pub(crate) async fn change(&mut self, batch: &Batch) -> Result<Option<Change>, Trouble> {
        let mut events = self.queue.events(batch).await?;
        let mut found = None;
        while let Some((_, change)) = events.next().await? {
            found = Some(change);
        }
        Ok(found)
    }

    /// Writes a batch of the table's events in the open transaction, but for what an
    /// operator has dropped.
    pub(crate) async fn write(
        &mut self,
        tx: &mut ApplyTx<'_>,
        batch: &Batch,
    ) -> Result<(), Trouble> {
        let once_more = self.once_more(batch.to.id);
        self.write_seen(tx, batch, once_more, |_| Ok(())).await
    }

    /// The same; `once_more`: as states. `see` is told of each part.
    pub(crate) async fn write_seen(
        &mut self,
        tx: &mut ApplyTx<'_>,
        batch: &Batch,
        once_more: bool,
        mut see: impl FnMut(&BatchPart) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let settings = PartSizes {
            chunk_bytes: self.chunk_bytes,
            skipped: tx.skipped(self.epoch, self.row.provider_oid).await?,
            once_more,
            ..PartSizes::default()
        };
        let parts = Parts::new(self.queue.events(batch).await?, settings);
        let mut writing = Writing {
            row: self.row,
            followed: &mut self.followed,
            stopped_by: &mut self.stopped_by,
            unknown: &mut self.unknown,
        };
        let how = (batch.to.id, once_more);
        writing.write(tx, parts, how, &mut see).await
    }

    /// Writes the table's events of a batch of an archive in the open transaction, but for what an operator has
    /// dropped. The place is behind the table's copy, and nothing is applied once more.
    pub(crate) async fn write_files(
        &mut self,
        tx: &mut ApplyTx<'_>,
        files: &mut Files,
        batch: &FileBatch,
    ) -> Result<(), Trouble> {
        let settings = PartSizes {
            chunk_bytes: self.chunk_bytes,
            skipped: tx.skipped(self.epoch, self.row.provider_oid).await?,
            ..PartSizes::default()
        };
        let wanted = Wanted {
            tables: Some(HashSet::from([self.row.provider_oid])),
            not_shown_by: None,
        };
        let parts = Parts::new(files.events(batch, wanted), settings);
        let mut writing = Writing {
            row: self.row,
            followed: &mut self.followed,
            stopped_by: &mut self.stopped_by,
            unknown: &mut self.unknown,
        };
        let how = (batch.to.tick.id, false);
        writing.write(tx, parts, how, &mut |_| Ok(())).await
    }

    /// Whether the queue has given away events after the table's place.
    pub(crate) async fn is_given_away(&self, place: &Place) -> Result<bool, Trouble> {
        let stands = Position {
            epoch: self.epoch,
            tick: place.tick,
        };
        let want = Want {
            max_events: 0,
            only: self.only(place),
            up_to: None,
        };
        let answer = self.queue.after(stands, &want).await?;
        Ok(matches!(answer, Answer::Off(OffTrack::Behind { .. })))
    }

    /// The tick before the script that the last write has stopped at; none: it has not stopped at one, or the tick is
    /// not known.
    pub(crate) fn take_tick_before_script(&mut self) -> Option<TickId> {
        self.stopped_by.take()?.tick.map(TickId)
    }

    /// The script that the last write has met, and that the subscriber has not come to, or has gone past without it.
    pub(crate) fn take_unknown(&mut self) -> Option<Script> {
        self.unknown.take()
    }

    /// Writes a change set of the table, which is of no event, in the open transaction.
    pub(crate) async fn write_set(
        &mut self,
        tx: &mut ApplyTx<'_>,
        set: ChangeSet,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let part = BatchPart {
            sets: vec![set],
            ..BatchPart::default()
        };
        self.followed.write(tx, &part, tick).await
    }

    /// Whether events up to a tick are applied once more.
    fn once_more(&self, to: TickId) -> bool {
        let until = self.row.stand.place().and_then(|place| place.overlap);
        until.is_some_and(|until| to <= until)
    }

    /// Writes change sets of the table on trial, on top of what is written, and gives the result; the sets are rolled
    /// back.
    pub(crate) async fn try_sets(
        &mut self,
        tx: &mut ApplyTx<'_>,
        sets: &[ChangeSet],
        tick: TickId,
    ) -> Result<Result<(), Trouble>, Trouble> {
        let sets = self.followed.narrowed(sets.iter().collect()).await?;
        tx.try_sets(&sets, tick).await
    }
}

/// The table's side of a batch that is written.
struct Writing<'a> {
    row: &'a TableRow,
    followed: &'a mut Followed,
    stopped_by: &'a mut Option<Script>,
    unknown: &'a mut Option<Script>,
}

impl Writing<'_> {
    async fn write(
        &mut self,
        tx: &mut ApplyTx<'_>,
        mut parts: Parts<'_>,
        (to, once_more): (TickId, bool),
        see: &mut impl FnMut(&BatchPart) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        while let Some(part) = parts.next(|| false).await? {
            if once_more
                && let Some(found) =
                    unmendable(&part, |oid| self.followed.has(oid), self.followed.alters())
            {
                let why = found.why.to_owned();
                return Err(Trouble::unfollowable(&self.row.table, why, NEEDS_RESYNC));
            }
            see(&part)?;
            for event in &part.skipped {
                warn!(table = %self.row.table, event, "change skipped");
            }
            self.followed.write(tx, &part, to).await?;
            if let End::Before(Barrier::Script(script)) = &part.end
                && script.touches(self.row.provider_oid, &self.row.table)
            {
                // The table's changes behind a script are of what the script makes of it. The batch loop executes
                // scripts, and no table's own task does: a script may touch several tables.
                match tx.script_state(script).await? {
                    Some((state, _)) if state.is_over() => {}
                    Some((_, why)) => {
                        *self.stopped_by = Some(Script::clone(script));
                        return Err(scripts::is_open(&self.row.table, script, why.as_ref()));
                    }
                    None => {
                        *self.unknown = Some(Script::clone(script));
                        return Err(Trouble::passing(
                            format!("table {} waits for script {}", self.row.table, script.id),
                            anyhow::anyhow!("the subscriber has not come to it yet"),
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
