//! Reads batch after batch ahead of who applies them, and folds them: while one part of a batch
//! is written to the subscriber, the next one is fetched, decoded and folded.

use std::sync::Arc;

use super::shared::{Patience, Seat};
use crate::queue::{
    batches::Events,
    shapes,
    ticks::Ticks,
    track::{self, ProviderView},
};
use crate::{
    change::{Change, Decoder},
    fold::{ChangeSet, chunk::Chunk},
    trouble::Trouble,
};
use sql::{
    event::{Mark, shape::Shape},
    provider::{BatchFinder, Want},
    subscriber::position::Position,
};

/// From this size on a part goes to a subscriber that has nothing to do, if its rows come one by
/// one. Smaller ones would cost more statements than the waiting saves.
const EARLY_BYTES: usize = 1 << 20;

/// Rows of an event, in the mean, from which reading is several times as fast as writing: waiting
/// for a full part then costs little, and what comes in it may make earlier rows needless.
const BLOCK_ROWS: usize = 8;

/// What the reader hands over, in this order: `Begin`, then parts, one at least.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    /// A batch begins.
    Begin(Header),
    /// Changes of the batch, folded.
    Part(Arc<Part>),
    /// Nothing more comes: read on from the position.
    LetGo,
}

/// A part of a batch, `chunk_size` at the most and one event more.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The change sets of all tables, those of one table in order.
    pub sets: Vec<ChangeSet>,
    /// The shapes that tables have got.
    pub shapes: Vec<Arc<Shape>>,
    /// The tables of which a row is too large to be in the queue, by their oids.
    pub large: Vec<u32>,
    /// What capture marks of a table, behind the sets.
    pub mark: Option<(Arc<Shape>, Mark)>,
    /// Bytes that the sets hold in memory, about.
    pub bytes: usize,
    /// Events read.
    pub events: u64,
    /// The batch is complete.
    pub last: bool,
    /// The provider had more than the batch when it announced it: the batch is as large as one may be.
    pub others_follow: bool,
}

impl Part {
    fn fill(&mut self, chunk: &mut Chunk) {
        self.bytes = chunk.bytes();
        self.sets = chunk.take();
    }
}

/// A batch as the provider announces it.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// The position that the batch begins at.
    pub from: Position,
    /// The position that it ends at.
    pub to: Position,
    /// When its last tick was made, by the provider's clock.
    pub to_time: std::time::SystemTime,
}

/// What the reader reads.
#[derive(Clone)]
pub(crate) struct Feed {
    /// The queue.
    pub queue: String,
    /// Events merged into one batch when behind.
    pub max_events: i64,
    /// Bytes of changes held in memory before they are handed over.
    pub chunk_bytes: usize,
    /// Tells when to look for new ticks.
    pub ticks: Ticks,
}

/// Reads for the members of a room, from a position that they all stand at.
pub(super) async fn run(seat: Seat, feed: Feed, from: Position) {
    if let Err(trouble) = read(&seat, feed, from).await {
        seat.fail(trouble);
    }
}

async fn read(seat: &Seat, mut feed: Feed, mut from: Position) -> Result<(), Trouble> {
    let session = seat.session().await?;
    let finder = BatchFinder::prepare(&*session)
        .await
        .map_err(Trouble::database("could not ask the provider for batches"))?;
    let mut decoder = shapes::decoder(&session, &feed.queue, None).await?;
    loop {
        let want = Want {
            max_events: seat.max_events(),
            ..Want::default()
        };
        feed.ticks.mark();
        let next = finder
            .after(&*session, &feed.queue, from.tick.id, &want)
            .await
            .map_err(Trouble::database(
                "could not look for a batch on the provider",
            ))?;
        track::check(
            from,
            ProviderView {
                epoch: next.epoch,
                tag_at_position: next.tag_at_position,
                last_tick: next.last_tick,
            },
        )?;
        let Some(batch) = next.batch else {
            if seat.merge(from) {
                return Ok(());
            }
            feed.ticks.wait().await;
            continue;
        };
        let header = Header {
            from,
            to: Position {
                epoch: from.epoch,
                tick: batch.to,
            },
            to_time: batch.to_time,
        };
        from = header.to;
        let others_follow = next.last_tick > header.to.tick.id;
        let mut patience = seat.begin();
        let events = Events::open(&session, &batch).await?;
        if !seat.deliver(Delivery::Begin(header), &mut patience).await {
            return Ok(());
        }
        let chunk_bytes = feed.chunk_bytes;
        let last = read_batch(events, &mut decoder, chunk_bytes, seat, &mut patience).await?;
        let Some(last) = last else {
            return Ok(());
        };
        let last = Part {
            others_follow,
            ..last
        };
        if !seat
            .deliver(Delivery::Part(Arc::new(last)), &mut patience)
            .await
        {
            return Ok(());
        }
        seat.end(from);
    }
}

/// Hands a batch's changes over, part by part, but for the last part, which it gives. None if
/// nobody wants them any more.
async fn read_batch(
    mut events: Events,
    decoder: &mut Decoder,
    chunk_bytes: usize,
    seat: &Seat,
    patience: &mut Patience,
) -> Result<Option<Part>, Trouble> {
    let mut chunk = Chunk::default();
    let mut part = Part::default();
    let (mut changes, mut rows_in_them) = (0, 0);
    while let Some(change) = events.next(decoder).await? {
        part.events += 1;
        match change {
            Change::Rows(rows) => {
                changes += 1;
                rows_in_them += rows.rows.len();
                chunk.rows(rows);
            }
            Change::Truncate(shape) => chunk.truncate(&shape),
            Change::Shape(shape) => part.shapes.push(shape),
            Change::Large(rows) => part.large.push(rows.shape.table.oid),
            Change::Mark(shape, mark) => part.mark = Some((shape, mark)),
            Change::Nothing => {}
        }
        let full = chunk.bytes() >= chunk_bytes || part.mark.is_some();
        let early = chunk.bytes() >= EARLY_BYTES && rows_in_them < BLOCK_ROWS * changes;
        if full || early && seat.is_awaited() {
            part.fill(&mut chunk);
            let full = Delivery::Part(Arc::new(std::mem::take(&mut part)));
            if !seat.deliver(full, patience).await {
                return Ok(None);
            }
        }
    }
    part.fill(&mut chunk);
    part.last = true;
    Ok(Some(part))
}
