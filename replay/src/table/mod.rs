//! What a table's state means for those who work on it. Pure; the stored rows are in
//! `sql::subscriber::table_state`.
//!
//! | from | to | by whom | durable because |
//! |---|---|---|---|
//! | `-`, `parked` without a tick | `in-copy` | the table's task | with the emptying, and what is taken away |
//! | `in-copy` | `in-copy` with a tick | the table's task | after the last part |
//! | `in-copy` with a tick | `catching-up` | the table's task | when its indexes are back |
//! | `in-copy` | `parked` | the table's task | after the copy's clearing away |
//! | `catching-up`, `parked` with a tick | `catching-up` | the table's task | with the rows of each step |
//! | `catching-up` | `wanna-sync` | the table's task | when it is level |
//! | `wanna-sync` | `ok` | the batch loop | with the rows of the last step |
//! | `ok`, `wanna-sync` | `parked` | the batch loop | after the batch's rollback |
//! | any | row deleted | `remove` | by itself |
//!
//! After a crash each state says by itself what to do next: `in-copy` without a tick empties
//! the table and begins again; every other state goes on from its tick, once the indexes that
//! the copy took away are back.

use std::time::Duration;

use sql::{
    event::{
        mapping::{Filter, Mapping},
        shape::{Column, Shape},
    },
    name::{TableName, quote_ident},
    queue::tick::{Tick, TickId},
    subscriber::table_state::{Copied, State, TableRow},
};

use crate::trouble::Trouble;

/// How long a parked table rests at most between two tries.
pub(crate) const PARKED_REST: Duration = Duration::from_secs(10);

/// What the table's own task has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Copy the table from the beginning.
    Copy,
    /// Bring back what its copy took away, then apply the table's own events from a tick on.
    CatchUp(Place),
    /// Nothing: the batch loop has it, or it rests.
    None,
}

/// How far a table with a copy is while it is not `ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its own events are applied up to this tick.
    pub tick: Tick,
    /// The copy that its rows are of; none for a table that was `ok`.
    pub copied: Option<Copied>,
}

/// Where a table with rows on the subscriber stands; none for one without, or one in `ok`,
/// whose place is the consumer's.
pub(crate) fn place(row: &TableRow) -> Option<Place> {
    row.tick.map(|tick| Place {
        tick,
        copied: row.copied.clone(),
    })
}

/// What the table's own task has to do now; a parked table rests for so long between two tries.
pub(crate) fn duty(row: &TableRow, parked_rest: Duration) -> Duty {
    let rested = row.try_now || row.seconds_in_state >= parked_rest.as_secs_f64();
    match (row.state, place(row)) {
        (State::Waiting, _) | (State::InCopy, None) => Duty::Copy,
        (State::InCopy | State::CatchingUp, Some(place)) => Duty::CatchUp(place),
        (State::Parked, Some(place)) if rested => Duty::CatchUp(place),
        (State::Parked, None) if rested => Duty::Copy,
        (State::CatchingUp, None) => Duty::Copy,
        (State::Parked | State::WannaSync | State::Ok, _) => Duty::None,
    }
}

/// The place from which the batch loop, standing at `loop_tick`, takes a table over; none if
/// it does not ask for it, or is ahead of the loop and waits for it.
pub(crate) fn take_over(row: &TableRow, loop_tick: TickId) -> Option<Place> {
    match row.state {
        State::WannaSync => place(row).filter(|place| place.tick.id <= loop_tick),
        State::Waiting | State::InCopy | State::CatchingUp | State::Ok | State::Parked => None,
    }
}

/// Why a table cannot go on under its new shape, and what to do.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// Why.
    pub why: String,
    /// What to do.
    pub advice: &'static str,
}

/// Whether rows of a table can go on under a new shape, with what the subscriber wants of them.
pub(crate) fn shape_can_go_on(shape: &Shape, mapping: &Mapping) -> Result<(), Misfit> {
    if shape.dropped {
        return Err(Misfit {
            why: "it was dropped on the provider".into(),
            advice: "remove the table from the job; if it was made again, add it again",
        });
    }
    if let Some(problem) = &shape.problem {
        return Err(Misfit {
            why: problem.clone(),
            advice: "put the table right on the provider, then copy it again: replay resync TABLE",
        });
    }
    let left_out = |column: &&Column| column.key.is_some() && !mapping.takes(column);
    if let Some(column) = shape.columns.iter().find(left_out) {
        return Err(Misfit {
            why: format!(
                "column {} is part of its key now, and --columns leaves it out",
                quote_ident(&column.name)
            ),
            advice: "remove the table from the job, and add it again with all columns of its key",
        });
    }
    match &mapping.filter {
        None => Ok(()),
        Some(filter) => filter_fields(filter, shape).map(|_| ()),
    }
}

/// The places of a filter's columns in a shape's rows.
pub(crate) fn filter_fields(filter: &Filter, shape: &Shape) -> Result<Vec<usize>, Misfit> {
    filter.fields(shape).map_err(|gone| Misfit {
        why: format!(
            "its filter reads column {}, which was dropped on the provider",
            quote_ident(&gone.name)
        ),
        advice: "remove the table from the job, and add it again with another --where or without",
    })
}

