//! Where a table stands in its life, with the data that each state needs, read from the table's row. Pure.

use super::words::State;
use crate::{
    error::Error,
    name::TableName,
    queue::tick::{SnapshotText, Tick, TickId, TickTag},
};

/// What a copy showed, and the proof of where it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The copy's snapshot; events that the snapshot shows are in the copy.
    pub snapshot: SnapshotText,
    /// A tick that shows all that the snapshot shows, made by the server that was copied: a
    /// provider without it is not the one that was copied.
    pub shown_by: Tick,
}

/// How far a table that has its rows is while the table is not `ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table's own events are applied up to this tick.
    pub tick: Tick,
    /// The copy that the table's rows are of; none for a table that was `ok` since the copy.
    pub copied: Option<Copied>,
    /// The same place in the logs further up, as `trunkline.position.origins` has them; none: it is not known there.
    pub origins: Option<String>,
    /// The rows are further on than the place: the table has come here from another log, and events up to this tick are
    /// applied once more, as states.
    pub overlap: Option<TickId>,
}

impl Place {
    /// After a tick, for a table that was `ok`.
    pub fn after(tick: Tick) -> Place {
        Place {
            tick,
            copied: None,
            origins: None,
            overlap: None,
        }
    }
}

/// Why a table is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The error in one line, without values of rows.
    pub error: String,
    /// The same error with what the server says beside its message; none: the server says nothing more.
    pub detail: Option<String>,
    /// What an operator can do about the error.
    pub advice: String,
}

impl Why {
    /// The error with all that is stored of it: for the table's operator alone.
    pub fn with_rows(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.error)
    }
}

/// A table that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Where the table's own events go on; none: the table is copied again, by itself unless it needs repair.
    pub place: Option<Place>,
    /// The table's rows are of no place in the queue, and nobody but an operator may give them up.
    pub needs_repair: bool,
    /// Why the table is parked.
    pub why: Why,
    /// The operator asks for a try before the table's rest is over.
    pub try_now: bool,
}

/// Where a table stands. [`step`](super::step) says who makes which step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// `-`: the table is registered, and its copy has not begun.
    Waiting,
    /// `in-copy` without a tick: rows are being copied. Until the new try has begun, the row says why the try before
    /// was parked.
    InCopy(Option<Why>),
    /// `in-copy` with a tick: all rows are in, and what the copy took away is being built.
    Loaded(Place),
    /// `catching-up`: the table's own events follow.
    CatchingUp(Place),
    /// `wanna-sync`: the table has caught up, and the batch loop takes the last step.
    WannaSync(Place),
    /// `ok`: the table is equal to the provider's at the consumer's position.
    Ok,
    /// `parked`: the table cannot go on.
    Parked(Parked),
}

impl Stand {
    /// The state's word, as the database stores it and programs print it.
    pub fn state(&self) -> State {
        match self {
            Stand::Waiting => State::Waiting,
            Stand::InCopy(_) | Stand::Loaded(_) => State::InCopy,
            Stand::CatchingUp(_) => State::CatchingUp,
            Stand::WannaSync(_) => State::WannaSync,
            Stand::Ok => State::Ok,
            Stand::Parked(_) => State::Parked,
        }
    }

    /// Where the table's own events go on; none for a table without rows on the subscriber, and for one in `ok`,
    /// whose place is the consumer's.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Stand::Loaded(place) | Stand::CatchingUp(place) | Stand::WannaSync(place) => {
                Some(place)
            }
            Stand::Parked(parked) => parked.place.as_ref(),
            Stand::Waiting | Stand::InCopy(_) | Stand::Ok => None,
        }
    }

    /// Whether the table waits for an operator to repair it.
    pub fn needs_repair(&self) -> bool {
        matches!(
            self,
            Stand::Parked(Parked {
                needs_repair: true,
                ..
            })
        )
    }

    /// Why the table is parked, or was before the try that runs now.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Stand::InCopy(before) => before.as_ref(),
            Stand::Parked(parked) => Some(&parked.why),
            Stand::Waiting
            | Stand::Loaded(_)
            | Stand::CatchingUp(_)
            | Stand::WannaSync(_)
            | Stand::Ok => None,
        }
    }
}

