//! One table's own events between two ticks: how a table catches up with the others.

use sql::{
    connect::Session,
    provider::{self, Batch, BatchFinder, Want},
    queue::tick::{Epoch, TickId},
    subscriber::{position::Position, table_state::TableRow},
};
use tracing::warn;

use crate::queue::{
    batches::Events,
    filters::Filters,
    shapes,
    track::{self, OffTrack, ProviderView},
};
use crate::{
    apply::Applier,
    change::{Change, Decoder},
    fold::{ChangeSet, chunk::Chunk},
    subscriber::refused,
    table::{self, Place},
    trouble::Trouble,
};

/// A provider session that reads one table's events.
pub(crate) struct TableReader {
    session: Session,
    finder: BatchFinder,
    decoder: Decoder,
    queue: String,
    epoch: Epoch,
    /// Where the table has a filter: a session beside the one that streams, to ask over.
    filtering: Option<(Session, Filters)>,
}

/// What a look for a table's next events found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The batch; none if there is no newer tick.
    pub batch: Option<Batch>,
    /// The provider's newest tick.
    pub last_tick: TickId,
}

impl TableReader {
    /// Prepares a session for one table of a subscriber whose position has this epoch. A table with
    /// a filter needs a second session, `filtering`, which streams nothing.
    pub(crate) async fn new(
        session: Session,
        filtering: Option<Session>,
        queue: &str,
        epoch: Epoch,
        row: &TableRow,
    ) -> Result<TableReader, Trouble> {
        let finder = BatchFinder::prepare(&*session)
            .await
            .map_err(Trouble::database("could not ask the provider for batches"))?;
        let decoder = shapes::decoder(&session, queue, Some(row.provider_oid)).await?;
        Ok(TableReader {
            session,
            finder,
            decoder,
            queue: queue.to_owned(),
            epoch,
            filtering: filtering.map(|session| (session, Filters::default())),
        })
    }

    /// The provider session, for what is to be asked between two batches.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// A copy shows more than the tick that its table's events begin at. Until the table has
    /// passed a tick that shows all of it, that tick must be there: a standby that was behind
    /// when it took over has the first one, and gives out transaction numbers that the copy's
    /// snapshot takes for its own.
    async fn check_copy(&self, row: &TableRow, place: &Place) -> Result<(), Trouble> {
        let shown_by = match &place.copied {
            Some(copied) if place.tick.id < copied.shown_by.id => copied.shown_by,
            Some(_) | None => return Ok(()),
        };
        let there = self
            .finder
            .tick(&*self.session, &self.queue, shown_by.id)
            .await
            .map_err(Trouble::database("could not look for a table's events"))?;
        if there == Some(shown_by) {
            return Ok(());
        }
        Err(Trouble::unfollowable(
            &row.table,
            format!(
                "its copy was made of a provider with tick {}, which this one does not have: \
                 the provider went back in time",
                shown_by.id
            ),
            "the table needs a resync: replay resync TABLE",
        ))
    }

    /// Finds the table's events after its place, not beyond tick `up_to`.
    pub(crate) async fn find(
        &self,
        row: &TableRow,
        place: &Place,
        up_to: Option<TickId>,
        max_events: i64,
    ) -> Result<Found, Trouble> {
        let filter = provider::table_filter(
            row.provider_oid,
            place.copied.as_ref().map(|copied| &copied.snapshot),
        );
        let want = Want {
            max_events,
            filter: Some(&filter),
            up_to,
        };
        let next = self
            .finder
            .after(&*self.session, &self.queue, place.tick.id, &want)
            .await
            .map_err(Trouble::database("could not look for a table's events"))?;
        let stands = Position {
            epoch: self.epoch,
            tick: place.tick,
        };
        let seen = ProviderView {
            epoch: next.epoch,
            tag_at_position: next.tag_at_position,
            last_tick: next.last_tick,
        };
        match track::check(stands, seen) {
            Ok(()) => {}
            // The other tables are not concerned: what this one waits for was given away.
            Err(lost @ OffTrack::Behind { .. }) => {
                return Err(Trouble::unfollowable(
                    &row.table,
                    lost.to_string(),
                    "the table needs a resync: replay resync TABLE",
                ));
            }
            Err(off) => return Err(off.into()),
        }
        self.check_copy(row, place).await?;
        Ok(Found {
            batch: next.batch,
            last_tick: next.last_tick,
        })
    }

