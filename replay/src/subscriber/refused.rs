//! Finds the change that keeps a parked table from going on, by trying: with the daemon's own way of applying, over
//! sessions of the caller, and rolled back each time.
//!
//! Changes are applied in sets, so the set that fails names no change. The search has two steps:
//!
//! 1. The event. The batch is tried up to some event, by halves, until the events before that event pass, and those up
//!    to it fail for the batch's own reason.
//! 2. The row. It is the row without which the event passes; else the first row that fails in the same way by itself;
//!    else all of the event counts.

use std::collections::HashSet;

use sql::{
    connect::Session,
    provider::Batch,
    queue::tick::Epoch,
    subscriber::{
        skipped_change::RowNumber,
        table_state::{Place, TableRow},
    },
};

use crate::{
    apply::{Applier, ApplyTx},
    change::{Change, Rows},
    fold::chunk::Chunk,
    subscriber::tables::own_events::OwnEvents,
    trouble::{Refusal, Trouble},
};

/// What keeps a parked table from going on.
#[derive(Debug)]
pub(crate) enum Standing {
    /// A change that the subscriber refuses.
    Change(Refused),
    /// Another cause: a definition, a right, a mark, a lost position.
    NoChange(Trouble),
    /// Nothing any more: the next changes can be applied.
    Nothing,
}

/// A change that the subscriber refuses.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The number of the event.
    pub event_id: i64,
    /// The number of the row within the event, or 0 for all of the event.
    pub row_number: RowNumber,
    /// What the event does.
    pub kind: &'static str,
    /// The row's key as record text; none for all of an event.
    pub key: Option<String>,
    /// The subscriber's error.
    pub why: Trouble,
}

/// A search for the change that keeps a parked table from going on.
pub(crate) struct Search<'a, C: AsyncFn() -> Result<Session, Trouble>> {
    /// Opens a session to the provider: a session whose events were left half read is useless.
    pub connect: C,
    /// The queue.
    pub queue: &'a str,
    /// The queue's identity, as the subscriber knows it.
    pub epoch: Epoch,
    /// The table.
    pub row: &'a TableRow,
    /// The table's place.
    pub place: &'a Place,
    /// The daemon's setting of this name.
    pub max_batch_events: i64,
    /// The daemon's setting of this name.
    pub chunk_bytes: usize,
    /// The daemon changes columns as the provider's were changed (`replicate_ddl`).
    pub alters: bool,
}

