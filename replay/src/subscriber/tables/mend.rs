//! A table of which some rows are not the provider's, because they were written here. Their keys are known
//! (`trunkline.repair_key`), and all other rows are right at the table's place.
//!
//! 1. The rows of the keys are fetched from the provider, as they are now, between two ticks (`copy::keys`).
//! 2. In one transaction the rows of the keys are deleted; the events from the place up to the tick after the fetch are
//!    applied as states, without claims about the time before; of the fetched rows those are inserted whose keys no
//!    event named; and the table's place becomes that tick.
//!
//! Why in this order: what is there after each part of the events is a part of what the provider had at that moment, so
//! no unique constraint is in the way. A key that no event named has had the same row all the time. A key that some
//! event named has the row of its last event. The process may die at any time: the transaction is all there is.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use sql::event::{Mark, row, shape::Shape};

use crate::{
    batch::{Barrier, BatchPart, End},
    copy::keys::Fetched,
    fold::ChangeSet,
};

/// The fetched rows whose keys no event has named so far. Pure.
pub(super) struct Rest {
    shape: Arc<Shape>,
    rows: HashMap<Bytes, Bytes>,
}

/// What a part of the events says about a table whose rows are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Rows by their keys, or all of them.
    Rows,
    /// The rows of a partition are gone. A row that was fetched before may be one of them.
    Emptied,
}

impl Rest {
    /// All fetched rows; and the set that deletes the rows of all keys that were asked for.
    pub(super) fn of(fetched: &Fetched) -> (Rest, ChangeSet) {
        let mut gone = ChangeSet::new(Arc::clone(&fetched.shape));
        gone.gone.clone_from(&fetched.keys);
        let rest = Rest {
            shape: Arc::clone(&fetched.shape),
            rows: fetched.rows.clone(),
        };
        (rest, gone)
    }

    /// Takes out what the events of a part have named.
    pub(super) fn see(&mut self, part: &BatchPart) -> Seen {
        let oid = self.shape.table.oid;
        for set in part.sets.iter().filter(|set| set.shape.table.oid == oid) {
            if set.truncate {
                self.rows.clear();
            }
            for key in set.deletes.iter().chain(&set.gone) {
                self.rows.remove(key);
            }
            let fields = set.shape.key_fields();
            for whole in set.rows() {
                self.rows.remove(&*row::project(whole, &fields));
            }
        }
        match &part.end {
            End::Before(Barrier::Mark(shape, Mark::Emptied(_))) if shape.table.oid == oid => {
                Seen::Emptied
            }
            End::Before(_) | End::Open | End::Last { .. } => Seen::Rows,
        }
    }

    /// The set that inserts what is left.
    pub(super) fn into_set(self) -> ChangeSet {
        let mut set = ChangeSet::new(self.shape);
        set.puts = self.rows.into_values().collect();
        set
    }
}

#[cfg(test)]
mod tests {
    use sql::queue::tick::{Tick, TickId, TickTag};

    use super::*;

    fn text(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn a_fetched_row_counts_only_if_no_event_named_its_key() {
        let shape = Shape::from_json(
            r#"{"shape":7,"table":{"schema":"public","name":"t","oid":9},"identity":"key",
            "columns":[{"name":"v","type":"text","key":null,"text_equal":true},
                       {"name":"id","type":"integer","key":1,"text_equal":true}]}"#,
        );
        let shape = Arc::new(shape.unwrap());
        let row = |id: u32| (text(&id.to_string()), text(&format!("x,{id}")));
        let fetched = Fetched {
            shape: Arc::clone(&shape),
            keys: (1..=7).map(|id| row(id).0).collect(),
            rows: (1..=6).map(row).collect(),
            before: TickId(1),
            after: Tick {
                id: TickId(2),
                tag: TickTag(2),
            },
        };
        let (mut rest, gone) = Rest::of(&fetched);
        assert_eq!((gone.gone.len(), gone.len()), (7, 7));
        let mut set = ChangeSet::new(Arc::clone(&shape));
        set.deletes = vec![text("1")];
        set.gone = vec![text("2")];
        set.updates = vec![text("y,3")];
        set.puts = vec![text("y,4")];
        set.inserts = vec![text("y,5")];
        let part = |sets| BatchPart {
            sets,
            ..BatchPart::default()
        };
        assert_eq!(rest.see(&part(vec![set])), Seen::Rows);
        assert_eq!(rest.into_set().puts, [text("x,6")]);

        let (mut rest, _) = Rest::of(&fetched);
        let mut set = ChangeSet::new(shape);
        set.truncate = true;
        rest.see(&part(vec![set]));
        assert!(rest.into_set().is_empty());
    }
}
