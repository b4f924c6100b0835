//! What a table's state means for the tasks that work on the table. Pure; the stored rows, and the rule which task
//! makes which step of their states, are in `sql::subscriber::table_state`.
//!
//! After a crash each state says by itself what to do next: `in-copy` without a tick empties the table and begins
//! again; every other state goes on from its tick, once the indexes that the copy took away are rebuilt.

use std::time::Duration;

use sql::{
    event::{
        mapping::{Filter, Mapping},
        shape::{Column, Shape},
    },
    name::{TableName, quote_ident},
    queue::tick::TickId,
    subscriber::table_state::{Parked, Place, Stand, TableRow},
};

use crate::trouble::Trouble;

/// How long a parked table rests at most between two tries.
pub(crate) const PARKED_REST: Duration = Duration::from_secs(10);

/// The work of a table's own task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Copy the table from the beginning.
    Copy,
    /// Bring back the indexes and constraints that the copy took away, then apply the table's own events from its place
    /// on.
    CatchUp,
    /// No work: the batch loop has the table, or the table rests.
    None,
}

/// The work of the table's own task now; a parked table rests for `parked_rest` between two tries.
pub(crate) fn duty(row: &TableRow, parked_rest: Duration) -> Duty {
    match &row.stand {
        Stand::Waiting | Stand::InCopy(_) => Duty::Copy,
        Stand::Loaded(_) | Stand::CatchingUp(_) => Duty::CatchUp,
        // Nothing but an operator's word gives up rows that may be all that is left.
        Stand::Parked(Parked {
            needs_repair: true, ..
        }) => Duty::None,
        Stand::Parked(Parked { place, try_now, .. }) => {
            let is_rested = *try_now || row.seconds_in_state >= parked_rest.as_secs_f64();
            match (is_rested, place) {
                (false, _) => Duty::None,
                (true, Some(_)) => Duty::CatchUp,
                (true, None) => Duty::Copy,
            }
        }
        Stand::WannaSync(_) | Stand::Ok => Duty::None,
    }
}

/// The place from which the batch loop, which is at `loop_tick`, takes a table over; none if the table does not ask for
/// that, or if the table is ahead of the loop and waits for it.
pub(crate) fn take_over(stand: &Stand, loop_tick: TickId) -> Option<&Place> {
    match stand {
        Stand::WannaSync(place) => Some(place).filter(|place| place.tick.id <= loop_tick),
        Stand::Waiting
        | Stand::InCopy(_)
        | Stand::Loaded(_)
        | Stand::CatchingUp(_)
        | Stand::Ok
        | Stand::Parked(_) => None,
    }
}

/// Why a table cannot go on under its new shape, and what to do.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// The reason.
    pub why: String,
    /// What to do.
    pub advice: &'static str,
}

/// Whether the rows of a table can go on under a new shape, given the subscriber's mapping.
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

/// The trouble of a table with a row that does not fit into an event.
pub(crate) fn too_large(table: &TableName) -> Trouble {
    Trouble::unfollowable(
        table,
        "a row whose text may be longer than 900 MB was written on the provider".into(),
        "copy the table again: replay resync TABLE",
    )
}

/// The helper consumers that hold the queue for tables which are not `ok`.
pub(crate) mod helper {
    use sql::subscriber::table_state::{Place, Stand, TableRow};

    /// The consumer that holds the queue for a table's copy and for the events after the copy.
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

    /// The helper that a table needs now.
    pub(crate) fn needed(row: &TableRow, consumer: &str) -> Option<String> {
        match &row.stand {
            Stand::Waiting | Stand::Ok => None,
            Stand::InCopy(_) => Some(copy(consumer, row.provider_oid)),
            // A parked table without a place has no rows on the subscriber: it is copied again.
            Stand::Loaded(_) | Stand::CatchingUp(_) | Stand::WannaSync(_) | Stand::Parked(_) => row
                .stand
                .place()
                .map(|place| holding(place, consumer, row.provider_oid)),
        }
    }

    /// The helper that holds the events after a place: the copy's helper until the table is `ok`. A table that was
    /// parked out of `ok` has a helper of its own.
    pub(crate) fn holding(place: &Place, consumer: &str, provider_oid: u32) -> String {
        match place.copied {
            Some(_) => copy(consumer, provider_oid),
            None => parked(consumer, provider_oid),
        }
    }
}

