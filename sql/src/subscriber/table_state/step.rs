//! Who may do what with a table in which state, and where the table stands afterwards. Pure, and the only maker of a
//! [`Step`].
//!
//! | from | to | by whom | durable because |
//! |---|---|---|---|
//! | `-`, `parked` without a tick | `in-copy` | the table's task | before anything is done |
//! | `in-copy` | `in-copy` with a tick | the table's task | after the last part, by the try's number |
//! | `in-copy` with a tick | `catching-up` | the table's task | when its indexes are back |
//! | `in-copy` | `parked` | the table's task | after the copy's clearing away |
//! | `catching-up`, `parked` with a tick | `catching-up` | the table's task | with the rows of each step |
//! | `catching-up`, `parked` with a tick | the same, or later | the table's task | with the rows of its keys |
//! | `catching-up`, `parked` with a tick | `wanna-sync` | the table's task | when it is level |
//! | `in-copy`, `catching-up`, `parked`, with a tick | `parked` there | the table's task | after a rollback |
//! | `wanna-sync` | `ok` | the batch loop | with the rows of the last step |
//! | `ok`, `wanna-sync` | `parked` | the batch loop | after the batch's rollback |
//! | `ok` | `catching-up` for its keys | the table tasks, for `repair` | with the lists' version |
//! | any | `parked` for repair, or as it was in another log | the hop | with the position |
//! | any | `-` | `resync`, `adopt` | by itself, with the lists' version |
//! | any | row deleted | `remove` | by itself, with the lists' version |
//!
//! The tries of a copy begin, end and are given up within `in-copy`, by the number of the try: see
//! [`Attempt`](crate::subscriber::copy_attempt::Attempt). The last two rows of the list need no state to begin from.
//! A repair's first step is made by `subscriber::repair_key`.
//! The hop to another log rewrites all rows of a consumer at once: see [`hop`](crate::subscriber::hop).

use super::{Parked, Place, Stand, State, Why};
use crate::queue::tick::Tick;

/// What is done with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The table's task begins to copy it.
    BeginCopy,
    /// The table's task has brought back the indexes and constraints that the copy took away.
    Build,
    /// The table's task has applied the table's own events up to a later tick, whose origins may be known.
    CatchUp(Tick, Option<String>),
    /// The table's task has fetched the rows of its keys, and has applied the table's own events up to this tick, whose
    /// origins may be known.
    Mend(Tick, Option<String>),
    /// The table's task has nothing more to apply, and asks the batch loop to take the table over.
    AskForTakeOver,
    /// The table's task cannot go on: the table is parked where it stands.
    Park(Why),
    /// The batch loop takes the table over at its own position.
    TakeOver,
    /// The batch loop cannot go on with the table. A table that was `ok` is parked where the loop stands, at this tick.
    TakeOut(Tick, Why),
}

impl Deed {
    /// What is done, in words. The error of a deed is left out, because it may hold values of rows.
    fn as_str(&self) -> &'static str {
        match self {
            Deed::BeginCopy => "begin its copy",
            Deed::Build => "have its indexes back",
            Deed::CatchUp(..) => "catch up to that tick",
            Deed::Mend(..) => "have the rows of its keys at that tick",
            Deed::AskForTakeOver => "ask to be taken over",
            Deed::Park(_) => "be parked by its own task",
            Deed::TakeOver => "be taken over",
            Deed::TakeOut(..) => "be parked by the batch loop",
        }
    }
}

/// A step that the state of a table does not allow: a fault of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a table in state `{from}` {} a tick cannot {deed}",
    if *.has_tick { "with" } else { "without" }
)]
pub struct Illegal {
    from: State,
    has_tick: bool,
    deed: &'static str,
}

/// A step of a table. The table's row takes the step only if the row still is where the step begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    from: State,
    from_tick: Option<Tick>,
    to: Stand,
}

impl Step {
    /// The state that the row must still be in.
    pub(super) fn begins_in(&self) -> State {
        self.from
    }

    /// The tick that the row must still be at.
    pub(super) fn begins_at(&self) -> Option<Tick> {
        self.from_tick
    }

    /// Where the table stands after the step.
    pub fn to(&self) -> &Stand {
        &self.to
    }
}

