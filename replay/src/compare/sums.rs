//! Rows without a key are counted. What the subscriber lacks of a row, or has too many, is exact: the provider's count
//! in a snapshot, less the subscriber's at its tick, less what the events between that tick and the snapshot add.

use std::collections::{HashMap, HashSet};

use sql::{
    connect::Session,
    event::{Mark, row, shape::Shape},
    provider::{BatchFinder, Only, Want},
    queue::tick::{SnapshotText, TickId},
    subscriber::{position::Position, table_state::TableRow},
};

use super::stop::Stop;
use crate::{
    change::{Change, Rows, Said},
    queue::{
        batches,
        events::Events,
        track::{self, ProviderView},
    },
    trouble::Trouble,
};

/// More events than any queue holds.
const ALL: i64 = 1 << 62;

/// The texts of a row's compared columns.
pub(super) type Values = Vec<Option<String>>;

/// How many rows of some hashes a side has, and what is in them.
pub(super) type Counts = HashMap<String, (i64, Values)>;

/// A line of [`Side::count_rows`](super::statements::Side::count_rows).
pub(super) fn counted(line: &str) -> Result<(String, (i64, Values)), serde_json::Error> {
    let (hash, count, values): (String, i64, String) = serde_json::from_str(line)?;
    Ok((hash, (count, serde_json::from_str(&values)?)))
}

/// The events of a table from a position up to a tick.
pub(super) struct Between<'a> {
    /// A session to the provider that does nothing else.
    pub(super) session: &'a Session,
    pub(super) queue: &'a str,
    pub(super) row: &'a TableRow,
    /// The shape that the rows have.
    pub(super) shape: &'a Shape,
    /// The places of the compared columns in a row of an event.
    pub(super) fields: &'a [usize],
    pub(super) from: Position,
    pub(super) up_to: TickId,
}

impl Between<'_> {
    /// By how much the counts of rows change up to a snapshot, which the tick shows all of; none: some event does not
    /// tell rows.
    pub(super) async fn sums(
        &self,
        to: &SnapshotText,
        rows: &HashSet<Values>,
    ) -> Result<Option<HashMap<Values, i64>>, Stop> {
        let (Some(mut all), Some(later)) = (
            self.read(None, rows).await?,
            self.read(Some(to), rows).await?,
        ) else {
            return Ok(None);
        };
        for (values, count) in later {
            *all.entry(values).or_default() -= count;
        }
        Ok(Some(all))
    }

    /// By how much they change in all events up to the tick.
    pub(super) async fn passed(
        &self,
        rows: &HashSet<Values>,
    ) -> Result<Option<HashMap<Values, i64>>, Trouble> {
        self.read(None, rows).await
    }

    /// The same of all events, or of those that a snapshot does not show.
    async fn read(
        &self,
        not_shown_by: Option<&SnapshotText>,
        rows: &HashSet<Values>,
    ) -> Result<Option<HashMap<Values, i64>>, Trouble> {
        let want = Want {
            max_events: ALL,
            only: Only {
                table: Some(self.row.provider_oid),
                not_shown_by: not_shown_by.cloned(),
                events: None,
            },
            up_to: Some(self.up_to),
        };
        let finder = BatchFinder::prepare(&**self.session).await?;
        let next = finder
            .after(&**self.session, self.queue, self.from.tick.id, &want)
            .await?;
        let seen = ProviderView {
            epoch: next.epoch,
            tag_at_position: next.tag_at_position,
            last_tick: next.last_tick,
        };
        track::check(self.from, seen)?;
        let mut sums = HashMap::new();
        let Some(batch) = next.batch else {
            return Ok(Some(sums));
        };
        let mut decoder =
            batches::decoder(self.session, self.queue, Some(self.row.provider_oid)).await?;
        let mut events = Events::open(self.session, &batch, &mut decoder).await?;
        let mut is_told = true;
        while let Some((_, change)) = events.next().await? {
            match change {
                Change::Rows(block) if block.shape.shape == self.shape.shape => {
                    self.add(&block, rows, &mut sums);
                }
                Change::Mark(_, Mark::Own | Mark::Ignored { .. }) | Change::Nothing => {}
                Change::Script(script) => {
                    is_told &= !script.touches(self.row.provider_oid, &self.row.table);
                }
                Change::Rows(_)
                | Change::Truncate(_)
                | Change::Shape(_)
                | Change::Altered(..)
                | Change::Mark(..)
                | Change::Large(_) => is_told = false,
            }
        }
        Ok(is_told.then_some(sums))
    }

    fn add(&self, block: &Rows, rows: &HashSet<Values>, sums: &mut HashMap<Values, i64>) {
        let one = match block.said {
            Said::More => 1,
            Said::Less => -1,
            // Of tables with a key.
            Said::Inserted | Said::Updated | Said::Deleted | Said::Live | Said::Gone => return,
        };
        for key in (0..block.rows.len()).filter_map(|at| block.key(at)) {
            let values = values_of(key, self.fields);
            if rows.contains(&values) {
                *sums.entry(values).or_default() += one;
            }
        }
    }
}

/// Some fields of a row, as texts. Pure.
fn values_of(whole: &[u8], fields: &[usize]) -> Values {
    let all: Vec<Option<String>> = row::fields(whole)
        .map(|field| Some(String::from_utf8_lossy(&field?.unescape()).into_owned()))
        .collect();
    fields
        .iter()
        .map(|&at| all.get(at).cloned().flatten())
        .collect()
}

/// A row of a shape as an event has it, of the values that some of its fields have; the others are null. Pure.
pub(crate) fn row_of(shape: &Shape, fields: &[usize], values: &[Option<String>]) -> String {
    let mut all = vec![String::new(); shape.columns.len()];
    for (&at, value) in fields.iter().zip(values) {
        if let (Some(place), Some(value)) = (all.get_mut(at), value) {
            *place = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\""));
        }
    }
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_as_it_is_read() {
        let shape = r#"{"shape":7,"table":{"schema":"public","name":"t","oid":9},"identity":"full","columns":[
            {"name":"a","type":"text","key":null,"text_equal":true},
            {"name":"b","type":"text","key":null,"text_equal":true},
            {"name":"c","type":"text","key":null,"text_equal":true}]}"#;
        let shape = Shape::from_json(shape).unwrap();
        for values in [
            vec![Some("a \"b\" \\ ,(".to_owned()), None],
            vec![Some(String::new()), Some("x".to_owned())],
        ] {
            let text = row_of(&shape, &[2, 0], &values);
            assert_eq!(values_of(text.as_bytes(), &[2, 0]), values);
            assert_eq!(values_of(text.as_bytes(), &[1]), [None]);
        }
        assert_eq!(
            counted(r#"["5d41", 3, "[\"a\", null]"]"#).unwrap(),
            ("5d41".to_owned(), (3, vec![Some("a".to_owned()), None]))
        );
    }
}
