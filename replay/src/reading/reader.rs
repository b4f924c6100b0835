//! Reads batch after batch ahead of the subscribers that apply them, and folds them: while a part of a batch is written
//! to the subscriber, the next part is fetched, decoded and folded.

use std::sync::Arc;

use sql::{provider::Want, subscriber::position::Position};
use tokio::task::AbortHandle;

use super::{
    feed::Feed,
    parts::{self, Parts},
    shared::{GroupHandle, TICK_BY_TICK},
    source::Source,
};
use crate::{batch::Delivery, queue::batches::Queue, trouble::Trouble};

/// Starts the reader of a group.
pub(crate) fn start(group: GroupHandle, feed: Feed, from: Position) -> AbortHandle {
    #[expect(
        clippy::disallowed_methods,
        reason = "the group owns it, and aborts it when its last member has left"
    )]
    let task = tokio::spawn(run(group, feed, from));
    task.abort_handle()
}

/// Reads for the members of a group, from the position that all of them have.
async fn run(group: GroupHandle, feed: Feed, from: Position) {
    if let Err(trouble) = read(&group, feed, from).await {
        group.fail(trouble);
    }
}

async fn read(group: &GroupHandle, mut feed: Feed, mut from: Position) -> Result<(), Trouble> {
    let queue = Queue::open(group.session().await?, &feed.queue, None).await?;
    let mut source = Source::new(queue, &feed.queue, feed.archives.clone());
    loop {
        let max_events = group.max_events();
        let want = Want {
            max_events,
            ..Want::default()
        };
        feed.ticks.mark();
        let next = source.after(from, &want).await?;
        group.reads(source.archive());
        let Some(batch) = next.batch else {
            if group.merge(from) {
                return Ok(());
            }
            feed.ticks.wait().await;
            continue;
        };
        let header = batch.header(from, max_events != TICK_BY_TICK);
        from = header.to;
        let settings = parts::PartSizes {
            chunk_bytes: feed.chunk_bytes,
            others_follow: next.others_follow,
            ..parts::PartSizes::default()
        };
        let mut slack = group.begin();
        let mut parts = Parts::new(source.events(&batch).await?, settings);
        if !group.deliver(Delivery::Begin(header), &mut slack).await {
            return Ok(());
        }
        while let Some(part) = parts.next(|| group.is_awaited()).await? {
            let part = Delivery::Part(Arc::new(part));
            if !group.deliver(part, &mut slack).await {
                return Ok(());
            }
        }
        group.end(from);
    }
}