/// The step that a deed is for a table in this state.
///
/// # Errors
/// [`Illegal`] where the state does not allow the deed.
pub fn step(stand: &Stand, deed: Deed) -> Result<Step, Illegal> {
    let what = deed.as_str();
    let to = match (deed, stand) {
        (Deed::BeginCopy, Stand::Waiting) => Stand::InCopy(None),
        (Deed::BeginCopy, Stand::InCopy(before)) => Stand::InCopy(before.clone()),
        (
            Deed::BeginCopy,
            Stand::Parked(Parked {
                place: None,
                needs_repair: false,
                why,
                ..
            }),
        ) => Stand::InCopy(Some(why.clone())),
        (Deed::Build, Stand::Loaded(place)) => Stand::CatchingUp(place.clone()),
        (
            Deed::CatchUp(tick, origins),
            Stand::CatchingUp(place)
            | Stand::Parked(Parked {
                place: Some(place), ..
            }),
        ) if tick.id > place.tick.id => Stand::CatchingUp(Place {
            tick,
            copied: place.copied.clone(),
            origins,
            overlap: place.overlap.filter(|until| *until > tick.id),
        }),
        (
            Deed::Mend(tick, origins),
            Stand::CatchingUp(place)
            | Stand::Parked(Parked {
                place: Some(place), ..
            }),
        ) if tick.id >= place.tick.id && place.copied.is_none() => Stand::CatchingUp(Place {
            origins,
            ..Place::after(tick)
        }),
        (
            Deed::AskForTakeOver,
            Stand::CatchingUp(place)
            | Stand::Parked(Parked {
                place: Some(place), ..
            }),
        ) => Stand::WannaSync(place.clone()),
        (Deed::Park(why), Stand::InCopy(_)) => parked(None, why),
        (
            Deed::Park(why),
            Stand::Loaded(place)
            | Stand::CatchingUp(place)
            | Stand::Parked(Parked {
                place: Some(place), ..
            }),
        ) => parked(Some(place.clone()), why),
        (Deed::TakeOver, Stand::WannaSync(_)) => Stand::Ok,
        (Deed::TakeOut(_, why), Stand::WannaSync(place)) => parked(Some(place.clone()), why),
        (Deed::TakeOut(tick, why), Stand::Ok) => parked(Some(Place::after(tick)), why),
        _ => {
            return Err(Illegal {
                from: stand.state(),
                has_tick: stand.place().is_some(),
                deed: what,
            });
        }
    };
    Ok(Step {
        from: stand.state(),
        from_tick: stand.place().map(|place| place.tick),
        to,
    })
}