/// The columns of a row that say where its table stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) tick_id: Option<i64>,
    pub(super) tick_tag: Option<i64>,
    pub(super) copied_snapshot: Option<String>,
    pub(super) copied_tick_id: Option<i64>,
    pub(super) copied_tick_tag: Option<i64>,
    pub(super) error: Option<String>,
    pub(super) error_detail: Option<String>,
    pub(super) advice: Option<String>,
    pub(super) try_now: bool,
    pub(super) origins: Option<String>,
    pub(super) overlap_tick_id: Option<i64>,
    pub(super) needs_repair: bool,
}

impl Columns {
    /// Where the table stands.
    ///
    /// # Errors
    /// [`Error::Unexpected`] that names the table and the columns, if these do not go with its state: the check
    /// constraints of the table do not let such a row in.
    pub(super) fn stand(self, table: &TableName, state: State) -> Result<Stand, Error> {
        let damaged = |what: &str| {
            Error::Unexpected(format!(
                "trunkline.table_state has {table} in state `{state}` with {what}"
            ))
        };
        let tick = pair(self.tick_id, self.tick_tag)
            .ok_or_else(|| damaged("one of tick_id and tick_tag"))?
            .map(tick_of);
        let shown_by = pair(self.copied_tick_id, self.copied_tick_tag)
            .ok_or_else(|| damaged("one of copied_tick_id and copied_tick_tag"))?
            .map(tick_of);
        let copied = pair(self.copied_snapshot, shown_by)
            .ok_or_else(|| damaged("one of copied_snapshot and copied_tick_id"))?
            .map(|(snapshot, shown_by)| Copied {
                snapshot: SnapshotText(snapshot),
                shown_by,
            });
        let why = pair(self.error, self.advice)
            .ok_or_else(|| damaged("one of error and advice"))?
            .map(|(error, advice)| Why {
                error,
                detail: self.error_detail,
                advice,
            });
        let place = match (tick, copied) {
            (Some(tick), copied) => Some(Place {
                tick,
                copied,
                origins: self.origins,
                overlap: self.overlap_tick_id.map(TickId),
            }),
            (None, None) => None,
            (None, Some(_)) => return Err(damaged("copied_snapshot and without tick_id")),
        };
        match (state, place, why) {
            (State::Waiting, None, None) => Ok(Stand::Waiting),
            (State::InCopy, None, before) => Ok(Stand::InCopy(before)),
            (State::InCopy, Some(place), None) if place.copied.is_some() => {
                Ok(Stand::Loaded(place))
            }
            (State::CatchingUp, Some(place), None) => Ok(Stand::CatchingUp(place)),
            (State::WannaSync, Some(place), None) => Ok(Stand::WannaSync(place)),
            (State::Ok, None, None) => Ok(Stand::Ok),
            (State::Parked, place, Some(why)) if !(self.needs_repair && place.is_some()) => {
                Ok(Stand::Parked(Parked {
                    place,
                    needs_repair: self.needs_repair,
                    why,
                    try_now: self.try_now,
                }))
            }
            (_, place, why) => {
                let with = |is: bool, what: &str| format!("{}{what}", if is { "" } else { "no " });
                let (has_tick, copied) = (place.is_some(), place.and_then(|place| place.copied));
                Err(damaged(&format!(
                    "{}, {} and {}",
                    with(has_tick, "tick_id"),
                    with(copied.is_some(), "copied_snapshot"),
                    with(why.is_some(), "error")
                )))
            }
        }
    }
}

