//! Where a reader's batches come from: the provider's queue; or, where the queue has given away what follows the
//! position, the first archive that has it. An archive's consumer holds the queue behind the archive's end, so the two
//! overlap: at each border between two batches the queue is asked first.

use std::sync::Arc;

use admin::config::ArchiveSource;
use sql::{
    provider::{Batch, Want},
    queue::tick::TickId,
    subscriber::position::Position,
};
use tracing::info;

use crate::{
    archive::store::Store,
    batch::Header,
    files::{
        batches::{self as files, FileBatch, Files, UpTo},
        stream::Wanted,
        trail::{Ahead, NotThere},
        unreadable,
    },
    queue::{
        batches::{Answer, Queue},
        events::Events,
        track::OffTrack,
    },
    trouble::Trouble,
};

/// The sources of a reader.
pub(super) struct Source {
    queue: Queue,
    name: String,
    archives: Arc<[ArchiveSource]>,
    /// The archive that is read, by its place in the list; none: the queue is read.
    files: Option<(usize, Files)>,
}

/// What follows a position.
pub(super) struct Next {
    /// The batch; none if there is no newer tick.
    pub(super) batch: Option<Found>,
    /// There were more events than the batch when it was found.
    pub(super) others_follow: bool,
}

/// A batch, by where it is.
pub(super) enum Found {
    Queue(Batch),
    Files(FileBatch),
}

impl Found {
    /// The batch as it is announced.
    pub(super) fn header(&self, from: Position, may_be_merged: bool) -> Header {
        match self {
            Found::Queue(batch) => Header {
                from,
                to: Position {
                    epoch: from.epoch,
                    tick: batch.to,
                },
                to_time: batch.to_time,
                lineage: batch.lineage.clone(),
                may_be_merged,
            },
            Found::Files(batch) => batch.header(may_be_merged),
        }
    }
}

impl Source {
    /// The queue over a session that reads it, and the archives.
    pub(super) fn new(queue: Queue, name: &str, archives: Arc<[ArchiveSource]>) -> Source {
        Source {
            queue,
            name: name.to_owned(),
            archives,
            files: None,
        }
    }

    /// The archive that is read; none: the queue.
    pub(super) fn archive(&self) -> Option<&str> {
        let (at, _) = self.files.as_ref()?;
        self.archives.get(*at).map(|source| source.name.as_str())
    }

    /// What follows a position.
    pub(super) async fn after(&mut self, from: Position, want: &Want) -> Result<Next, Trouble> {
        let off = match self.queue.after(from, want).await? {
            Answer::OnTrack(next) => {
                if self.files.take().is_some() {
                    // Shapes may have come with the files.
                    self.queue.learn_shapes().await?;
                    info!(tick = from.tick.id.0, "reading from queue again");
                }
                let last = next.last_tick;
                return Ok(Next {
                    others_follow: next.batch.as_ref().is_some_and(|batch| last > batch.to.id),
                    batch: next.batch.map(Found::Queue),
                });
            }
            Answer::Off(off) => off,
        };
        if !is_given_away(off) || self.archives.is_empty() {
            return Err(off.into());
        }
        let batch = self.of_archives(from, want.max_events, off)?;
        Ok(Next {
            batch: Some(Found::Files(batch)),
            // The queue has what is behind the archive.
            others_follow: true,
        })
    }

    /// The batch of the first archive that has one; the archive that is read is asked before the others.
    fn of_archives(
        &mut self,
        from: Position,
        max_events: i64,
        off: OffTrack,
    ) -> Result<FileBatch, Trouble> {
        let was = self.files.take();
        let before = was.as_ref().map(|(at, _)| *at);
        if let Some((at, mut files)) = was.filter(|(_, files)| files.at() == from)
            && let Ok(files::Next::Batch(batch)) = files.next(max_events, UpTo::End)
        {
            self.files = Some((at, files));
            return Ok(batch);
        }
        let mut without = Vec::new();
        for (at, source) in self.archives.iter().enumerate() {
            let opened = Store::open(&source.address)
                .and_then(|store| store.opened_by(source.identity.as_deref()))
                .map_err(unreadable::unreadable);
            let why = match opened.and_then(|store| Files::open(store, &self.name, from)) {
                Err(trouble) => Without::Trouble(trouble),
                Ok(Err(absent)) => Without::Absent(absent),
                Ok(Ok(mut files)) => match files.next(max_events, UpTo::End) {
                    Ok(files::Next::Batch(batch)) => {
                        if before != Some(at) {
                            let (source, tick) = (&source.name, from.tick.id.0);
                            info!(source, tick, "reading from archive");
                        }
                        self.files = Some((at, files));
                        return Ok(batch);
                    }
                    Ok(files::Next::Nothing(ahead)) => Without::Behind(ahead),
                    Ok(files::Next::Reached(_)) => Without::Behind(Ahead::End),
                    Err(trouble) => Without::Trouble(trouble),
                },
            };
            without.push((source.name.as_str(), why));
        }
        Err(nobody_has(off, from.tick.id, without))
    }

