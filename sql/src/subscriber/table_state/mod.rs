//! Rows of `trunkline.table_state` on a subscriber: the tables that a consumer replicates, and the state of each.

mod find;
mod names_now;
mod origin_oids;
mod register;
mod stand;
mod step;
mod words;
mod writers;

use tokio_postgres::{GenericClient, Row};

use self::stand::Columns;
pub use self::{
    find::{UNFINISHED, changed_at, find, list, none_unfinished, unfinished},
    names_now::{NamesNow, note_names},
    origin_oids::OriginOids,
    register::{Registered, register, remove},
    stand::{Copied, Parked, Place, Stand, Why},
    step::{Deed, Illegal, Step, step},
    words::{Existing, State, UnknownWord},
    writers::{Writer, other_writer, writers, writes_alone},
};

pub(super) use self::register::log_what_is_written;
use super::conflict::OnConflict;
use crate::{error::Error, event::mapping::Mapping, name::TableName};

/// One row of `trunkline.table_state`.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// The table's name on the provider.
    pub table: TableName,
    /// The table's oid on the provider, which is part of the names of the table's helper consumers.
    pub provider_oid: u32,
    /// The table's state, with what the state needs.
    pub stand: Stand,
    /// What is done with rows that the table held before the copy.
    pub existing: Existing,
    /// The rows and columns of the table that are replicated, and the table that they are written to.
    pub mapping: Mapping,
    /// What the table and its columns are called on the provider by now.
    pub now: NamesNow,
    /// The table's oids in the logs further up.
    pub origin_oids: OriginOids,
    /// The number of the copy's last try.
    pub attempt: i64,
    /// The table's rows are those of an unfinished try.
    pub loading: bool,
    /// Rows copied so far.
    pub rows_copied: i64,
    /// Bytes of COPY text copied so far.
    pub bytes_copied: i64,
    /// Rows that the provider's statistics promise.
    pub rows_estimated: i64,
    /// Changes that the table's identity left out.
    pub ignored: i64,
    /// Rows that were not as their changes said.
    pub conflicts: i64,
    /// What is done with rows that are not as their changes said; none: as the job's config says.
    pub on_conflict: Option<OnConflict>,
    /// Seconds since the state last changed, by the subscriber's clock.
    pub seconds_in_state: f64,
    /// Seconds since the copy began, by the subscriber's clock.
    pub seconds_since_start: Option<f64>,
}

impl TableRow {
    /// The subscriber's table, unless the table was renamed on the provider and has another name here.
    pub fn target(&self) -> &TableName {
        self.mapping.target_of(&self.table)
    }

    /// The table's row after a step.
    pub fn standing(&self, stand: &Stand) -> TableRow {
        TableRow {
            stand: stand.clone(),
            ..self.clone()
        }
    }
}

const COLUMNS: &str = "schema_name, table_name, provider_oid, state, existing, tick_id, tick_tag, \
    copied_snapshot, copied_tick_id, copied_tick_tag, copy_attempt, loading, rows_copied, bytes_copied, \
        rows_estimated, error, advice, \
    extract(epoch from clock_timestamp() - changed_at)::float8 as seconds_in_state, \
    extract(epoch from clock_timestamp() - started_at)::float8 as seconds_since_start, ignored, \
    conflicts, on_conflict, try_now, \
    target_schema, target_name, column_attnums, column_names, filter, filter_attnums, filter_names, \
    error_detail, origins::text, overlap_tick_id, needs_repair, \
    schema_now, name_now, column_now::text, origin_oids::text, merge_filter, merge_form, merge_columns";

fn could_not_read() -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database("read the states of tables")
}

fn table_row(row: &Row) -> Result<TableRow, Error> {
    let (table, state, columns) = stands(row).map_err(could_not_read())?;
    let stand = columns.stand(&table, state)?;
    let (now, above) = (NamesNow::of(row, 34)?, OriginOids::of(row, 37)?);
    with_stand(row, table, stand, now, above).map_err(could_not_read())
}

fn stands(row: &Row) -> Result<(TableName, State, Columns), tokio_postgres::Error> {
    let columns = Columns {
        tick_id: row.try_get(5)?,
        tick_tag: row.try_get(6)?,
        copied_snapshot: row.try_get(7)?,
        copied_tick_id: row.try_get(8)?,
        copied_tick_tag: row.try_get(9)?,
        error: row.try_get(15)?,
        advice: row.try_get(16)?,
        try_now: row.try_get(22)?,
        error_detail: row.try_get(30)?,
        origins: row.try_get(31)?,
        overlap_tick_id: row.try_get(32)?,
        needs_repair: row.try_get(33)?,
    };
    Ok((TableName::of(row)?, row.try_get(3)?, columns))
}

fn with_stand(
    row: &Row,
    table: TableName,
    stand: Stand,
    now: NamesNow,
    origin_oids: OriginOids,
) -> Result<TableRow, tokio_postgres::Error> {
    Ok(TableRow {
        table,
        provider_oid: row.try_get(2)?,
        stand,
        existing: row.try_get(4)?,
        mapping: Mapping::of(row, 23, 38)?,
        now,
        origin_oids,
        attempt: row.try_get(10)?,
        loading: row.try_get(11)?,
        rows_copied: row.try_get(12)?,
        bytes_copied: row.try_get(13)?,
        rows_estimated: row.try_get(14)?,
        seconds_in_state: row.try_get(17)?,
        seconds_since_start: row.try_get(18)?,
        ignored: row.try_get(19)?,
        conflicts: row.try_get(20)?,
        on_conflict: row.try_get(21)?,
    })
}

