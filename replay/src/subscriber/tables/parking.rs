//! Parks a table that cannot go on, with the reason and what to do. One way for the batch loop,
//! a catch-up and a copy; over a session of its own, for the one that met the trouble may be
//! useless.

use sql::{
    name::TableName,
    queue::tick::Tick,
    subscriber::table_state::{self, Copied, State, Step, Why},
};
use tracing::{debug, error};

use crate::{subscriber::shared::Subscription, trouble::Trouble};

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
    let session = sub.subscriber_session("parking").await?;
    let (error, advice) = (trouble.log_line(), trouble.advice().unwrap_or_default());
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
