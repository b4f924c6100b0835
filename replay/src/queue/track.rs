//! Whether a subscriber's position lies on the provider's history. Pure.

use sql::{
    queue::tick::{Epoch, TickId, TickTag},
    subscriber::position::Position,
};

/// What the provider says about a subscriber's position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProviderView {
    /// The queue's identity now.
    pub epoch: Epoch,
    /// The identity of the tick at the subscriber's position; none if the tick is no longer kept.
    pub tag_at_position: Option<TickTag>,
    /// The newest tick.
    pub last_tick: TickId,
}

/// Why a subscriber cannot go on from its position. Nothing is applied until an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OffTrack {
    /// The queue was dropped and made again, or its provider was restored and adopted.
    #[error(
        "the queue is another one than the subscriber's position belongs to \
         (epoch {now} on the provider, {stored} on the subscriber)"
    )]
    OtherEpoch {
        /// The epoch that the subscriber stores.
        stored: i64,
        /// The epoch of the provider's queue.
        now: i64,
    },
    /// The subscriber has seen ticks that the provider does not have.
    #[error(
        "lost position: the subscriber stands at tick {stored}, the provider's newest is \
         {newest}: the provider went back in time"
    )]
    Ahead {
        /// The subscriber's tick.
        stored: i64,
        /// The provider's newest tick.
        newest: i64,
    },
    /// The queue does not hold the events after the position any more.
    #[error("lost position: the provider no longer holds the events after tick {stored}")]
    Behind {
        /// The subscriber's tick.
        stored: i64,
    },
    /// The same tick number belongs to another tick now.
    #[error(
        "lost position: tick {stored} of the provider is not the tick that the subscriber \
         applied: the provider went back in time"
    )]
    OtherTick {
        /// The subscriber's tick.
        stored: i64,
    },
}

impl OffTrack {
    /// What an operator can do about the lost position.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            OffTrack::OtherEpoch { .. } | OffTrack::Ahead { .. } | OffTrack::OtherTick { .. } => {
                "if the provider was restored from a backup, or its queue was made anew: replay \
                 adopt, which copies the tables again; if it is the wrong server, put the config right"
            }
            OffTrack::Behind { .. } => "run: replay adopt, which copies the tables again",
        }
    }

    /// Whether the position is one in another queue, so that it may have a place in this one.
    pub(crate) fn is_of_another_queue(self) -> bool {
        match self {
            OffTrack::OtherEpoch { .. } => true,
            OffTrack::Ahead { .. } | OffTrack::OtherTick { .. } | OffTrack::Behind { .. } => false,
        }
    }

    /// Whether the provider's queue is the position's queue with another past: the provider was restored, and gives out
    /// tick numbers again that it has given out before.
    pub(crate) fn is_of_a_restored_queue(self) -> bool {
        match self {
            OffTrack::Ahead { .. } | OffTrack::OtherTick { .. } => true,
            OffTrack::OtherEpoch { .. } | OffTrack::Behind { .. } => false,
        }
    }
}

/// Checks a position against the provider's view of it.
pub(crate) fn check(stored: Position, provider: ProviderView) -> Result<(), OffTrack> {
    if stored.epoch != provider.epoch {
        return Err(OffTrack::OtherEpoch {
            stored: stored.epoch.0,
            now: provider.epoch.0,
        });
    }
    match provider.tag_at_position {
        Some(tag) if tag == stored.tick.tag => Ok(()),
        Some(_) => Err(OffTrack::OtherTick {
            stored: stored.tick.id.0,
        }),
        None if stored.tick.id > provider.last_tick => Err(OffTrack::Ahead {
            stored: stored.tick.id.0,
            newest: provider.last_tick.0,
        }),
        None => Err(OffTrack::Behind {
            stored: stored.tick.id.0,
        }),
    }
}

#[cfg(test)]
mod tests {
    use sql::queue::tick::Tick;

    use super::*;

    const AT: Position = Position {
        epoch: Epoch(7),
        tick: Tick {
            id: TickId(10),
            tag: TickTag(99),
        },
    };

    fn view(epoch: i64, tag: Option<i64>, last: i64) -> ProviderView {
        ProviderView {
            epoch: Epoch(epoch),
            tag_at_position: tag.map(TickTag),
            last_tick: TickId(last),
        }
    }

    #[test]
    fn the_same_tick_of_the_same_epoch_is_on_track() {
        assert_eq!(check(AT, view(7, Some(99), 12)), Ok(()));
    }

    #[test]
    fn a_queue_made_anew_is_recognised_even_if_the_tick_number_exists() {
        assert!(matches!(
            check(AT, view(8, Some(99), 12)),
            Err(OffTrack::OtherEpoch { .. })
        ));
    }

    #[test]
    fn a_provider_that_went_back_is_recognised_before_and_after_it_reaches_the_tick_again() {
        assert!(matches!(
            check(AT, view(7, None, 9)),
            Err(OffTrack::Ahead { .. })
        ));
        assert!(matches!(
            check(AT, view(7, Some(98), 12)),
            Err(OffTrack::OtherTick { .. })
        ));
    }

    #[test]
    fn a_tick_that_was_reclaimed_means_lost_events() {
        assert!(matches!(
            check(AT, view(7, None, 40)),
            Err(OffTrack::Behind { .. })
        ));
    }
}
