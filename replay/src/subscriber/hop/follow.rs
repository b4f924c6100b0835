//! Whether a subscriber goes on at another provider, from what that provider answers. Pure.

use sql::{
    provider::{PlaceAnswer, PlaceFound, Places, TickFound},
    subscriber::position::Position,
};

/// What the subscriber does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It moves.
    Go(Way),
    /// It asks again later.
    Wait(String),
    /// It stops: only an operator can know what is right.
    Stop(String),
}

/// How a subscriber moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The place that the provider knows: the subscriber's position, or the same tick further up.
    pub place: Position,
    /// The tick at which the subscriber goes on; with `until` the last one before its place.
    pub from: TickFound,
    /// The first tick after the place, if the place lies between two.
    pub until: Option<TickFound>,
}

impl Way {
    /// The tick at which the subscriber stands when it has moved.
    pub(super) fn to(&self) -> &TickFound {
        self.until.as_ref().unwrap_or(&self.from)
    }
}

/// The decision of a subscriber that has applied these places. Nothing but a tick that the provider proves by epoch,
/// number and tag lets it move.
pub(super) fn decide(found: PlaceFound, places: &Places, rests: Option<&str>) -> Decision {
    let place = found.place.and_then(|number| places.0.get(number)).copied();
    let (from, until) = match found.answer {
        PlaceAnswer::At(at) => (at, None),
        PlaceAnswer::Overlap { from, until } => (from, Some(until)),
        PlaceAnswer::Wait(why) => return Decision::Wait(why),
        PlaceAnswer::Ahead(why) | PlaceAnswer::Gone(why) => return Decision::Stop(why),
    };
    match place {
        Some(place) => match rests {
            Some(why) => Decision::Wait(why.to_owned()),
            None => Decision::Go(Way { place, from, until }),
        },
        None => Decision::Stop("it answers about a place that was not asked for".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sql::queue::tick::{Epoch, Tick, TickId, TickTag};

    use super::*;

    fn at(epoch: i64, id: i64) -> Position {
        Position {
            epoch: Epoch(epoch),
            tick: Tick {
                id: TickId(id),
                tag: TickTag(id * 7),
            },
        }
    }

    fn tick(id: i64) -> TickFound {
        TickFound {
            position: at(3, id),
            time: SystemTime::UNIX_EPOCH,
            origins: None,
        }
    }

    #[test]
    fn every_answer_about_every_place_is_the_decision_that_is_wanted() {
        let places = Places(vec![at(1, 10), at(2, 20)]);
        let overlap = || PlaceAnswer::Overlap {
            from: tick(5),
            until: tick(6),
        };
        let why = || "why".to_owned();
        let mut decided = 0;
        for (answer, until) in [
            (PlaceAnswer::At(tick(5)), Some(None)),
            (overlap(), Some(Some(tick(6)))),
            (PlaceAnswer::Wait(why()), None),
            (PlaceAnswer::Ahead(why()), None),
            (PlaceAnswer::Gone(why()), None),
        ] {
            for place in [None, Some(0), Some(1), Some(2)] {
                for is_paused in [false, true] {
                    let found = PlaceFound {
                        epoch: Epoch(3),
                        place,
                        answer: answer.clone(),
                    };
                    let decision = decide(found, &places, is_paused.then_some("paused"));
                    let known = place.and_then(|number| places.0.get(number));
                    let wanted = match (&answer, &until, known) {
                        (PlaceAnswer::Wait(_), ..) => Decision::Wait(why()),
                        (_, None, _) => Decision::Stop(why()),
                        (_, Some(_), None) => {
                            assert!(matches!(decision, Decision::Stop(_)), "{decision:?}");
                            continue;
                        }
                        (_, Some(_), Some(_)) if is_paused => {
                            assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
                            continue;
                        }
                        (_, Some(until), Some(place)) => Decision::Go(Way {
                            place: *place,
                            from: tick(5),
                            until: until.clone(),
                        }),
                    };
                    assert_eq!(decision, wanted);
                    decided += 1;
                }
            }
        }
        // 24 that do not move, and 4 that do.
        assert_eq!(decided, 28);
    }
}
