//! The loop of one database: connects, waits until it holds the ticker's lock, ticks, and tries again when that breaks.

use admin::daemon::{self, Beat, Server, Turn};
use sql::connect::Purpose;
use sql::daemon_lock::DaemonLock;
use sql::queue::Maker;

use crate::database::Database;
use crate::history::History;
use crate::tries::Tries;
use crate::trouble::Trouble;
use crate::{tick, upkeep};

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
    let waits = || {
        tracing::info!(
            database = database.name(),
            "standby, another ticker ticks this database"
        );
        database.tell(None);
    };
    match daemon::take_turn(&session, DaemonLock::Ticker, &database.stop, waits).await? {
        Turn::Taken { .. } => {}
        Turn::Stopped => return Ok(()),
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