/// Two columns of which a row has both or none; none if it has one.
fn pair<A, B>(first: Option<A>, second: Option<B>) -> Option<Option<(A, B)>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(Some((first, second))),
        (None, None) => Some(None),
        (Some(_), None) | (None, Some(_)) => None,
    }
}

fn tick_of((id, tag): (i64, i64)) -> Tick {
    Tick {
        id: TickId(id),
        tag: TickTag(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a row may have beside its state.
    #[derive(Clone, Copy, Debug)]
    struct Has {
        tick: bool,
        copied: bool,
        error: bool,
    }

    fn columns(has: Has) -> Columns {
        let number = |is: bool| is.then_some(7);
        let text = |is: bool| is.then(|| "said".to_owned());
        Columns {
            tick_id: number(has.tick),
            tick_tag: number(has.tick),
            copied_snapshot: text(has.copied),
            copied_tick_id: number(has.copied),
            copied_tick_tag: number(has.copied),
            error: text(has.error),
            error_detail: None,
            advice: text(has.error),
            ..Columns::default()
        }
    }

    fn read(state: State, columns: Columns) -> Result<Stand, String> {
        let table = TableName::new("public", "t");
        let read = columns.stand(&table, state);
        read.map_err(|damaged| damaged.to_string())
    }

    #[test]
    fn a_row_is_read_as_where_its_table_stands_or_as_damage_that_names_table_and_columns() {
        let all = [false, true];
        for state in State::ALL {
            for (tick, copied, error) in all.iter().flat_map(|tick| {
                all.iter()
                    .flat_map(move |copied| all.map(|error| (*tick, *copied, error)))
            }) {
                let has = Has {
                    tick,
                    copied,
                    error,
                };
                let may_be = match state {
                    State::Waiting | State::Ok => !tick && !copied && !error,
                    State::InCopy => tick == copied && !(tick && error),
                    State::CatchingUp | State::WannaSync => tick && !error,
                    State::Parked => error && (tick || !copied),
                };
                match read(state, columns(has)) {
                    Ok(stand) => {
                        assert!(may_be, "{state} {has:?}");
                        assert_eq!(stand.state(), state);
                        assert_eq!(stand.place().is_some(), tick, "{stand:?}");
                        assert_eq!(stand.why().is_some(), error, "{stand:?}");
                    }
                    Err(damaged) => {
                        assert!(!may_be, "{damaged}");
                        assert!(damaged.contains(&format!("public.t in state `{state}` with")));
                        assert!(damaged.contains("tick_id"), "{damaged}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_parked_table_that_needs_repair_has_no_place() {
        let parked = |tick| Columns {
            needs_repair: true,
            ..columns(Has {
                tick,
                copied: false,
                error: true,
            })
        };
        assert!(read(State::Parked, parked(false)).unwrap().needs_repair());
        assert!(read(State::Parked, parked(true)).is_err());
        let waits = columns(Has {
            tick: false,
            copied: false,
            error: true,
        });
        assert!(!read(State::Parked, waits).unwrap().needs_repair());
    }

    #[test]
    fn a_row_with_half_of_a_tick_a_copy_or_an_error_is_damaged() {
        let whole = || {
            columns(Has {
                tick: true,
                copied: true,
                error: true,
            })
        };
        assert!(read(State::Parked, whole()).is_ok());
        let (mut tick, mut copied_tick, mut copy, mut error) = (whole(), whole(), whole(), whole());
        tick.tick_tag = None;
        copied_tick.copied_tick_tag = None;
        copy.copied_snapshot = None;
        error.advice = None;
        for (half, columns) in [
            (tick, "one of tick_id and tick_tag"),
            (copied_tick, "one of copied_tick_id and copied_tick_tag"),
            (copy, "one of copied_snapshot and copied_tick_id"),
            (error, "one of error and advice"),
        ] {
            let damaged = read(State::Parked, half).unwrap_err();
            assert!(damaged.contains(columns), "{damaged}");
        }
    }
}