/// A row as the database gives it.
#[cfg(test)]
pub(crate) fn row(name: &str, provider_oid: u32, stand: Stand) -> TableRow {
    TableRow {
        table: TableName::new("public", name),
        provider_oid,
        stand,
        existing: sql::subscriber::table_state::Existing::Refuse,
        mapping: Mapping::default(),
        now: sql::subscriber::table_state::NamesNow::default(),
        origin_oids: sql::subscriber::table_state::OriginOids::default(),
        attempt: 1,
        loading: false,
        rows_copied: 0,
        bytes_copied: 0,
        rows_estimated: 0,
        ignored: 0,
        conflicts: 0,
        on_conflict: None,
        seconds_in_state: 0.0,
        seconds_since_start: None,
    }
}

#[cfg(test)]
mod tests {
    use sql::{
        queue::tick::{SnapshotText, Tick, TickTag},
        subscriber::table_state::{Copied, Why},
    };

    use super::*;

    fn at(id: i64) -> Tick {
        Tick {
            id: TickId(id),
            tag: TickTag(id * 7),
        }
    }

    fn place(is_of_copy: bool) -> Place {
        Place {
            copied: is_of_copy.then(|| Copied {
                snapshot: SnapshotText("1:1:".into()),
                shown_by: at(5),
            }),
            ..Place::after(at(5))
        }
    }

    fn parked(place: Option<Place>) -> Stand {
        Stand::Parked(Parked {
            place,
            needs_repair: false,
            why: Why {
                error: "no".into(),
                detail: None,
                advice: "act".into(),
            },
            try_now: false,
        })
    }

    fn duty(stand: Stand, seconds_in_state: f64) -> Duty {
        let row = TableRow {
            seconds_in_state,
            ..row("t", 42, stand)
        };
        super::duty(&row, PARKED_REST)
    }

    #[test]
    fn after_a_crash_in_copy_the_copy_begins_again_unless_all_rows_are_in() {
        assert_eq!(duty(Stand::InCopy(None), 0.0), Duty::Copy);
        assert_eq!(duty(Stand::Loaded(place(true)), 0.0), Duty::CatchUp);
    }

    #[test]
    fn a_parked_table_rests_and_then_goes_on_from_where_it_stood() {
        assert_eq!(duty(parked(Some(place(false))), 1.0), Duty::None);
        assert_eq!(duty(parked(Some(place(false))), 11.0), Duty::CatchUp);
        assert_eq!(duty(parked(None), 11.0), Duty::Copy);
    }

    #[test]
    fn a_table_that_needs_repair_is_left_alone_even_if_its_operator_asks() {
        let mut left = parked(None);
        if let Stand::Parked(parked) = &mut left {
            (parked.needs_repair, parked.try_now) = (true, true);
        }
        assert_eq!(duty(left, 100.0), Duty::None);
    }

    #[test]
    fn a_parked_table_whose_operator_asks_is_tried_at_once() {
        let mut asked = parked(Some(place(false)));
        if let Stand::Parked(parked) = &mut asked {
            parked.try_now = true;
        }
        assert_eq!(duty(asked, 1.0), Duty::CatchUp);
    }

    #[test]
    fn the_loop_takes_no_table_that_is_ahead_of_it() {
        let wants = Stand::WannaSync(place(true));
        assert_eq!(take_over(&wants, TickId(4)), None);
        assert!(take_over(&wants, TickId(5)).is_some());
    }

    #[test]
    fn every_table_that_needs_the_queue_has_a_helper_and_helpers_are_recognised() {
        for (stand, helper) in [
            (Stand::InCopy(None), "job/a#copy:42"),
            (Stand::Loaded(place(true)), "job/a#copy:42"),
            (Stand::CatchingUp(place(true)), "job/a#copy:42"),
            (Stand::WannaSync(place(true)), "job/a#copy:42"),
            (Stand::WannaSync(place(false)), "job/a#parked:42"),
            (parked(Some(place(true))), "job/a#copy:42"),
            (parked(Some(place(false))), "job/a#parked:42"),
        ] {
            let name = helper::needed(&row("t", 42, stand), "job/a").unwrap();
            assert_eq!(name, helper);
            assert!(helper::is_helper_of(&name, "job/a"), "{name}");
            assert!(!helper::is_helper_of(&name, "job"), "{name}");
        }
        for stand in [Stand::Waiting, Stand::Ok, parked(None)] {
            assert_eq!(helper::needed(&row("t", 42, stand), "job"), None);
        }
        assert!(!helper::is_helper_of("job#copy:x", "job"));
    }
}
