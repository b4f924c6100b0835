//! The loop of one database: connects, waits until it holds the ticker's lock, ticks, and tries again when that breaks.

use std::time::Duration;

use admin::daemon::{self, Beat, Server};
use sql::connect::{Purpose, Session};
use sql::our_sessions::TICKER_LOCK;
use sql::queue::Maker;

use crate::database::Database;
use crate::history::History;
use crate::tries::Tries;
use crate::trouble::Trouble;
use crate::{tick, upkeep};

/// Time between two tries of a standby to get the ticker's lock.
const STANDBY_DELAY: Duration = Duration::from_secs(1);

/// Ticks the database until it is asked to stop, whatever breaks in between.
pub(crate) async fn run(database: Database) {
    let mut tries = Tries::new(&database, "database failed, trying again");
    let mut history = History::default();
    while let Err(trouble) = once(&database, &mut history, &mut tries.worked).await {
        if !database.stop.is_cancelled() {
            database.tell(Some(trouble.text()));
        }
        if tries.is_over(trouble).await {
            return;
        }
    }
}

/// Works over one connection until it breaks. Ok: asked to stop. `worked` is set when the connection got as far as
/// ticking.
async fn once(
    database: &Database,
    history: &mut History,
    worked: &mut bool,
) -> Result<(), Trouble> {
    let Some(session) = database.session(Purpose::Ticker).await? else {
        return Ok(());
    };
    let maker = sql::queue::maker(&**session)
        .await?
        .ok_or(Trouble::NotInstalled)?;
    if !become_the_one(database, &session).await? {
        return Ok(());
    }
    *worked = true;
    match maker {
        Maker::Trunkline => {
            tracing::info!(database = database.name(), "ticking");
            history.check(database.name(), &session).await?;
        }
        // PgQ has the same functions and none of ours: no epochs, no tags, no list of the queues that are due.
        Maker::PgQ => tracing::info!(
            database = database.name(),
            "ticking queues of PgQ, not of Trunkline"
        ),
    }
    database.tell(None);
    let _counted = database.stats.ticking();

    // The upkeep must end when the lock is lost, so it ends with this session.
    let upkeep_database = Database {
        stop: database.stop.child_token(),
        ..database.clone()
    };
    let upkeep_stop = upkeep_database.stop.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited below, whatever ticking ends with"
    )]
    let upkeep = tokio::spawn(upkeep::run(upkeep_database, maker));
    let beat = Beat::default();
    let (beats, servers) = (
        [&beat],
        [Server {
            name: database.name(),
            connect: &database.connect,
        }],
    );
    let result = tokio::select! {
        ended = tick::run(database, &session, maker, history, &beat) => ended,
        never = daemon::watch(&database.job_name, &beats, &servers) => match never {},
    };
    upkeep_stop.cancel();
    if let Err(error) = upkeep.await {
        tracing::error!(
            database = database.name(),
            error = error.to_string(),
            "upkeep ended by itself"
        );
    }
    result.map_err(Trouble::from)
}

/// Takes the ticker's lock, and waits as a standby as long as another ticker holds it; false: asked to stop.
async fn become_the_one(database: &Database, session: &Session) -> Result<bool, Trouble> {
    let mut waiting = false;
    loop {
        let row = session
            .query_one(
                "select pg_catalog.pg_try_advisory_lock($1)",
                &[&TICKER_LOCK],
            )
            .await
            .map_err(sql::Error::database("take the ticker's lock"))?;
        let taken: bool = row
            .try_get(0)
            .map_err(sql::Error::database("take the ticker's lock"))?;
        if taken {
            return Ok(true);
        }
        if !waiting {
            waiting = true;
            tracing::info!(
                database = database.name(),
                "standby, another ticker ticks this database"
            );
            database.tell(None);
        }
        if database.sleep(STANDBY_DELAY).await {
            return Ok(false);
        }
    }
}
