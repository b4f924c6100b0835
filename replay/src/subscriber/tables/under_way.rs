//! The tables that are under way, and the helper consumers that hold the queue for them.

use std::collections::HashSet;

use sql::{
    connect::Session,
    queue::consumer,
    subscriber::table_state::{self, TableRow},
};
use tracing::debug;

use crate::{subscriber::shared::Subscription, table::helper, trouble::Trouble};

/// Reads the tables that are under way, and clears helpers away that none of them needs.
pub(super) async fn read(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
) -> Result<Vec<TableRow>, Trouble> {
    let queue = &sub.settings.queue;
    let _nobody_parks_meanwhile = sub.helpers.lock().await;
    let helpers: Vec<String> = consumer::list(&**provider)
        .await
        .map_err(Trouble::queue)?
        .into_iter()
        .filter(|one| one.queue == *queue && helper::is_helper_of(&one.name, &sub.consumer))
        .map(|one| one.name)
        .collect();
    // Read after the list: a helper on the list is needed if any state since then says so.
    let rows =
        table_state::unfinished(&**subscriber, &sub.consumer, &table_state::UNFINISHED).await?;
    let needed: HashSet<String> = rows
        .iter()
        .filter_map(|row| helper::needed(row, &sub.consumer))
        .collect();
    for name in helpers {
        if !needed.contains(&name) {
            consumer::unregister(&**provider, queue, &name)
                .await
                .map_err(Trouble::queue)?;
            debug!(consumer = %name, "helper consumer cleared away");
        }
    }
    Ok(rows)
}
