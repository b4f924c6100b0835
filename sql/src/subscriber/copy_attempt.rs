//! The tries of a table's initial copy: columns of `trunkline.table_state` and the rows of
//! `trunkline.copied_range`. Each call is one statement of its caller's transaction.

use tokio_postgres::GenericClient;

use super::table_state::{Copied, TableRow};
use crate::{error::Error, name::TableName, queue::tick::Tick};

/// One try to copy a table. A later try has a greater number, and ends this try.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The consumer's name.
    pub consumer: String,
    /// The table, by its name on the provider.
    pub table: TableName,
    /// The try's number.
    pub number: i64,
}

/// Whether a part of a table can be loaded by the caller that claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller must load the part.
    Yours,
    /// A transaction whose outcome was not known has loaded the part.
    Loaded,
    /// The try is over: the table was removed, or another try has begun.
    Over,
}

impl Attempt {
    /// Begins a try of a table in `in-copy` without a tick: no part is loaded, and the error of the try before is
    /// forgotten. None if the row is not as it was read.
    pub async fn begin(
        client: &impl GenericClient,
        consumer: &str,
        row: &TableRow,
        loading: bool,
    ) -> Result<Option<Attempt>, Error> {
        let number = client
            .query_opt(
                "with begun as ( \
                     update trunkline.table_state set error = null, error_detail = null, advice = null, \
                         loading = $5, copy_attempt = copy_attempt + 1, changed_at = clock_timestamp(), \
                         started_at = clock_timestamp(), rows_copied = 0, bytes_copied = 0 \
                     where consumer = $1 and schema_name = $2 and table_name = $3 \
                       and state = 'in-copy' and tick_id is null and copy_attempt = $4 \
                     returning copy_attempt), \
                 cleared as ( \
                     delete from trunkline.copied_range \
                     where consumer = $1 and schema_name = $2 and table_name = $3 \
                       and exists (select from begun)) \
                 select copy_attempt from begun",
                &[
                    &consumer,
                    &row.table.schema,
                    &row.table.name,
                    &row.attempt,
                    &loading,
                ],
            )
            .await
            .and_then(|row| row.map(|row| row.try_get(0)).transpose())
            .map_err(Error::database("begin a try"))?;
        Ok(number.map(|number| Attempt {
            consumer: consumer.to_owned(),
            table: row.table.clone(),
            number,
        }))
    }

    /// Claims a part in the transaction that loads it. The transaction holds a lock on the table, which a new try waits
    /// for before it empties the table. If a transaction whose outcome is not known has claimed the part, the call
    /// waits for that transaction.
    pub async fn claim(&self, client: &impl GenericClient, part: i32) -> Result<Claim, Error> {
        let claimed = client
            .execute(
                "insert into trunkline.copied_range (consumer, schema_name, table_name, range_no) \
                 select s.consumer, s.schema_name, s.table_name, $5 from trunkline.table_state s \
                 where s.consumer = $1 and s.schema_name = $2 and s.table_name = $3 \
                   and s.state = 'in-copy' and s.tick_id is null and s.copy_attempt = $4 \
                 for key share on conflict do nothing",
                &[
                    &self.consumer,
                    &self.table.schema,
                    &self.table.name,
                    &self.number,
                    &part,
                ],
            )
            .await
            .map_err(Error::database("claim a part of a copy"))?;
        if claimed == 1 {
            return Ok(Claim::Yours);
        }
        let loaded: bool = client
            .query_one(
                "select exists (select from trunkline.copied_range r \
                     join trunkline.table_state s using (consumer, schema_name, table_name) \
                     where r.consumer = $1 and r.schema_name = $2 and r.table_name = $3 \
                       and s.copy_attempt = $4 and r.range_no = $5)",
                &[
                    &self.consumer,
                    &self.table.schema,
                    &self.table.name,
                    &self.number,
                    &part,
                ],
            )
            .await
            .and_then(|row| row.try_get(0))
            .map_err(Error::database("claim a part of a copy"))?;
        Ok(if loaded { Claim::Loaded } else { Claim::Over })
    }

    /// Notes that all parts are loaded: the table's own events follow from `tick`, without the events that `copied`
    /// shows. False if the try is over.
    pub async fn complete(
        &self,
        client: &impl GenericClient,
        tick: Tick,
        copied: &Copied,
        rows: i64,
        bytes: i64,
    ) -> Result<bool, Error> {
        let done = client
            .execute(
                "with cleared as ( \
                     delete from trunkline.copied_range \
                     where consumer = $1 and schema_name = $2 and table_name = $3) \
                 update trunkline.table_state set tick_id = $5, tick_tag = $6, \
                     copied_snapshot = $7, copied_tick_id = $8, copied_tick_tag = $9, \
                     rows_copied = $10, bytes_copied = $11, rows_estimated = $10, loading = false \
                 where consumer = $1 and schema_name = $2 and table_name = $3 \
                   and state = 'in-copy' and tick_id is null and copy_attempt = $4",
                &[
                    &self.consumer,
                    &self.table.schema,
                    &self.table.name,
                    &self.number,
                    &tick.id.0,
                    &tick.tag.0,
                    &copied.snapshot.0,
                    &copied.shown_by.id.0,
                    &copied.shown_by.tag.0,
                    &rows,
                    &bytes,
                ],
            )
            .await
            .map_err(Error::database("write a table's state"))?;
        Ok(done == 1)
    }

    /// Gives the try up, in the transaction that empties the table: the table then holds no rows of the try. False if
    /// the try is over.
    pub async fn abandon(&self, client: &impl GenericClient) -> Result<bool, Error> {
        let done = client
            .execute(
                "with cleared as ( \
                     delete from trunkline.copied_range \
                     where consumer = $1 and schema_name = $2 and table_name = $3) \
                 update trunkline.table_state set loading = false, \
                     copy_attempt = copy_attempt + 1 \
                 where consumer = $1 and schema_name = $2 and table_name = $3 \
                   and state = 'in-copy' and tick_id is null and copy_attempt = $4",
                &[
                    &self.consumer,
                    &self.table.schema,
                    &self.table.name,
                    &self.number,
                ],
            )
            .await
            .map_err(Error::database("give a try up"))?;
        Ok(done == 1)
    }
}
