//! Where an archive goes on, and whether the queue holds the events after that. What the queue has given away becomes a
//! hole in the archive, with its reason: the archive goes on behind it, and never looks as if nothing were missing.

use sql::{
    Class,
    connect::Session,
    provider,
    queue::{
        consumer,
        holder::{self, HolderKind},
        tick::{self, TickId},
    },
    subscriber::position::Position,
};
use tracing::error;

use super::{
    hook::{Event, What},
    shared::Archive,
    writer::Writer,
};
use crate::{frames::place::Place, queue::track::OffTrack, trouble::Trouble};

/// What to do where an archive's queue is not the provider's any more.
const NEW_ARCHIVE: &str = "put the config right if it names the wrong server or queue; else give the archive \
    another directory and run replay install: this one stays as it is";

/// The position that the archive goes on from; the queue holds what follows.
pub(super) async fn position(
    archive: &Archive,
    provider: &Session,
    writer: &mut Writer,
) -> Result<Position, Trouble> {
    let (queue, name) = (&archive.queue, &archive.config.consumer);
    let end = Position::from(writer.end().at);
    let known = provider::consumer_position(&**provider, queue, name).await?;
    // A provider of the past begins its log anew, and lets go of all consumers. The epoch is asked for behind the
    // consumer, so that a consumer that is not there is missing in this queue.
    let now = provider::queue_epoch(&**provider, queue).await?;
    if now.is_some_and(|now| now != end.epoch)
        || known.is_some_and(|known| known.epoch != end.epoch)
    {
        return Err(Trouble::Stale);
    }
    let detached = match known {
        // The provider is told after a segment is published, so its place may be an older one.
        Some(known) if known.tick.id <= end.tick.id => return Ok(end),
        Some(_) => None,
        None => Some(why_detached(archive, provider).await?),
    };
    match consumer::register_at(&**provider, queue, name, end.tick.id).await {
        Ok(_) => Ok(end),
        Err(error) if error.class() == Class::Transient => Err(Trouble::queue(error)),
        Err(error) if is_gone(&error) => {
            leave_hole(archive, provider, writer, end, known, detached).await
        }
        Err(error) => Err(Trouble::queue(error)),
    }
}

/// Whether the queue does not hold what follows a tick any more, or the tick itself.
pub(crate) fn is_gone(error: &sql::Error) -> bool {
    let answer = error.answer();
    answer.is_some_and(|answer| answer.message().starts_with("cannot reposition"))
}

/// Why the queue let go of the archive's consumer.
async fn why_detached(archive: &Archive, provider: &Session) -> Result<String, Trouble> {
    let holders = holder::list(&**provider).await.map_err(Trouble::queue)?;
    let detached = holders.into_iter().find(|one| {
        one.kind == HolderKind::Detached
            && one.queue == archive.queue
            && one.name.as_deref() == Some(&archive.config.consumer)
    });
    match detached {
        Some(detached) => Ok(detached.detail.unwrap_or_default()),
        None => Err(not_registered(archive)),
    }
}

fn not_registered(archive: &Archive) -> Trouble {
    Trouble::Operator {
        doing: format!("the provider has no consumer {}", archive.config.consumer),
        advice: "run `replay install`: it registers the consumer where the archive ends".into(),
        source: anyhow::anyhow!("nothing holds the events that the archive lacks"),
    }
}

/// Goes on behind the events that are gone. The consumer holds its new place before the archive says so: a crash in
/// between leaves the same hole to be found again.
async fn leave_hole(
    archive: &Archive,
    provider: &Session,
    writer: &mut Writer,
    end: Position,
    known: Option<Position>,
    detached: Option<String>,
) -> Result<Position, Trouble> {
    let (queue, name) = (&archive.queue, &archive.config.consumer);
    let begin = match known {
        Some(known) => known,
        None => registered_anew(queue, name, provider, end).await?,
    };
    // A hole is one of a queue: to another queue only a hop leads.
    if begin.epoch != end.epoch {
        return Err(Trouble::Stale);
    }
    let why = match detached {
        Some(why) => format!("the queue detached the archive's consumer: {why}"),
        None => format!(
            "the consumer stands at tick {}, and the queue does not hold what the archive lacks before it",
            begin.tick.id.0
        ),
    };
    tokio::task::block_in_place(|| {
        writer.publish_hole(Place::from(end), Place::from(begin), &why)
    })?;
    let (after_tick, next_tick) = (end.tick.id.0, begin.tick.id.0);
    error!(consumer = %name, after_tick, next_tick, why, "archive hole");
    archive
        .hook
        .tell(Event::new(What::Hole, why).at(after_tick));
    Ok(begin)
}

/// Registers a consumer that was detached at the queue's newest tick: one call, so that a crash leaves it detached or
/// registered.
pub(crate) async fn registered_anew(
    queue: &str,
    name: &str,
    provider: &Session,
    end: Position,
) -> Result<Position, Trouble> {
    let last = tick::last(&**provider, queue, end.tick.id).await;
    let last = last.map_err(Trouble::queue)?.ok_or(Trouble::Stale)?;
    let registered = consumer::register_at(&**provider, queue, name, last.newest.id).await;
    registered.map_err(Trouble::queue)?;
    Ok(Position {
        epoch: last.epoch,
        tick: last.newest,
    })
}

/// The archive's end does not lie on the provider's history.
pub(super) fn off_track(off: OffTrack) -> Trouble {
    match off {
        // The queue has let go of the consumer a moment ago: opening the archive again says what is missing.
        OffTrack::Behind { .. } => Trouble::Stale,
        OffTrack::OtherEpoch { .. } | OffTrack::Ahead { .. } | OffTrack::OtherTick { .. } => {
            Trouble::Operator {
                doing: "stopped, nothing was archived".into(),
                advice: NEW_ARCHIVE.into(),
                source: anyhow::Error::new(off),
            }
        }
    }
}

/// Tells the queue that the archive has all up to a tick.
pub(super) async fn tell(
    archive: &Archive,
    provider: &Session,
    tick: TickId,
) -> Result<(), Trouble> {
    let name = &archive.config.consumer;
    let told = consumer::advance(&**provider, &archive.queue, name, tick).await;
    told.map(|_| ()).map_err(Trouble::queue)
}
