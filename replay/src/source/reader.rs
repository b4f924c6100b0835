//! Reads batch after batch ahead of who applies them, and folds them: while one part of a batch
//! is written to the subscriber, the next one is fetched, decoded and folded.

use std::sync::Arc;

use sql::{
    connect::Session,
    event::Mark,
    position::Position,
    provider::{BatchFinder, Want},
    shape::Shape,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    shapes,
    stream::Events,
    ticks::Ticks,
    track::{self, ProviderView},
};
use crate::{
    change::{Change, Decoder},
    fold::{ChangeSet, chunk::Chunk},
    trouble::Trouble,
};

/// Folded parts that wait to be applied. With the one that is being folded and the one that
/// is being written, three times `chunk_size` is held in memory.
const CHANNEL_PARTS: usize = 1;

/// What the reader hands over, in this order: `Begin`, then parts, one at least.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A batch begins.
    Begin(Header),
    /// Changes of the batch, folded.
    Part(Part),
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
    /// Events read.
    pub events: u64,
    /// The batch is complete.
    pub last: bool,
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

/// A reader at work. Dropping it ends its task and its session.
pub(crate) struct Reader {
    deliveries: mpsc::Receiver<Result<Delivery, Trouble>>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    /// Starts to read after a position, over a session of its own.
    pub(crate) fn start(session: Session, feed: Feed, from: Position) -> Reader {
        let (sender, deliveries) = mpsc::channel(CHANNEL_PARTS);
        let task = tokio::spawn(async move {
            if let Err(trouble) = read(&session, feed, from, &sender).await {
                // Nobody listens any more only if the reader was dropped.
                let _ = sender.send(Err(trouble)).await;
            }
        });
        Reader { deliveries, task }
    }

    /// The next delivery. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Delivery, Trouble> {
        match self.deliveries.recv().await {
            Some(delivery) => delivery,
            None => Err(Trouble::Passing {
                doing: "the reader ended".into(),
                source: anyhow::anyhow!("its task is gone"),
            }),
        }
    }
}

async fn read(
    session: &Session,
    mut feed: Feed,
    mut from: Position,
    sender: &mpsc::Sender<Result<Delivery, Trouble>>,
) -> Result<(), Trouble> {
    let finder = BatchFinder::prepare(&**session)
        .await
        .map_err(Trouble::database("could not ask the provider for batches"))?;
    let mut decoder = shapes::decoder(session, &feed.queue, None).await?;
    let want = Want {
        max_events: feed.max_events,
        ..Want::default()
    };
    loop {
        feed.ticks.mark();
        let next = finder
            .after(&**session, &feed.queue, from.tick.id, &want)
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
        let events = Events::open(session, &batch).await?;
        if !deliver(sender, Delivery::Begin(header)).await
            || !read_batch(events, &mut decoder, feed.chunk_bytes, sender).await?
        {
            return Ok(());
        }
    }
}

/// Hands a batch's changes over, part by part. False if nobody wants them any more.
async fn read_batch(
    mut events: Events,
    decoder: &mut Decoder,
    chunk_bytes: usize,
    sender: &mpsc::Sender<Result<Delivery, Trouble>>,
) -> Result<bool, Trouble> {
    let mut chunk = Chunk::default();
    let mut part = Part::default();
    while let Some(change) = events.next(decoder).await? {
        part.events += 1;
        match change {
            Change::Rows(rows) => chunk.rows(rows),
            Change::Truncate(shape) => chunk.truncate(&shape),
            Change::Shape(shape) => part.shapes.push(shape),
            Change::Large(rows) => part.large.push(rows.shape.table.oid),
            Change::Mark(shape, mark) => part.mark = Some((shape, mark)),
            Change::Foreign => {}
        }
        if chunk.bytes() >= chunk_bytes || part.mark.is_some() {
            part.sets = chunk.take();
            if !deliver(sender, Delivery::Part(std::mem::take(&mut part))).await {
                return Ok(false);
            }
        }
    }
    part.sets = chunk.take();
    part.last = true;
    Ok(deliver(sender, Delivery::Part(part)).await)
}

/// False if nobody wants it any more.
async fn deliver(sender: &mpsc::Sender<Result<Delivery, Trouble>>, delivery: Delivery) -> bool {
    sender.send(Ok(delivery)).await.is_ok()
}
