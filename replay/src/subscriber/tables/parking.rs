//! Parks a table that cannot go on, with the reason and what to do. One way for the batch loop,
//! a catch-up and a copy; over a session of its own, for the one that met the trouble may be
//! useless.

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    queue::{consumer, tick::Tick},
    subscriber::table_state::{self, Copied, State, Step, TableRow, Why},
};
use tokio_postgres::{error::SqlState, types::Type};
use tracing::{debug, error};

use crate::{subscriber::shared::Subscription, table::helper, trouble::Trouble};

/// A table as its stored row must still be, and where it shall stand.
pub(crate) struct Parking<'a> {
    pub(crate) table: &'a TableName,
    /// The state and the tick that the row is in now.
    pub(crate) from: (State, Option<Tick>),
    /// The tick from which its own events follow; none if it is to be copied again.
    pub(crate) tick: Option<Tick>,
    /// The copy that its rows are of, if that is not outlived yet.
    pub(crate) copied: Option<&'a Copied>,
    /// The error that was told when it was parked before, so that each is told once.
    pub(crate) told: Option<&'a str>,
}

/// Stores the state `parked`; false if the row is not as it was any more.
pub(crate) async fn park(
    sub: &Subscription,
    parking: Parking<'_>,
    trouble: &Trouble,
) -> Result<bool, Trouble> {
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let (error, found) = (
        trouble.log_line(),
        path_advice(sub, &session, parking.table, trouble).await?,
    );
    let advice = found.as_deref().or(trouble.advice()).unwrap_or_default();
    let detail = Some(trouble.chain()).filter(|chain| *chain != error);
    let step = Step {
        from: parking.from.0,
        from_tick: parking.from.1,
        to: State::Parked,
        tick: parking.tick,
        copied: parking.copied,
        trouble: Some(Why {
            error: &error,
            detail: detail.as_deref(),
            advice,
        }),
    };
    let parked = table_state::take_step(&*session, &sub.consumer, parking.table, &step)
        .await
        .map_err(Trouble::database("could not park a table"))?;
    let tick = parking.tick.map(|tick| tick.id.0);
    if !parked || parking.told == Some(error.as_str()) {
        debug!(table = %parking.table, tick, %error, parked, "table stays parked");
    } else {
        error!(table = %parking.table, tick, %error, %advice, "table parked");
    }
    Ok(parked)
}

/// Parks a table that the batch loop has or was to take over, its changes after a tick held in the queue;
/// false if the row is not as it was any more.
///
/// The helper consumer comes first: if the process dies before the state is stored, a
/// helper is left over, and cleared away; the other way round events would be lost.
pub(crate) async fn park_held(
    sub: &Subscription,
    provider: &Session,
    row: &TableRow,
    stands: Tick,
    trouble: &Trouble,
) -> Result<bool, Trouble> {
    let _reaping_waits = sub.helpers.lock().await;
    if row.copied.is_none() {
        let helper = helper::parked(&sub.consumer, row.provider_oid);
        consumer::register_at(&**provider, &sub.settings.queue, &helper, stands.id)
            .await
            .map_err(Trouble::queue)?;
    }
    let parking = Parking {
        table: &row.table,
        from: (row.state, row.tick),
        tick: Some(stands),
        copied: row.copied.as_ref(),
        told: None,
    };
    park(sub, parking, trouble).await
}

/// What to do where code of the subscriber's table did not find what it names, because a schema of the database's `search_path` is
/// not used with replay's rights; none: it is not that.
async fn path_advice(
    sub: &Subscription,
    session: &Session,
    table: &TableName,
    trouble: &Trouble,
) -> Result<Option<String>, Trouble> {
    const NOT_FOUND: [SqlState; 5] = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    if !trouble
        .sqlstate()
        .is_some_and(|state| NOT_FOUND.contains(state))
    {
        return Ok(None);
    }
    session
        .query_typed_one(
            "select trunkline.path_advice($1, $2, $3)",
            &[
                (&sub.consumer, Type::TEXT),
                (&table.schema, Type::TEXT),
                (&table.name, Type::TEXT),
            ],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Trouble::database("could not look for what a table lacks"))
}
