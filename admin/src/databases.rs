//! The databases that a ticker's config means. For "all" the server is asked.

use sql::connect::{ApplicationName, ConnectError, ConnectInfo};
use sql::standing;

use crate::config::{Databases, TickerConfig};

/// A ticker's databases.
#[derive(Debug)]
pub struct TickerDatabases {
    /// How each database is reached.
    pub connections: Vec<ConnectInfo>,
    /// The config does not name the databases: a database without a queue is not one of the ticker's.
    pub may_lack_queue: bool,
}

/// The databases of a config; for "all", those of the server that its role may connect to.
///
/// # Errors
/// The errors of connecting and of listing, where the server must be asked.
pub async fn of_ticker<E: From<ConnectError> + From<sql::Error>>(
    config: &TickerConfig,
    name: &ApplicationName,
) -> Result<TickerDatabases, E> {
    let of_names = |names: &[String]| {
        let connections = names.iter().map(|name| config.db.with_dbname(name));
        connections.collect()
    };
    let (connections, may_lack_queue) = match &config.databases {
        Databases::FromDb => (vec![config.db.clone()], false),
        Databases::Named(names) => (of_names(names), false),
        Databases::All => {
            let session = config.db.connect(name).await?;
            (of_names(&standing::databases(&*session).await?), true)
        }
    };
    Ok(TickerDatabases {
        connections,
        may_lack_queue,
    })
}