fn parked(place: Option<Place>, why: Why) -> Stand {
    Stand::Parked(Parked {
        place,
        needs_repair: false,
        why,
        try_now: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        queue::tick::{SnapshotText, TickId, TickTag},
        subscriber::table_state::Copied,
    };

    fn at(id: i64) -> Tick {
        Tick {
            id: TickId(id),
            tag: TickTag(id * 7),
        }
    }

    fn why(error: &str) -> Why {
        Why {
            error: error.into(),
            detail: None,
            advice: "act".into(),
        }
    }

    /// After tick 5, of a copy or not.
    fn place(is_of_copy: bool) -> Place {
        Place {
            copied: is_of_copy.then(|| Copied {
                snapshot: SnapshotText("1:1:".into()),
                shown_by: at(6),
            }),
            ..Place::after(at(5))
        }
    }

    fn before(place: Option<Place>) -> Stand {
        Stand::Parked(Parked {
            place,
            needs_repair: false,
            why: why("before"),
            try_now: true,
        })
    }

    /// Every state, with and without what it may have.
    fn stands() -> Vec<Stand> {
        let mut all = vec![
            Stand::Waiting,
            Stand::InCopy(None),
            Stand::InCopy(Some(why("before"))),
            Stand::Loaded(place(true)),
            Stand::Ok,
            before(None),
            Stand::Parked(Parked {
                place: None,
                needs_repair: true,
                why: why("before"),
                try_now: true,
            }),
        ];
        for is_of_copy in [true, false] {
            all.push(Stand::CatchingUp(place(is_of_copy)));
            all.push(Stand::WannaSync(place(is_of_copy)));
            all.push(before(Some(place(is_of_copy))));
        }
        all
    }

    fn deeds() -> [Deed; 9] {
        [
            Deed::BeginCopy,
            Deed::Build,
            Deed::CatchUp(at(4), None),
            Deed::CatchUp(at(5), None),
            Deed::CatchUp(at(8), Some("[[1,2,3]]".into())),
            Deed::AskForTakeOver,
            Deed::Park(why("now")),
            Deed::TakeOver,
            Deed::TakeOut(at(9), why("now")),
        ]
    }

    /// What is to come of a deed, said by the words of the stored row: state, tick, of a copy, error.
    fn wanted(
        stand: &Stand,
        deed: &Deed,
    ) -> Option<(&'static str, Option<i64>, bool, Option<&'static str>)> {
        let tick = stand.place().map(|place| place.tick.id.0);
        let is_of_copy = stand.place().is_some_and(|place| place.copied.is_some());
        let is_parked_without_rows = stand.state() == State::Parked && tick.is_none();
        let has_error = stand.why().is_some();
        match (stand.state().as_str(), deed) {
            ("-", Deed::BeginCopy) => Some(("in-copy", None, false, None)),
            ("in-copy", Deed::BeginCopy) if tick.is_none() => {
                Some(("in-copy", None, false, has_error.then_some("before")))
            }
            ("parked", Deed::BeginCopy) if is_parked_without_rows && !stand.needs_repair() => {
                Some(("in-copy", None, false, Some("before")))
            }
            ("in-copy", Deed::Build) if tick.is_some() => {
                Some(("catching-up", Some(5), true, None))
            }
            ("catching-up" | "parked", Deed::CatchUp(to, _)) if tick.is_some() && *to == at(8) => {
                Some(("catching-up", Some(8), is_of_copy, None))
            }
            ("catching-up" | "parked", Deed::AskForTakeOver) if tick.is_some() => {
                Some(("wanna-sync", Some(5), is_of_copy, None))
            }
            ("in-copy", Deed::Park(_)) => Some(("parked", tick, is_of_copy, Some("now"))),
            ("catching-up" | "parked", Deed::Park(_)) if tick.is_some() => {
                Some(("parked", Some(5), is_of_copy, Some("now")))
            }
            ("wanna-sync", Deed::TakeOver) => Some(("ok", None, false, None)),
            ("wanna-sync", Deed::TakeOut(..)) => Some(("parked", Some(5), is_of_copy, Some("now"))),
            ("ok", Deed::TakeOut(..)) => Some(("parked", Some(9), false, Some("now"))),
            _ => None,
        }
    }

    #[test]
    fn a_table_that_has_come_from_another_log_overlaps_until_it_has_passed_the_tick() {
        let stand = Stand::CatchingUp(Place {
            overlap: Some(TickId(8)),
            ..Place::after(at(5))
        });
        for (to, overlap) in [(7, Some(TickId(8))), (8, None), (9, None)] {
            let caught_up = step(&stand, Deed::CatchUp(at(to), None)).unwrap();
            assert_eq!(caught_up.to().place().unwrap().overlap, overlap, "{to}");
        }
    }

    #[test]
    fn every_deed_in_every_state_is_the_step_that_is_wanted_or_illegal() {
        let mut legal = 0;
        for stand in stands() {
            for deed in deeds() {
                let taken = step(&stand, deed.clone());
                let Some((state, tick, is_of_copy, error)) = wanted(&stand, &deed) else {
                    let illegal = taken.unwrap_err().to_string();
                    let from = format!("in state `{}`", stand.state());
                    assert!(illegal.contains(&from), "{illegal}");
                    continue;
                };
                legal += 1;
                let taken = taken.unwrap();
                assert_eq!(taken.begins_in(), stand.state());
                assert_eq!(taken.begins_at(), stand.place().map(|place| place.tick));
                let to = taken.to();
                let place = to.place();
                assert_eq!(
                    (
                        to.state().as_str(),
                        place.map(|place| place.tick.id.0),
                        place.is_some_and(|place| place.copied.is_some()),
                        to.why().map(|why| why.error.as_str()),
                    ),
                    (state, tick, is_of_copy, error),
                    "{stand:?} {deed:?}"
                );
                assert!(!matches!(to, Stand::Parked(Parked { try_now: true, .. })));
                assert!(!to.needs_repair());
            }
        }
        // 4 begin, 1 builds, 4 catch up, 4 ask, 7 park, 2 are taken over, 3 are taken out.
        assert_eq!(legal, 25);
    }
}