impl<C: AsyncFn() -> Result<Session, Trouble>> Search<'_, C> {
    /// Runs the search. Nothing is written on either side.
    pub(crate) async fn run(&self, applier: &mut Applier) -> Result<Standing, Trouble> {
        applier.map_tables([self.row]);
        let mut own = self.own_events().await?;
        let batch = match own.find(self.place, self.max_batch_events).await {
            Ok(next) => next.batch,
            Err(lost @ Trouble::Table(_)) => return Ok(Standing::NoChange(lost)),
            Err(other) => return Err(other),
        };
        let Some(batch) = batch else {
            return Ok(Standing::Nothing);
        };
        let Err(why) = self.try_events(applier, &batch).await? else {
            return Ok(Standing::Nothing);
        };
        let Some(refusal) = why.refusal() else {
            return Ok(Standing::NoChange(why));
        };
        let ids = own.skippable(&batch).await?;
        let (mut passes, mut fails) = (0, ids.len());
        while fails > passes + 1 {
            let middle = passes.midpoint(fails);
            let first = own.narrow(self.place, &batch, 0..=ids[middle - 1]).await?;
            if fails_so(&self.try_events(applier, &first).await?, &refusal) {
                fails = middle;
            } else {
                passes = middle;
            }
        }
        let Some(&event_id) = fails.checked_sub(1).and_then(|place| ids.get(place)) else {
            return Ok(Standing::NoChange(why));
        };
        let refused = Refused {
            event_id,
            row_number: 0,
            kind: "truncate",
            key: None,
            why,
        };
        let event = own.narrow(self.place, &batch, event_id..=event_id).await?;
        match own.change(&event).await? {
            Some(Change::Rows(rows)) => {
                let before = match passes.checked_sub(1) {
                    None => None,
                    Some(last) => Some(own.narrow(self.place, &batch, 0..=ids[last]).await?),
                };
                let number = self
                    .row_of(applier, &mut own, before.as_ref(), &rows, &refusal)
                    .await?;
                Ok(Standing::Change(Refused {
                    row_number: number,
                    kind: rows.said.as_str(),
                    key: key_of(&rows, number),
                    ..refused
                }))
            }
            Some(Change::Truncate(_)) => Ok(Standing::Change(refused)),
            Some(
                Change::Shape(_)
                | Change::Altered(..)
                | Change::Mark(..)
                | Change::Large(_)
                | Change::Script(_)
                | Change::Nothing,
            )
            | None => Ok(Standing::NoChange(refused.why)),
        }
    }

    async fn own_events(&self) -> Result<OwnEvents<'_>, Trouble> {
        let session = (self.connect)().await?;
        let filtering = match self.row.mapping.filter {
            Some(_) => Some((self.connect)().await?),
            None => None,
        };
        OwnEvents::open(
            session,
            filtering,
            self.queue,
            self.epoch,
            self.row,
            self.chunk_bytes,
        )
        .await
        .map(|own| own.altering(self.alters))
    }

    /// Tries to apply a batch, rolls all of it back, and gives the result.
    async fn try_events(
        &self,
        applier: &mut Applier,
        batch: &Batch,
    ) -> Result<Result<(), Trouble>, Trouble> {
        let mut tx = applier.begin().await?;
        let tried = self.write(&mut tx, batch).await;
        tx.rollback().await?;
        match tried {
            Err(trouble @ Trouble::Table(_)) => Ok(Err(trouble)),
            Err(other) => Err(other),
            Ok(()) => Ok(Ok(())),
        }
    }

    /// Writes all of a batch in the open transaction.
    async fn write(&self, tx: &mut ApplyTx<'_>, batch: &Batch) -> Result<(), Trouble> {
        let mut own = self.own_events().await?;
        own.write(tx, batch).await?;
        tx.settle(batch.to.id).await
    }

    /// Finds the row of an event that is refused, on top of the events before it.
    async fn row_of(
        &self,
        applier: &mut Applier,
        own: &mut OwnEvents<'_>,
        before: Option<&Batch>,
        rows: &Rows,
        refusal: &Refusal,
    ) -> Result<RowNumber, Trouble> {
        let count = RowNumber::try_from(rows.rows.len()).unwrap_or(RowNumber::MAX);
        if count <= 1 {
            return Ok(count);
        }
        let mut tx = applier.begin().await?;
        if let Some(before) = before {
            self.write(&mut tx, before).await?;
        }
        let only = |number: RowNumber| (1..=count).filter(|one| *one != number).collect();
        let mut found = 0;
        for number in 1..=count {
            let others = self.try_rows(&mut tx, own, rows, [number].into()).await?;
            if others.is_ok() {
                found = number;
                break;
            }
        }
        if found == 0 {
            for number in 1..=count {
                if fails_so(
                    &self.try_rows(&mut tx, own, rows, only(number)).await?,
                    refusal,
                ) {
                    found = number;
                    break;
                }
            }
        }
        tx.rollback().await?;
        Ok(found)
    }

    /// Tries to apply some rows of an event, on top of the applied events, and gives the result.
    async fn try_rows(
        &self,
        tx: &mut ApplyTx<'_>,
        own: &mut OwnEvents<'_>,
        rows: &Rows,
        left_out: HashSet<RowNumber>,
    ) -> Result<Result<(), Trouble>, Trouble> {
        let mut chunk = Chunk::default();
        chunk.rows(rows.clone().without(Some(&left_out)));
        own.try_sets(tx, &chunk.take(), self.place.tick.id).await
    }
}

fn fails_so(tried: &Result<(), Trouble>, refusal: &Refusal) -> bool {
    tried
        .as_ref()
        .err()
        .and_then(Trouble::refusal)
        .is_some_and(|why| why == *refusal)
}

fn key_of(rows: &Rows, number: RowNumber) -> Option<String> {
    let place = usize::try_from(number).ok()?.checked_sub(1)?;
    Some(format!("({})", String::from_utf8_lossy(rows.key(place)?)))
}
