//! Which databases are to be ticked.

use admin::config::TickerConfig;
use admin::databases;
use sql::connect::{ApplicationName, ConnectInfo, Purpose};

use crate::trouble::Trouble;

/// The databases of the config, each with its connection. For "all": every database of the server that has the queue;
/// one that cannot be looked at counts as having it, so that its trouble is seen.
pub(crate) async fn named(config: &TickerConfig) -> Result<Vec<ConnectInfo>, Trouble> {
    let name = ApplicationName::new(Purpose::Databases, &config.daemon.job_name);
    let found = databases::of_ticker::<Trouble>(config, &name).await?;
    if !found.may_lack_queue {
        return Ok(found.connections);
    }
    let mut with_queue = Vec::new();
    for info in found.connections {
        let installed = match info.connect(&name).await {
            Ok(session) => !matches!(sql::queue::maker(&*session).await, Ok(None)),
            Err(_) => true,
        };
        if installed {
            with_queue.push(info);
        }
    }
    Ok(with_queue)
}