/// A row was written that does not fit into an event.
pub(crate) fn too_large(table: &TableName) -> Trouble {
    Trouble::unfollowable(
        table,
        "a row whose text may be longer than 900 MB was written on the provider".into(),
        "copy the table again: replay resync TABLE",
    )
}

/// The helper consumers that hold the queue for tables which are not `ok`.
pub(crate) mod helper {
    use sql::subscriber::table_state::{State, TableRow};

    /// The consumer that holds the queue for a table's copy and what follows it.
    pub(crate) fn copy(consumer: &str, provider_oid: u32) -> String {
        format!("{consumer}#copy:{provider_oid}")
    }

    /// The consumer that holds the queue for a table that was `ok` and is parked.
    pub(crate) fn parked(consumer: &str, provider_oid: u32) -> String {
        format!("{consumer}#parked:{provider_oid}")
    }

    /// Whether a consumer is one of `consumer`'s helpers, of whatever table.
    pub(crate) fn is_helper_of(name: &str, consumer: &str) -> bool {
        name.strip_prefix(consumer)
            .and_then(|rest| {
                rest.strip_prefix("#copy:")
                    .or(rest.strip_prefix("#parked:"))
            })
            .is_some_and(|oid| oid.bytes().all(|b| b.is_ascii_digit()))
    }

    /// The helper that a table needs now: a table with a copy snapshot is held by its copy's
    /// helper until it is `ok`, one that was parked out of `ok` by its own.
    pub(crate) fn needed(row: &TableRow, consumer: &str) -> Option<String> {
        match row.state {
            State::Ok | State::Waiting => None,
            State::InCopy => Some(copy(consumer, row.provider_oid)),
            // Without a tick nothing of the table is on the subscriber: it is copied again.
            State::Parked if row.tick.is_none() => None,
            State::CatchingUp | State::WannaSync | State::Parked => Some(if row.copied.is_none() {
                parked(consumer, row.provider_oid)
            } else {
                copy(consumer, row.provider_oid)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use sql::{
        queue::tick::{SnapshotText, TickTag},
        subscriber::table_state::Existing,
    };

    use super::*;

    fn at(id: i64) -> Tick {
        Tick {
            id: TickId(id),
            tag: TickTag(id * 7),
        }
    }

    fn row(state: State, tick: Option<i64>, copied: bool, seconds: f64) -> TableRow {
        TableRow {
            table: TableName::new("public", "t"),
            provider_oid: 42,
            state,
            existing: Existing::Refuse,
            mapping: Mapping::default(),
            tick: tick.map(at),
            copied: copied.then(|| Copied {
                snapshot: SnapshotText("1:1:".into()),
                shown_by: at(5),
            }),
            attempt: 1,
            loading: false,
            rows_copied: 0,
            bytes_copied: 0,
            rows_estimated: 0,
            ignored: 0,
            conflicts: 0,
            on_conflict: None,
            try_now: false,
            error: None,
            detail: None,
            advice: None,
            seconds_in_state: seconds,
            seconds_since_start: None,
        }
    }

    fn duty(row: &TableRow) -> Duty {
        super::duty(row, PARKED_REST)
    }

    #[test]
    fn after_a_crash_in_copy_the_copy_begins_again_unless_all_rows_are_in() {
        assert_eq!(duty(&row(State::InCopy, None, false, 0.0)), Duty::Copy);
        assert!(matches!(
            duty(&row(State::InCopy, Some(5), true, 0.0)),
            Duty::CatchUp(_)
        ));
    }

    #[test]
    fn a_parked_table_rests_and_then_goes_on_from_where_it_stood() {
        assert_eq!(duty(&row(State::Parked, Some(5), false, 1.0)), Duty::None);
        assert!(matches!(
            duty(&row(State::Parked, Some(5), false, 11.0)),
            Duty::CatchUp(Place { tick, .. }) if tick == at(5)
        ));
        assert_eq!(duty(&row(State::Parked, None, false, 11.0)), Duty::Copy);
    }

    #[test]
    fn the_loop_takes_no_table_that_is_ahead_of_it() {
        let row = row(State::WannaSync, Some(5), true, 0.0);
        assert_eq!(take_over(&row, TickId(4)), None);
        assert!(take_over(&row, TickId(5)).is_some());
    }

    #[test]
    fn every_table_that_needs_the_queue_has_a_helper_and_helpers_are_recognised() {
        for (state, tick, copied) in [
            (State::InCopy, None, false),
            (State::CatchingUp, Some(5), true),
            (State::WannaSync, Some(5), true),
            (State::Parked, Some(5), false),
        ] {
            let name = helper::needed(&row(state, tick, copied, 0.0), "job/a").unwrap();
            assert!(helper::is_helper_of(&name, "job/a"), "{name}");
            assert!(!helper::is_helper_of(&name, "job"), "{name}");
        }
        assert_eq!(
            helper::needed(&row(State::Ok, None, false, 0.0), "job"),
            None
        );
        assert!(!helper::is_helper_of("job#copy:x", "job"));
    }
}