    /// The events of a batch that an operator could skip: rows and TRUNCATE, by their numbers.
    pub(crate) async fn changes(&mut self, batch: &Batch) -> Result<Vec<i64>, Trouble> {
        let mut ids = Vec::new();
        let mut events = Events::open(&self.session, batch).await?;
        while let Some(change) = events.next(&mut self.decoder).await? {
            match change {
                Change::Rows(_) | Change::Truncate(_) => ids.push(events.event_id()),
                Change::Shape(_) | Change::Mark(..) | Change::Large(_) | Change::Nothing => {}
            }
        }
        Ok(ids)
    }

    /// One of them.
    pub(crate) async fn change(
        &mut self,
        batch: &Batch,
        event_id: i64,
    ) -> Result<Option<Change>, Trouble> {
        let one = batch.events_where(&format!("ev_id = {event_id}"));
        let mut events = Events::open(&self.session, &one).await?;
        let mut found = None;
        while let Some(change) = events.next(&mut self.decoder).await? {
            found = Some(change);
        }
        Ok(found)
    }

    /// Writes a batch of the table's events in the applier's open transaction.
    pub(crate) async fn apply(
        &mut self,
        applier: &mut Applier,
        row: &TableRow,
        batch: &Batch,
        chunk_bytes: usize,
    ) -> Result<(), Trouble> {
        let skipped = applier.skipped(self.epoch, row.provider_oid).await?;
        let mut events = Events::open(&self.session, batch).await?;
        let mut chunk = Chunk::default();
        while let Some(change) = events.next(&mut self.decoder).await? {
            let left_out = skipped.of_event(events.event_id());
            if left_out.is_some() {
                warn!(table = %row.table, event = events.event_id(), "change skipped");
            }
            match change {
                Change::Rows(rows) => chunk.rows(refused::without(rows, left_out)),
                Change::Truncate(_) if left_out.is_some() => {}
                Change::Truncate(shape) => chunk.truncate(&shape),
                Change::Shape(shape) => {
                    table::shape_can_go_on(&shape, &row.mapping).map_err(|misfit| {
                        Trouble::unfollowable(&row.table, misfit.why, misfit.advice)
                    })?
                }
                Change::Mark(shape, mark) => {
                    let sets = self.narrowed(row, chunk.take()).await?;
                    applier.write(&sets, batch.to.id).await?;
                    applier.mark(&shape, &mark, batch.to.id).await?;
                }
                Change::Large(_) => return Err(table::too_large(&row.table)),
                Change::Nothing => {}
            }
            if chunk.bytes() >= chunk_bytes {
                let sets = self.narrowed(row, chunk.take()).await?;
                applier.write(&sets, batch.to.id).await?;
            }
        }
        let sets = self.narrowed(row, chunk.take()).await?;
        applier.write(&sets, batch.to.id).await
    }

    /// What the table's filter takes of change sets; all where it has none.
    pub(crate) async fn narrowed(
        &mut self,
        row: &TableRow,
        sets: Vec<ChangeSet>,
    ) -> Result<Vec<ChangeSet>, Trouble> {
        let Some((session, filters)) = &mut self.filtering else {
            return Ok(sets);
        };
        let mut narrowed = Vec::with_capacity(sets.len());
        for set in sets {
            let of_set = filters.narrowed(session, &row.mapping, &set).await?;
            narrowed.push(of_set.unwrap_or(set));
        }
        Ok(narrowed)
    }
}
