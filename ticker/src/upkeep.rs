//! The upkeep of one database: rotation and maintenance, retries, and checks of captured tables, each at its own pace.
//! The upkeep has its own session, so that a slow step delays no tick.

use std::time::{Duration, Instant};

use sql::connect::Purpose;
use sql::install::ownership::{self, Schema};
use sql::queue::Maker;

use crate::database::Database;
use crate::holders::Holders;
use crate::pace::is_due;
use crate::shapes::{Problems, Shapes};
use crate::tries::Tries;
use crate::trouble::Trouble;
use crate::{retry, rotate};

/// Maintains the database until it is asked to stop; a broken session is replaced.
pub(crate) async fn run(database: Database, maker: Maker) {
    let mut tries = Tries::new(&database, "upkeep failed, trying again");
    let mut told = (Holders::default(), Problems::default());
    while let Err(trouble) = once(&database, maker, &mut told, &mut tries.worked).await {
        if tries.is_over(trouble).await {
            return;
        }
    }
}

async fn once(
    database: &Database,
    maker: Maker,
    (holders, problems): &mut (Holders, Problems),
    worked: &mut bool,
) -> Result<(), Trouble> {
    let Some(session) = database.session(Purpose::Upkeep).await? else {
        return Ok(());
    };
    ownership::require(&**session, Schema::QUEUE).await?;
    let mut shapes = Shapes::default();
    let mut maintained: Option<Instant> = None;
    let mut retried: Option<Instant> = None;
    loop {
        let pace = *database.pace.borrow();
        if is_due(maintained, pace.maint_delay) {
            rotate::round(database, &session, maker).await?;
            if let Err(error) = holders.tell(database, &session).await {
                database.piece_failed(&session, error)?;
            }
            maintained = Some(Instant::now());
        }
        if is_due(retried, pace.retry_delay) {
            retry::round(database, &session).await?;
            retried = Some(Instant::now());
        }
        shapes.look(database, &session, problems).await?;
        *worked = true;
        if database.sleep(LOOK_DELAY).await {
            return Ok(());
        }
    }
}

/// Time between two looks at the clock; a reload may change the paces meanwhile.
const LOOK_DELAY: Duration = Duration::from_millis(100);