/// The assignments of an update that has a table copied again, from any state; `existing` must be set beside them.
pub(super) const COPIED_AGAIN: &str = "state = '-', tick_id = null, tick_tag = null, copied_snapshot = null, \
    copied_tick_id = null, copied_tick_tag = null, error = null, error_detail = null, advice = null, \
    try_now = false, rows_copied = 0, bytes_copied = 0, changed_at = clock_timestamp(), origins = null, \
    overlap_tick_id = null, needs_repair = false, origin_oids = null, origins_txid = null";

/// Has a table copied again, from any state; a batch loop that still has the table in its list cannot commit any more.
/// Rows that an unfinished copy has loaded are deleted in any case. False if there was no row.
pub async fn resync(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    existing: Existing,
) -> Result<bool, Error> {
    let done = client
        .execute(
            &format!(
                "with again as ( \
                     update trunkline.table_state set existing = $4, {COPIED_AGAIN} \
                     where consumer = $1 and schema_name = $2 and table_name = $3 \
                     returning consumer) \
                 update trunkline.position p set tables_version = tables_version + 1 \
                 from again where p.consumer = again.consumer"
            ),
            &[&consumer, &table.schema, &table.name, &existing.as_str()],
        )
        .await
        .map_err(Error::database(format!("write the state of {table}")))?;
    Ok(done == 1)
}

/// Sets what happens with a table's rows that are not as their changes say; none: as the job's config says. A batch
/// that is being applied under another choice cannot commit. False if there was no row, or if the choice was the same.
pub async fn set_on_conflict(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    on_conflict: Option<OnConflict>,
) -> Result<bool, Error> {
    let changed = client
        .execute(
            "with changed as ( \
                 update trunkline.table_state set on_conflict = $4 \
                 where consumer = $1 and schema_name = $2 and table_name = $3 \
                   and on_conflict is distinct from $4 \
                 returning consumer) \
             update trunkline.position p set tables_version = tables_version + 1 \
             from changed where p.consumer = changed.consumer",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &on_conflict.map(OnConflict::as_str),
            ],
        )
        .await
        .map_err(Error::database(format!("write the choice of {table}")))?;
    Ok(changed == 1)
}

/// Has a parked table tried at once. False if the table is not parked.
pub async fn try_now(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<bool, Error> {
    let asked = client
        .execute(
            "update trunkline.table_state set try_now = true \
             where consumer = $1 and schema_name = $2 and table_name = $3 and state = 'parked'",
            &[&consumer, &table.schema, &table.name],
        )
        .await
        .map_err(Error::database(format!("write the state of {table}")))?;
    Ok(asked == 1)
}

/// Takes a step if the row is still in the state where the step begins; false if another session has changed the row.
pub async fn take_step(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    step: &Step,
) -> Result<bool, Error> {
    let place = step.to().place();
    let tick = place.map(|place| place.tick);
    let copied = place.and_then(|place| place.copied.as_ref());
    let why = step.to().why();
    let changed = client
        .execute(
            "update trunkline.table_state set state = $4, tick_id = $5, tick_tag = $6, \
                 copied_snapshot = $7, copied_tick_id = $8, copied_tick_tag = $9, try_now = false, \
                 error = $10, error_detail = $11, advice = $12, changed_at = clock_timestamp(), \
                 needs_repair = $16, overlap_tick_id = $17, \
                 origins = case when $5::bigint is null then null else coalesce($18::text::jsonb, \
                     (select p.origins from trunkline.position p \
                       where p.consumer = $1 and p.tick_id = $5 and p.tick_tag = $6)) end, \
                 logged_from = case when $4 = 'ok' then null else logged_from end, \
                 logged_txid = case when $4 = 'ok' then null else logged_txid end \
             where consumer = $1 and schema_name = $2 and table_name = $3 \
               and state = $13 and tick_id is not distinct from $14 \
               and tick_tag is not distinct from $15",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &step.to().state().as_str(),
                &tick.map(|tick| tick.id.0),
                &tick.map(|tick| tick.tag.0),
                &copied.map(|copied| copied.snapshot.0.as_str()),
                &copied.map(|copied| copied.shown_by.id.0),
                &copied.map(|copied| copied.shown_by.tag.0),
                &why.map(|why| why.error.as_str()),
                &why.and_then(|why| why.detail.as_deref()),
                &why.map(|why| why.advice.as_str()),
                &step.begins_in().as_str(),
                &step.begins_at().map(|tick| tick.id.0),
                &step.begins_at().map(|tick| tick.tag.0),
                &step.to().needs_repair(),
                &place.and_then(|place| place.overlap).map(|until| until.0),
                &place.and_then(|place| place.origins.as_deref()),
            ],
        )
        .await
        .map_err(Error::database(format!("write the state of {table}")))?;
    Ok(changed == 1)
}

/// Stores the progress of a copy, for showing only.
pub async fn show_progress(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    rows: i64,
    bytes: i64,
    rows_estimated: Option<i64>,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.table_state set rows_copied = $4, bytes_copied = $5, \
                 rows_estimated = coalesce($6, rows_estimated) \
             where consumer = $1 and schema_name = $2 and table_name = $3",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &rows,
                &bytes,
                &rows_estimated,
            ],
        )
        .await
        .map_err(Error::database(format!("show the progress of {table}")))?;
    Ok(())
}

/// Counts changes that the table's identity leaves out, in the transaction that would have applied the changes.
pub async fn count_ignored(
    client: &impl GenericClient,
    consumer: &str,
    provider_oid: u32,
    rows: i64,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.table_state set ignored = ignored + $3 \
             where consumer = $1 and provider_oid = $2",
            &[&consumer, &provider_oid, &rows],
        )
        .await
        .map_err(Error::database("count changes that are left out"))?;
    Ok(())
}
