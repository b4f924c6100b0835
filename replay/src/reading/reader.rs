//! Reads batch after batch ahead of the subscribers that apply them, and folds them: while a part of a batch is written
//! to the subscriber, the next part is fetched, decoded and folded.

use std::sync::Arc;

use sql::{provider::Want, subscriber::position::Position};
use tokio::task::AbortHandle;

use super::{
    feed::Feed,
    parts::{self, Parts},
    shared::Seat,
};
use crate::{
    batch::{Delivery, Header},
    queue::batches::Queue,
    trouble::Trouble,
};

/// Starts the reader of a room.
pub(crate) fn start(seat: Seat, feed: Feed, from: Position) -> AbortHandle {
    #[expect(
        clippy::disallowed_methods,
        reason = "the room owns it, and aborts it when its last member has left"
    )]
    let task = tokio::spawn(run(seat, feed, from));
    task.abort_handle()
}

/// Reads for the members of a room, from the position that all of them have.
async fn run(seat: Seat, feed: Feed, from: Position) {
    if let Err(trouble) = read(&seat, feed, from).await {
        seat.fail(trouble);
    }
}

async fn read(seat: &Seat, mut feed: Feed, mut from: Position) -> Result<(), Trouble> {
    let mut queue = Queue::open(seat.session().await?, &feed.queue, None).await?;
    loop {
        let want = Want {
            max_events: seat.max_events(),
            ..Want::default()
        };
        feed.ticks.mark();
        let next = queue.after(from, &want).await?.on_track()?;
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
        let settings = parts::Settings {
            chunk_bytes: feed.chunk_bytes,
            others_follow: next.last_tick > header.to.tick.id,
            ..parts::Settings::default()
        };
        let mut patience = seat.begin();
        let mut parts = Parts::new(queue.events(&batch).await?, settings);
        if !seat.deliver(Delivery::Begin(header), &mut patience).await {
            return Ok(());
        }
        while let Some(part) = parts.next(|| seat.is_awaited()).await? {
            let part = Delivery::Part(Arc::new(part));
            if !seat.deliver(part, &mut patience).await {
                return Ok(());
            }
        }
        seat.end(from);
    }
}
