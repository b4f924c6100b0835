//! The events of one batch, folded into parts. This is the only way from events to change sets, for every writer.

use std::sync::Arc;

use sql::subscriber::skipped_change::Skipped;

use crate::{
    batch::{Barrier, BatchPart, End},
    change::{Change, IsNew},
    fold::chunk::Chunk,
    queue::events::Events,
    trouble::Trouble,
};

/// From this size on a part is handed over early if a subscriber has nothing to do and the rows come one by one.
/// Smaller parts would cost more statements than the waiting saves.
const EARLY_BYTES: usize = 1 << 20;

/// The mean number of rows of an event from which reading is several times as fast as writing. Waiting for a full part
/// then costs little, and its later events may make earlier rows needless.
const BLOCK_ROWS: usize = 8;

/// The parts of one batch, each read when it is asked for.
pub(crate) struct Parts<'a> {
    events: Events<'a>,
    settings: PartSizes,
    chunk: Chunk,
    /// The number of events with rows so far, and of the rows in them.
    blocks: usize,
    rows: usize,
    is_complete: bool,
}

/// How a batch is cut into parts.
#[derive(Debug, Default)]
pub(crate) struct PartSizes {
    /// Bytes of changes that a part may hold before it is handed over.
    pub chunk_bytes: usize,
    /// The changes that an operator has dropped: their rows are left out.
    pub skipped: Skipped,
    /// The provider had more events than the batch when it announced the batch.
    pub others_follow: bool,
    /// The rows are further on than the batch's begin: its events say what rows are, and not what was there before.
    pub once_more: bool,
}

impl<'a> Parts<'a> {
    /// The parts of a batch whose events are open and unread.
    pub(crate) fn new(events: Events<'a>, settings: PartSizes) -> Parts<'a> {
        Parts {
            events,
            settings,
            chunk: Chunk::default(),
            blocks: 0,
            rows: 0,
            is_complete: false,
        }
    }

    /// The next part; none after the last part. `is_awaited` tells whether a subscriber has nothing to do until the
    /// part comes: such a part may be handed over before it is full.
    pub(crate) async fn next(
        &mut self,
        is_awaited: impl Fn() -> bool,
    ) -> Result<Option<BatchPart>, Trouble> {
        if self.is_complete {
            return Ok(None);
        }
        let mut part = BatchPart::default();
        while let Some((event_id, change)) = self.events.next().await? {
            part.events += 1;
            self.take(event_id, change, &mut part);
            let is_full = self.chunk.bytes() >= self.settings.chunk_bytes
                || matches!(part.end, End::Before(_));
            let may_go_early =
                self.chunk.bytes() >= EARLY_BYTES && self.rows < BLOCK_ROWS * self.blocks;
            if is_full || may_go_early && is_awaited() {
                return Ok(Some(self.with_sets(part)));
            }
        }
        self.is_complete = true;
        part.end = End::Last {
            others_follow: self.settings.others_follow,
        };
        Ok(Some(self.with_sets(part)))
    }

    fn take(&mut self, event_id: i64, change: Change, part: &mut BatchPart) {
        let left_out = match change {
            Change::Rows(_) | Change::Truncate(_) => self.settings.skipped.of_event(event_id),
            Change::Shape(_)
            | Change::Altered(..)
            | Change::Large(_)
            | Change::Mark(..)
            | Change::Script(_)
            | Change::Nothing => None,
        };
        if left_out.is_some() {
            part.skipped.push(event_id);
        }
        match change {
            Change::Rows(mut rows) => {
                if self.settings.once_more {
                    rows.said = rows.said.as_state();
                }
                self.blocks += 1;
                self.rows += rows.rows.len();
                self.chunk.rows(rows.without(left_out));
            }
            Change::Truncate(_) if left_out.is_some() => {}
            Change::Truncate(shape) => self.chunk.truncate(&shape),
            Change::Shape(shape) => part.shapes.push(shape),
            Change::Altered(shape, altered, is_new) => {
                if is_new == IsNew::Yes {
                    part.shapes.push(Arc::clone(&shape));
                }
                part.end = End::Before(Barrier::Altered(shape, altered));
            }
            Change::Large(rows) => part.large.push(rows.shape.table.oid),
            Change::Mark(shape, mark) => part.end = End::Before(Barrier::Mark(shape, mark)),
            Change::Script(script) => part.end = End::Before(Barrier::Script(script)),
            Change::Nothing => {}
        }
    }

    fn with_sets(&mut self, part: BatchPart) -> BatchPart {
        BatchPart {
            bytes: self.chunk.bytes(),
            sets: self.chunk.take(),
            ..part
        }
    }
}