    /// Streams a batch's events.
    pub(super) async fn events(&mut self, batch: &Found) -> Result<Events<'_>, Trouble> {
        match (batch, &mut self.files) {
            (Found::Queue(batch), _) => self.queue.events(batch).await,
            (Found::Files(batch), Some((_, files))) => Ok(files.events(batch, Wanted::default())),
            (Found::Files(_), None) => Err(Trouble::Stale),
        }
    }
}

/// Whether the queue had what follows the position, and has given it away: then an archive may have it.
fn is_given_away(off: OffTrack) -> bool {
    match off {
        OffTrack::Behind { .. } => true,
        OffTrack::OtherEpoch { .. } | OffTrack::Ahead { .. } | OffTrack::OtherTick { .. } => false,
    }
}

/// Why an archive gives no batch.
enum Without {
    /// It cannot be read, or is damaged.
    Trouble(Trouble),
    /// It has not got the position.
    Absent(NotThere),
    /// Nothing that can be read follows the position.
    Behind(Ahead),
}

/// The trouble where no archive has what follows a position: what may come yet is waited for, and everything else is a
/// lost position. Pure.
fn nobody_has(off: OffTrack, tick: TickId, without: Vec<(&str, Without)>) -> Trouble {
    let mut said = Vec::new();
    let mut may_come = false;
    for (name, why) in without {
        let why = match why {
            Without::Trouble(trouble) => return trouble,
            Without::Absent(absent) => {
                may_come |= matches!(absent, NotThere::Beyond(_));
                absent.to_string()
            }
            Without::Behind(Ahead::Hole(hole)) => {
                format!("it has a hole after tick {tick}: {}", hole.why)
            }
            Without::Behind(Ahead::Missing(seq)) => {
                may_come = true;
                format!("its segment {seq} is missing")
            }
            Without::Behind(Ahead::Hop(_)) => {
                format!(
                    "at tick {tick} it goes on in another provider's queue: replay archive feed goes over"
                )
            }
            Without::Behind(Ahead::Fork(left)) => {
                format!("it goes on from tick {left}: what follows tick {tick} is on a branch")
            }
            Without::Behind(Ahead::End | Ahead::Segment) => {
                may_come = true;
                format!("it ends at tick {tick}")
            }
        };
        said.push(format!("archive {name}: {why}"));
    }
    let source = anyhow::Error::new(off).context(said.join("; "));
    if may_come {
        return Trouble::Passing {
            doing: "no archive has got what the queue has given away".into(),
            advice: Some(
                "bring the files that are missing, or let the archive's own job run; what nobody \
                 has is lost: replay adopt"
                    .into(),
            ),
            source,
        };
    }
    Trouble::Operator {
        doing: "stopped, nothing was applied".into(),
        advice: off.advice().into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{
        place::{Number, Place},
        segment::Hole,
    };

    fn said(without: Vec<(&str, Without)>) -> Trouble {
        nobody_has(OffTrack::Behind { stored: 7 }, TickId(7), without)
    }

    fn hole() -> Without {
        let number = Number(7);
        Without::Behind(Ahead::Hole(Hole {
            after: Place(number, number, number),
            why: "detached".into(),
        }))
    }

    #[test]
    fn only_what_the_queue_has_given_away_is_looked_for_in_archives() {
        assert!(is_given_away(OffTrack::Behind { stored: 7 }));
        let other = OffTrack::OtherEpoch { stored: 1, now: 2 };
        let ahead = OffTrack::Ahead {
            stored: 9,
            newest: 7,
        };
        for off in [other, ahead, OffTrack::OtherTick { stored: 7 }] {
            assert!(!is_given_away(off));
        }
    }

    #[test]
    fn what_may_come_yet_is_waited_for_and_all_else_is_a_lost_position() {
        let lost = said(vec![
            ("a", Without::Absent(NotThere::Before(7))),
            ("b", hole()),
        ]);
        assert!(matches!(lost, Trouble::Operator { .. }));
        let chain = lost.chain();
        for text in [
            "archive a: the archive begins after tick 7",
            "archive b: it has a hole after tick 7: detached",
            "lost position",
        ] {
            assert!(chain.contains(text), "{chain}");
        }
        for waits in [
            Without::Behind(Ahead::End),
            Without::Behind(Ahead::Missing(3)),
            Without::Absent(NotThere::Beyond(7)),
        ] {
            let waits = said(vec![("a", hole()), ("b", waits)]);
            assert!(matches!(waits, Trouble::Passing { .. }), "{waits:?}");
        }
        let gone = || anyhow::anyhow!("not mounted");
        let away = Without::Trouble(Trouble::passing("the archive cannot be read", gone()));
        let away = said(vec![("a", hole()), ("b", away)]);
        assert!(away.chain().contains("not mounted"), "{away:?}");
    }
}
