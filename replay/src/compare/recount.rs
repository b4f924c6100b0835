//! Rows without a key that differ are counted again by who is about to write them, under a lock that keeps everybody
//! else from writing them. What a count was before says nothing of it: another repair, or a person, may have put the
//! rows in meanwhile, and no position and no state tells.

use std::collections::{BTreeMap, HashSet};

use sql::subscriber::position::Position;

use super::{
    comparison::Comparison,
    report::Sum,
    sums::{self, Counts},
};
use crate::trouble::Trouble;

impl Comparison<'_> {
    /// The statement that counts the subscriber's rows that these sums are about. Its lines are for
    /// [`Comparison::recount`].
    pub(crate) fn count_there(&self, sums: &BTreeMap<String, Sum>) -> String {
        let hashes: Vec<&str> = sums.keys().map(String::as_str).collect();
        self.plan.there.count_rows(&self.plan.names, &hashes)
    }

    /// The sums of rows of which the subscriber has these by now, where it stands at `at`; rows that are right are not
    /// among them. What the provider has of a row there is what it had where it was counted, and what the events up to
    /// there have added. None: that is not known, and they must be counted anew.
    ///
    /// # Errors
    /// The provider cannot be asked.
    pub(crate) async fn recount(
        &self,
        sums: &BTreeMap<String, Sum>,
        lines: &[String],
        at: Position,
    ) -> Result<Option<BTreeMap<String, Sum>>, Trouble> {
        let there: Counts = lines
            .iter()
            .map(|line| sums::counted(line))
            .collect::<Result<_, _>>()
            .map_err(|error| Trouble::passing("could not read a count of rows", error.into()))?;
        let rows: HashSet<sums::Values> = sums.values().map(|sum| sum.values.clone()).collect();
        // A place before theirs is that of a database that was restored, and one in another queue says nothing of
        // theirs.
        let is_behind = |sum: &Sum| at.epoch == sum.at.epoch && at.tick.id >= sum.at.tick.id;
        if !sums.values().all(is_behind) {
            return Ok(None);
        }
        let mut places: Vec<Position> = Vec::new();
        for sum in sums.values() {
            if !places.contains(&sum.at) {
                places.push(sum.at);
            }
        }
        let mut left = BTreeMap::new();
        for place in places {
            let Some(passed) = self.passed(place, at, &rows).await? else {
                return Ok(None);
            };
            for (hash, sum) in sums.iter().filter(|(_, sum)| sum.at == place) {
                let wanted = sum.wanted + passed.get(&sum.values).copied().unwrap_or_default();
                let more = wanted - there.get(hash).map_or(0, |(count, _)| *count);
                if more != 0 {
                    let values = sum.values.clone();
                    let sum = Sum {
                        values,
                        wanted,
                        more,
                        at,
                    };
                    left.insert(hash.clone(), sum);
                }
            }
        }
        Ok(Some(left))
    }
}
