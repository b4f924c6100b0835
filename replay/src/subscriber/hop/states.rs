//! Whether a part of a batch can be applied once more, by a table whose rows are further on already. Pure.
//!
//! An event says two things: what the row is now, and what was there before. Applied once more, only the first counts
//! (see [`Said::as_state`](crate::change::Said::as_state)). Rows that nothing tells apart are sums, to which an event
//! adds; and a checksum is of the rows as they were at one moment: neither can be applied once more.

use sql::event::{
    Mark,
    shape::{Identity, Shape},
};

use crate::batch::{Barrier, BatchPart, End};

/// A table of which a part of a batch cannot be applied once more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmendable {
    /// Its oid on the provider.
    pub oid: u32,
    /// Why.
    pub why: &'static str,
}

/// The first of the tables that `follows` takes of which the part cannot be applied once more; `alters` says whether
/// columns follow the provider's.
pub(crate) fn unmendable(
    part: &BatchPart,
    follows: impl Fn(u32) -> bool,
    alters: bool,
) -> Option<Unmendable> {
    let of = |shape: &Shape, why| {
        let oid = shape.table.oid;
        follows(oid).then_some(Unmendable { oid, why })
    };
    let without_key = part
        .sets
        .iter()
        .filter(|set| !set.is_empty())
        .find_map(|set| match set.shape.identity {
            Identity::Key => None,
            Identity::Full => of(
                &set.shape,
                "its rows are told apart by all columns, and some of them were changed meanwhile",
            ),
            Identity::InsertOnly => of(
                &set.shape,
                "its rows are not told apart, and some of them were inserted meanwhile",
            ),
        });
    without_key.or_else(|| match &part.end {
        End::Before(Barrier::Mark(shape, mark)) => match mark {
            Mark::Resync { .. } => of(
                shape,
                "its rows were changed meanwhile in a way that no event tells",
            ),
            Mark::Digest { .. } => of(
                shape,
                "a command has set values in all of its rows meanwhile",
            ),
            Mark::Emptied(_) | Mark::Filled { .. } | Mark::Own | Mark::Ignored { .. } => None,
        },
        // The name of a column that is gone may be another one's by now, which a second drop would take away.
        End::Before(Barrier::Altered(shape, altered)) if alters && altered.takes_names_away() => of(
            shape,
            "columns of it were dropped or renamed meanwhile, and nothing tells whether that was done here",
        ),
        End::Open | End::Last { .. } | End::Before(Barrier::Altered(..) | Barrier::Script(_)) => {
            None
        }
    })
}
