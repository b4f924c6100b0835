//! A table's numbers in the logs further up.

use tokio_postgres::Row;

use crate::{error::Error, queue::tick::Epoch};

/// A table's oids in the logs further up, by the identities of their queues, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginOids(Vec<(Epoch, u32)>);

impl OriginOids {
    /// The oids in a row's column, as JSON: `[[epoch, oid], ...]`.
    pub(super) fn of(row: &Row, column: usize) -> Result<OriginOids, Error> {
        let json: Option<String> = row
            .try_get(column)
            .map_err(Error::database("read the states of tables"))?;
        let oids: Vec<(i64, u32)> = match json {
            None => Vec::new(),
            Some(json) => serde_json::from_str(&json)
                .map_err(|error| Error::Unexpected(format!("origin_oids {json}: {error}")))?,
        };
        let oids = oids.into_iter().map(|(epoch, oid)| (Epoch(epoch), oid));
        Ok(OriginOids(oids.collect()))
    }

    /// The oid in a log; none if it is not known.
    pub fn oid_in(&self, log: Epoch) -> Option<u32> {
        let known = self.0.iter().find(|(epoch, _)| *epoch == log);
        known.map(|(_, oid)| *oid)
    }
}
