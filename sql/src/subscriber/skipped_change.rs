//! Rows of `trunkline.skipped_change` on a subscriber: changes that an operator has dropped.

use std::collections::{HashMap, HashSet};

use tokio_postgres::{GenericClient, Row};

use super::conflict::KEPT_KEY_CHARACTERS;
use crate::{
    error::Error,
    name::TableName,
    queue::tick::{Epoch, Tick},
};

/// The number of a row within its event, from 1 on; 0 stands for all rows of the event.
pub type RowNumber = i32;

/// Identifies a table of a consumer whose changes are skipped.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// The consumer's name.
    pub consumer: &'a str,
    /// The table's oid on the provider.
    pub provider_oid: u32,
    /// The queue in which the table's events have their numbers.
    pub epoch: Epoch,
}

/// The changes of one table that are left out, by event.
#[derive(Clone, Debug, Default)]
pub struct Skipped {
    events: HashMap<i64, HashSet<RowNumber>>,
}

impl Skipped {
    /// The rows of an event that are left out; none if the event is applied as it is.
    pub fn of_event(&self, event_id: i64) -> Option<&HashSet<RowNumber>> {
        self.events.get(&event_id)
    }
}

/// The changes of a table that are left out. No changes can be added to them until the caller's transaction ends, so
/// the caller applies exactly what it was told.
pub async fn hold(client: &impl GenericClient, of: Of<'_>) -> Result<Skipped, Error> {
    lock(client, of).await?;
    let rows = client
        .query(
            "select event_id, row_number from trunkline.skipped_change \
             where consumer = $1 and provider_oid = $2 and epoch = $3",
            &[&of.consumer, &of.provider_oid, &of.epoch.0],
        )
        .await
        .map_err(could_not_read())?;
    let mut skipped = Skipped::default();
    for row in &rows {
        let (event_id, row_number) = change(row).map_err(could_not_read())?;
        let rows = skipped.events.entry(event_id).or_default();
        rows.insert(row_number);
    }
    Ok(skipped)
}

/// The event and the row of a change that is left out.
fn change(row: &Row) -> Result<(i64, RowNumber), tokio_postgres::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn could_not_read() -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database("read which changes are skipped")
}

async fn lock(client: &impl GenericClient, of: Of<'_>) -> Result<(), Error> {
    client
        .execute(
            "select pg_catalog.pg_advisory_xact_lock( \
                 pg_catalog.hashtext('trunkline skip ' || $1), pg_catalog.hashtext($2::oid::text))",
            &[&of.consumer, &of.provider_oid],
        )
        .await
        .map_err(Error::database("lock which changes are skipped"))?;
    Ok(())
}

/// A change that will be left out.
#[derive(Clone, Debug)]
pub struct NewSkip<'a> {
    /// The table, by its name on the provider.
    pub table: &'a TableName,
    /// The tick at the parked table's place.
    pub stands: Tick,
    /// The number of the event.
    pub event_id: i64,
    /// The number of the row.
    pub row_number: RowNumber,
    /// The kind of the change: `insert` and the like.
    pub kind: &'a str,
    /// The key of the row as record text; none for all of an event.
    pub row_key: Option<&'a str>,
    /// The subscriber's error for the change.
    pub error: &'a str,
    /// The login of the operator's system, if that is known.
    pub told_by: Option<&'a str>,
}

/// Leaves a change out from now on, and has the table tried at once. False if the table is no longer parked at the
/// place where the change was found. To be called in a transaction of its own.
pub async fn add(
    client: &impl GenericClient,
    of: Of<'_>,
    skip: &NewSkip<'_>,
) -> Result<bool, Error> {
    lock(client, of).await?;
    let added = client
        .execute(
            "with parked as ( \
                 update trunkline.table_state set try_now = true \
                 where consumer = $1 and provider_oid = $2 and state = 'parked' \
                   and tick_id = $6 and tick_tag = $7 \
                 returning 1) \
             insert into trunkline.skipped_change \
                 (consumer, provider_oid, epoch, schema_name, table_name, tick_id, event_id, \
                  row_number, kind, row_key, error, told_by) \
             select $1, $2, $3, $4, $5, $6, $8, $9, $10, pg_catalog.left($11, $14), $12, $13 \
             from parked",
            &[
                &of.consumer,
                &of.provider_oid,
                &of.epoch.0,
                &skip.table.schema,
                &skip.table.name,
                &skip.stands.id.0,
                &skip.stands.tag.0,
                &skip.event_id,
                &skip.row_number,
                &skip.kind,
                &skip.row_key,
                &skip.error,
                &skip.told_by,
                &KEPT_KEY_CHARACTERS,
            ],
        )
        .await
        .map_err(Error::database("store what is skipped"))?;
    Ok(added == 1)
}
