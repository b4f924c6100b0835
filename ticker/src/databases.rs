//! Which databases the config means. Asks the server where it says "all".

use admin::config::{Databases, TickerConfig};
use sql::connect::{ApplicationName, ConnectInfo, Purpose};

use crate::trouble::Trouble;

/// The databases of the config, each with its connection. For "all": every database of the server that has the queue;
/// one that cannot be looked at counts as having it, so that its trouble is seen.
pub(crate) async fn named(config: &TickerConfig) -> Result<Vec<ConnectInfo>, Trouble> {
    match &config.databases {
        Databases::FromDb => Ok(vec![config.db.clone()]),
        Databases::Named(names) => Ok(names
            .iter()
            .map(|name| config.db.with_dbname(name))
            .collect()),
        Databases::All => all(config).await,
    }
}

async fn all(config: &TickerConfig) -> Result<Vec<ConnectInfo>, Trouble> {
    let purpose = ApplicationName::new(Purpose::Databases, &config.daemon.job_name);
    let session = config.db.connect(&purpose).await?;
    let mut found = Vec::new();
    for name in sql::standing::databases(&*session).await? {
        let info = config.db.with_dbname(&name);
        let installed = match info.connect(&purpose).await {
            Ok(session) => !matches!(sql::queue::maker(&*session).await, Ok(None)),
            Err(_) => true,
        };
        if installed {
            found.push(info);
        }
    }
    Ok(found)
}
