//! The databases that are ticked.

use admin::config::TickerConfig;
use admin::databases;
use sql::connect::{ApplicationName, ConnectInfo, Purpose};

use crate::trouble::Trouble;

/// The connections of the config's databases. For "all" these are the databases of the server that have the queue. A
/// database that cannot be asked counts as having the queue, so that its error is seen.
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
