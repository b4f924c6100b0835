//! What this ticker has seen of each queue, to recognise a provider that was restored while the ticker runs. It is kept
//! in memory only. A ticker that starts after the restore has seen nothing; the subscribers notice the restore and stop
//! by themselves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sql::connect::Session;
use sql::queue::tick::{self, Epoch, Last, Tick};

/// How often the newest ticks are noted while there are new ones.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// The newest tick of each queue when the queue was last looked at.
#[derive(Default)]
pub(crate) struct History {
    seen: HashMap<String, (Epoch, Tick)>,
    noted: Option<Instant>,
}

/// What happened to a queue since its newest tick was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Ticks went on from the noted tick, as far as can be told.
    On,
    /// The queue was dropped and made again, or adopted after a restore.
    Another,
    /// The noted tick does not exist, or is another tick.
    Back,
}

impl History {
    /// Compares the queues with their noted ticks, and names the queues that went back in time.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub(crate) async fn check(
        &mut self,
        database: &str,
        session: &Session,
    ) -> Result<(), sql::Error> {
        for (queue, (epoch, seen)) in &self.seen {
            let Some(last) = tick::last(&**session, queue, seen.id).await? else {
                continue;
            };
            match course(*epoch, *seen, last) {
                Course::On => {}
                Course::Another => tracing::warn!(
                    database,
                    queue,
                    "queue is another one of the same name, or was adopted"
                ),
                Course::Back => tracing::error!(
                    database,
                    queue,
                    seen = seen.id.0,
                    last = last.newest.id.0,
                    advice = "the database was restored from a backup: run select pgq.adopt_queue(...) for \
                              this queue, then copy the tables of its subscribers again",
                    "provider went back in time"
                ),
            }
        }
        self.note(session).await
    }

    /// Notes the newest ticks, once in [`NOTE_EVERY`].
    ///
    /// # Errors
    /// The database cannot be asked.
    pub(crate) async fn note_if_due(&mut self, session: &Session) -> Result<(), sql::Error> {
        if self.noted.is_none_or(|when| when.elapsed() >= NOTE_EVERY) {
            self.note(session).await?;
        }
        Ok(())
    }

    async fn note(&mut self, session: &Session) -> Result<(), sql::Error> {
        self.seen = tick::newest(&**session).await?.into_iter().collect();
        self.noted = Some(Instant::now());
        Ok(())
    }
}

fn course(epoch: Epoch, seen: Tick, last: Last) -> Course {
    if last.epoch != epoch {
        Course::Another
    } else if last.newest.id < seen.id || last.tag.is_some_and(|tag| tag != seen.tag) {
        Course::Back
    } else {
        Course::On
    }
}

#[cfg(test)]
mod tests {
    use sql::queue::tick::{TickId, TickTag};

    use super::*;

    fn last(epoch: i64, newest: i64, tag: Option<i64>) -> Last {
        Last {
            epoch: Epoch(epoch),
            newest: at(newest, 1),
            tag: tag.map(TickTag),
        }
    }

    fn at(id: i64, tag: i64) -> Tick {
        Tick {
            id: TickId(id),
            tag: TickTag(tag),
        }
    }

    #[test]
    fn a_restored_queue_is_told_from_one_that_went_on_and_from_another_one() {
        let seen = at(10, 7);
        let of = |last| course(Epoch(1), seen, last);
        assert_eq!(of(last(1, 12, Some(7))), Course::On);
        // The noted tick was reclaimed meanwhile, so nothing can be said.
        assert_eq!(of(last(1, 12, None)), Course::On);
        assert_eq!(of(last(1, 9, None)), Course::Back);
        assert_eq!(of(last(1, 12, Some(8))), Course::Back);
        assert_eq!(of(last(2, 12, Some(7))), Course::Another);
    }
}
