//! Which rows of a table were changed after a tick, as the events of the provider's queue say it: a large table is
//! compared in the time that its changes need.
//!
//! The obvious way is the `xmin` of the provider's rows. It takes a reading of the whole table, and says nothing of
//! rows that were deleted. What capture has not seen is in no event, and is not found here.

use std::collections::HashSet;

use sql::{
    connect::Session,
    event::{Mark, shape::Shape},
    provider::{Batch, Only, Want},
    queue::tick::TickId,
    subscriber::{position::Position, table_state::TableRow},
};

use super::stop::Stop;
use crate::{
    change::{Change, Rows},
    queue::batches::{Answer, Queue},
    trouble::Trouble,
};

/// Events that one question to the queue is about, as far as ticks allow it.
const EVENTS: i64 = 100_000;

/// Keys that are held at once.
const KEYS: usize = 100_000;

/// What events say of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// Rows with these keys, each as a record, were changed; others may follow.
    Keys(Vec<String>),
    /// Any of its rows may have changed; why.
    All(&'static str),
}

/// Hears of the changes, some keys at a time, and says whether it wants more.
pub(super) trait Hearer {
    /// Takes some keys.
    async fn hear(&mut self, keys: Vec<String>) -> Result<bool, Stop>;
}

/// The changes of one table after a place, up to the tick that was the newest at the begin.
pub(super) struct Changes<'a> {
    queue: Queue,
    row: &'a TableRow,
    at: Position,
    up_to: Option<TickId>,
    /// The names and types of the key's columns, as the table has them now.
    key: Vec<(String, String)>,
}

impl<'a> Changes<'a> {
    /// Prepares to read the changes over a session of its own.
    pub(super) async fn open(
        session: Session,
        queue: &str,
        row: &'a TableRow,
        from: Position,
        key: Vec<(String, String)>,
    ) -> Result<Changes<'a>, Stop> {
        Ok(Changes {
            queue: Queue::open(session, queue, Some(row.provider_oid)).await?,
            row,
            at: from,
            up_to: None,
            key,
        })
    }

    /// The events that follow, of at least one tick; none: that was all.
    async fn batch(&mut self) -> Result<Option<Batch>, Stop> {
        let want = Want {
            max_events: EVENTS,
            only: Only {
                table: Some(self.row.provider_oid),
                ..Only::default()
            },
            up_to: self.up_to,
        };
        let next = match self.queue.after(self.at, &want).await? {
            Answer::OnTrack(next) => next,
            Answer::Off(off) => {
                let doing = format!(
                    "table {}: its changes cannot be read any more",
                    self.row.table
                );
                return Err(Stop::Trouble(Trouble::passing(doing, off.into())));
            }
        };
        // Else it would run after a table that is written all the time.
        self.up_to.get_or_insert(next.last_tick);
        if let Some(batch) = &next.batch {
            self.at.tick = batch.to;
        }
        Ok(next.batch)
    }

    /// Reads all changes. Gives why any row may have changed; none: those are all that were heard of.
    pub(super) async fn tell(
        &mut self,
        hearer: &mut impl Hearer,
    ) -> Result<Option<&'static str>, Stop> {
        let mut keys = HashSet::new();
        while let Some(batch) = self.batch().await? {
            let mut events = self.queue.events(&batch).await?;
            while let Some((_, change)) = events.next().await? {
                match changed(&change, self.row, &self.key) {
                    Changed::All(why) => return Ok(Some(why)),
                    Changed::Keys(some) => keys.extend(some),
                }
                if keys.len() >= KEYS && !hearer.hear(keys.drain().collect()).await? {
                    return Ok(None);
                }
            }
        }
        hearer.hear(keys.into_iter().collect()).await?;
        Ok(None)
    }
}

/// What an event says of a table whose key has these columns now. Pure.
fn changed(change: &Change, row: &TableRow, key: &[(String, String)]) -> Changed {
    let nothing = || Changed::Keys(Vec::new());
    match change {
        Change::Rows(rows) | Change::Large(rows) => of_rows(rows, key),
        Change::Truncate(_) => Changed::All("it was emptied since"),
        Change::Mark(_, mark) => match mark {
            Mark::Resync { .. } => {
                Changed::All("it was changed since in a way that no event tells")
            }
            Mark::Emptied(_) => Changed::All("one of its partitions was emptied since"),
            Mark::Filled { .. } | Mark::Digest { .. } => {
                Changed::All("a column was set in all rows since")
            }
            Mark::Ignored { .. } => {
                Changed::All("rows were changed since that its identity leaves out")
            }
            Mark::Own => nothing(),
        },
        Change::Script(script) if script.touches(row.provider_oid, &row.table) => {
            Changed::All("a script was executed on it since")
        }
        // Rows that were written before it was added, or after its capture was ended, are in no event.
        Change::Shape(_) | Change::Altered(..) => {
            Changed::All("it was added, or its columns or its capture changed, since")
        }
        Change::Script(_) | Change::Nothing => nothing(),
    }
}

fn of_rows(rows: &Rows, key: &[(String, String)]) -> Changed {
    if key_of(&rows.shape) != key {
        return Changed::All("its key has other columns since");
    }
    let keys = (0..rows.rows.len()).filter_map(|at| rows.key(at));
    let keys: Option<Vec<String>> = keys
        .map(|key| Some(format!("({})", std::str::from_utf8(key).ok()?)))
        .collect();
    keys.map_or(
        Changed::All("a key is no text of its encoding"),
        Changed::Keys,
    )
}

/// The names and types of a key's columns, in the key's order; empty: rows are not told apart.
pub(super) fn key_of(shape: &Shape) -> Vec<(String, String)> {
    if !shape.has_key() {
        return Vec::new();
    }
    let fields = shape.key_fields();
    let columns = fields.iter().filter_map(|&at| shape.columns.get(at));
    columns
        .map(|column| (column.name.clone(), column.type_name.clone()))
        .collect()
}
