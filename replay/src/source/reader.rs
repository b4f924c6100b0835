//! Reads batch after batch ahead of who applies them, through a bounded channel: while one
//! batch is written to the subscriber the next one is fetched and decoded.

use sql::{
    connect::Session,
    position::Position,
    provider::{BatchFinder, Want},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    shapes,
    stream::Events,
    ticks::Ticks,
    track::{self, ProviderView},
};
use crate::{change::Change, trouble::Trouble};

/// Changes that wait to be applied. A change is a block: 256 kB at the most, or one row.
const CHANNEL_CHANGES: usize = 32;

/// What the reader hands over, in this order: `Begin`, any number of `Change`s, `End`.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A batch begins.
    Begin(Header),
    /// A change of the batch.
    Change(Change),
    /// The batch is complete.
    End,
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
        let (sender, deliveries) = mpsc::channel(CHANNEL_CHANGES);
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
        let mut events = Events::open(session, &batch).await?;
        if !deliver(sender, Delivery::Begin(header)).await {
            return Ok(());
        }
        while let Some(change) = events.next(&mut decoder).await? {
            if !deliver(sender, Delivery::Change(change)).await {
                return Ok(());
            }
        }
        if !deliver(sender, Delivery::End).await {
            return Ok(());
        }
    }
}

/// False if nobody wants it any more.
async fn deliver(sender: &mpsc::Sender<Result<Delivery, Trouble>>, delivery: Delivery) -> bool {
    sender.send(Ok(delivery)).await.is_ok()
}
