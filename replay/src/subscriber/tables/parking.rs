//! Parks a table that cannot go on, with the reason and the advice. The batch loop, a catch-up and a
//! copy park in the same way. Parking has a session of its own, because the session that met the
//! trouble may be useless.

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    queue::{consumer, tick::Tick},
    subscriber::{
        table_state::{self, Deed, Stand, TableRow, Why},
        target,
    },
};
use tokio_postgres::error::SqlState;
use tracing::{debug, error};

use crate::{subscriber::shared::Subscription, table::helper, trouble::Trouble};

/// Parks a table whose own task cannot go on. `row` is the table as the task has read it, and `stand` is where the
/// table stands by now. False if the stored row has changed meanwhile.
pub(crate) async fn park(
    sub: &Subscription,
    row: &TableRow,
    stand: &Stand,
    trouble: &Trouble,
) -> Result<bool, Trouble> {
    store(sub, row, stand, trouble, Deed::Park).await
}

/// Parks a table that the batch loop has, or was to take over. A table that was `ok` stands where the loop stands, at
/// the tick `at`, and a helper consumer holds the changes after that tick. False if the stored row has changed
/// meanwhile.
///
/// The helper consumer is registered first. If the process dies before the state is stored, a helper is
/// left over and is cleared away later. In the other order events would be lost.
pub(crate) async fn take_out(
    sub: &Subscription,
    provider: &Session,
    row: &TableRow,
    at: Tick,
    trouble: &Trouble,
) -> Result<bool, Trouble> {
    let (tick, copied) = match row.stand.place() {
        Some(place) => (place.tick, place.copied.as_ref()),
        None => (at, None),
    };
    let _reaping_waits = sub.helpers.lock().await;
    if copied.is_none() {
        let helper = helper::parked(&sub.consumer, row.provider_oid);
        consumer::register_at(&**provider, &sub.settings.queue, &helper, tick.id)
            .await
            .map_err(Trouble::queue)?;
    }
    let deed = |why| Deed::TakeOut(at, why);
    store(sub, row, &row.stand, trouble, deed).await
}

async fn store(
    sub: &Subscription,
    row: &TableRow,
    stand: &Stand,
    trouble: &Trouble,
    deed: impl FnOnce(Why) -> Deed,
) -> Result<bool, Trouble> {
    let (table, error) = (&row.table, trouble.log_line());
    let session = sub.subscriber_session(Purpose::Parking).await?;
    let found = path_advice(sub, &session, table, trouble).await?;
    let advice = found.as_deref().or(trouble.advice()).unwrap_or_default();
    let why = Why {
        error: error.clone(),
        detail: Some(trouble.chain()).filter(|chain| *chain != error),
        advice: advice.to_owned(),
    };
    let step = table_state::step(stand, deed(why))?;
    let parked = table_state::take_step(&*session, &sub.consumer, table, &step).await?;
    let tick = step.to().place().map(|place| place.tick.id.0);
    let was_told = row.stand.why().is_some_and(|before| before.error == error);
    if !parked || was_told {
        debug!(%table, tick, %error, parked, "table stays parked");
    } else {
        error!(%table, tick, %error, %advice, "table parked");
    }
    Ok(parked)
}

/// What to do where code of the subscriber's table did not find what it names, because a schema of the database's
/// `search_path` is not used with replay's rights; none: it is not that.
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
    Ok(target::path_advice(&**session, &sub.consumer, table).await?)
}
