//! The state of replays: their provider, their subscribers and the tables there. Gathers the facts; `verdict` judges
//! them.

use futures::future::{join, join_all};
use sql::connect::{ApplicationName, Purpose, Session};
use sql::our_sessions::{Doing, OurSessions};
use sql::standing::{self, SubscriberStanding};
use sql::subscriber::hop;
use sql::subscriber::kept_ddl::{self, Building};
use sql::subscriber::table_state::{self, Stand, State, TableRow};

use super::archives;
use super::ask::{Asking, OnThisHost, PATIENCE, on_this_host};
use super::facts::waits;
use super::provider::Provider;
use super::report::{ConflictStatus, ReplayStatus, SubscriberStatus, TableStatus};
use super::roles::{of_queue, roles};
use super::set;
use super::unknown::unknown;
use super::verdict::{
    self, FromSubscriber, RoleFacts, StoredError, SubscriberFacts, TableFacts, Unasked, Verdict,
};
use crate::config::{ReplayConfig, SubscriberConfig};

/// The error of a subscriber that lacks our tables, or has no row for this consumer.
const NOT_INSTALLED: &str = "not installed here, run replay install";

/// The state of a replay, its provider and its subscribers.
pub async fn of_replay(config: &ReplayConfig, asking: &Asking) -> ReplayStatus {
    let name = ApplicationName::new(Purpose::Status, &config.daemon.job_name);
    let (config, rests) = &set::followed(config, &name, asking).await;
    let asked = config.subscribers.iter().map(|subscriber| {
        let name = &name;
        async move { (subscriber, account(config, subscriber, name, asking).await) }
    });
    let (provider, accounts) = join(Provider::ask(config, &name, asking), join_all(asked)).await;
    let OnThisHost { pid, problem } = on_this_host(&config.daemon);
    let judged = accounts.into_iter().map(|(subscriber, account)| {
        let provider = &provider;
        async move {
            let of_provider = match &account {
                Ok(Some(own)) => {
                    provider
                        .of(subscriber, &own.standing, &own.rows, asking)
                        .await
                }
                Ok(None) | Err(_) => None,
            };
            let facts = SubscriberFacts {
                daemon: pid.is_some(),
                rests: rests.is_some(),
                subscriber: facts(&config.daemon.job_name, &account),
                provider: of_provider,
            };
            let verdict = verdict::of_subscriber(&facts, asking.limits);
            match rests {
                Some(role) => resting(subscriber, role, verdict),
                None => subscriber_status(subscriber, account, &facts, verdict),
            }
        }
    });
    let mut subscribers = join_all(judged).await;
    for one in &config.archives {
        subscribers.push(archives::status(one, &provider, pid.is_some(), asking).await);
    }
    ReplayStatus {
        job: config.daemon.job_name.clone(),
        queue: config.queue.clone(),
        running: pid.is_some(),
        pid,
        pid_problem: problem,
        provider: provider.status(),
        subscribers,
    }
}

/// What a subscriber says of itself.
struct Own {
    standing: SubscriberStanding,
    rows: Vec<TableRow>,
    building: Vec<Building>,
    sessions: OurSessions,
    role: Option<RoleFacts>,
    /// Where providers are that were left, as far as that is known.
    left: Vec<String>,
}

/// A subscriber's own account; None: replay is not installed there. An error keeps the subscriber from being asked.
type Account = Result<Option<Own>, Unasked>;

async fn account(
    config: &ReplayConfig,
    subscriber: &SubscriberConfig,
    name: &ApplicationName,
    asking: &Asking,
) -> Account {
    let asked = async {
        let session = subscriber.db.connect(name).await?;
        let standing = standing::subscriber(&*session, &subscriber.consumer).await?;
        let Some(standing) = standing else {
            return Ok(None);
        };
        Ok(Some(Own {
            standing,
            rows: table_state::list(&*session, &subscriber.consumer).await?,
            building: kept_ddl::building(&*session, &subscriber.consumer).await?,
            sessions: sql::our_sessions::list(&*session).await?,
            role: of_queue(&roles(&session).await?, &config.queue),
            left: left(&session, &subscriber.consumer).await?,
        }))
    };
    asking.ask(asked).await
}

async fn left(session: &Session, consumer: &str) -> Result<Vec<String>, sql::Error> {
    let left = hop::left(&**session, consumer).await?;
    let unknown = || "a provider whose address is not known".to_owned();
    Ok(left
        .into_iter()
        .map(|one| one.address.unwrap_or_else(unknown))
        .collect())
}

fn facts(job: &str, account: &Account) -> Result<Option<FromSubscriber>, Unasked> {
    let own = match account {
        Err(unasked) => return Err(unasked.clone()),
        Ok(None) => return Ok(None),
        Ok(Some(own)) => own,
    };
    let standing = &own.standing;
    let mut sessions = own.sessions.list.iter();
    let worker = sessions.find(|one| one.is_for(Purpose::Apply) && one.is_of(job));
    Ok(Some(FromSubscriber {
        paused: standing.paused,
        held: standing.held,
        error: standing.last_error.clone().map(|text| StoredError {
            text,
            advice: standing.last_error_advice.clone(),
            seconds: standing.last_error_seconds.unwrap_or(0.0),
        }),
        connected: worker.is_some(),
        idle: worker
            .filter(|one| one.doing == Doing::Idle)
            .and_then(|one| one.seconds),
        waits: waits(job, &own.sessions),
        standbys: own.sessions.standbys.clone(),
        tables: own
            .rows
            .iter()
            .filter(|row| row.stand != Stand::Ok)
            .map(|row| TableFacts {
                table: row.table.to_string(),
                state: row.stand.state().to_string(),
                error: row.stand.why().map(|why| why.error.clone()),
                advice: row.stand.why().map(|why| why.advice.clone()),
            })
            .collect(),
        conflicts: standing.recent_conflicts,
    }))
}

/// A subscriber's database whose role is one that applies nothing.
fn resting(config: &SubscriberConfig, role: &RoleFacts, verdict: Verdict) -> SubscriberStatus {
    let mut status = unknown(config.name.clone(), &config.consumer, true, verdict);
    status.role = Some(role.clone());
    status
}

fn subscriber_status(
    config: &SubscriberConfig,
    account: Account,
    facts: &SubscriberFacts,
    verdict: Verdict,
) -> SubscriberStatus {
    let (name, reachable) = (config.name.clone(), account.is_ok());
    let mut status = unknown(name, &config.consumer, reachable, verdict);
    let own = match account {
        Err(unasked) => {
            status.last_error = Some(unasked.error);
            return status;
        }
        Ok(None) => {
            status.last_error = Some(NOT_INSTALLED.to_owned());
            return status;
        }
        Ok(Some(own)) => own,
    };
    let connected = matches!(&facts.subscriber, Ok(Some(own)) if own.connected);
    status.epoch = Some(own.standing.epoch.0.to_string());
    status.tick = Some(own.standing.tick.0);
    status.follows = own.standing.address;
    status.source = own.standing.source;
    status.left = own.left;
    status.paused = own.standing.paused;
    // Without a session the rows were written by a process that has died, so they are rolled back.
    status.batch_rows = own.standing.batch_rows.filter(|_| connected);
    status.conflicts = own.standing.conflicts;
    status.recent_conflicts = own.standing.recent_conflicts;
    status.last_error = own.standing.last_error;
    if let Some(role) = &own.role {
        status.reasons.extend(role.reasons("subscriber"));
        status
            .reasons
            .sort_by_key(|reason| std::cmp::Reverse(reason.severity));
    }
    status.role = own.role;
    for row in &own.rows {
        *status
            .tables
            .entry(row.stand.state().to_string())
            .or_default() += 1;
    }
    let not_ok = own.rows.iter().filter(|row| row.stand != Stand::Ok);
    let building = &own.building;
    status.table_list = not_ok.map(|row| table(config, row, building)).collect();
    status.conflict_list = conflicts(&own.rows);
    if let Some(of_provider) = facts.provider.as_ref().filter(|one| one.same_queue) {
        status.lag_ticks = Some(of_provider.ticks);
        status.pending_events = Some(of_provider.events);
    }
    status
}

/// How many tables with conflicts are told.
const TOLD_CONFLICTS: usize = 20;

/// The tables with the most conflicts.
fn conflicts(rows: &[TableRow]) -> Vec<ConflictStatus> {
    let some = rows.iter().filter(|row| row.conflicts > 0);
    let mut list: Vec<ConflictStatus> = some
        .map(|row| ConflictStatus {
            table: row.table.to_string(),
            conflicts: row.conflicts,
        })
        .collect();
    list.sort_by_key(|one| std::cmp::Reverse(one.conflicts));
    list.truncate(TOLD_CONFLICTS);
    list
}

/// The tables of each subscriber, for `replay tables`. Err: the subscriber cannot be asked, or replay is not installed
/// there.
pub async fn tables_of(
    config: &ReplayConfig,
) -> Vec<(&SubscriberConfig, Result<Vec<TableStatus>, String>)> {
    let name = ApplicationName::new(Purpose::Tables, &config.daemon.job_name);
    let asking = Asking::within(PATIENCE);
    let asked = config.subscribers.iter().map(|subscriber| {
        let (name, asking) = (&name, &asking);
        async move {
            let tables = match account(config, subscriber, name, asking).await {
                Err(unasked) => Err(unasked.error),
                Ok(None) => Err(NOT_INSTALLED.to_owned()),
                Ok(Some(own)) => Ok(own
                    .rows
                    .iter()
                    .map(|row| TableStatus {
                        error: row.stand.why().map(|why| why.with_rows().to_owned()),
                        ..table(subscriber, row, &own.building)
                    })
                    .collect()),
            };
            (subscriber, tables)
        }
    });
    join_all(asked).await
}

fn table(config: &SubscriberConfig, row: &TableRow, building: &[Building]) -> TableStatus {
    // A table that is parked, or caught up, has what is to be built by itself.
    let building = building
        .iter()
        .find(|one| row.stand.state() == State::InCopy && one.table == row.table);
    let loads = matches!(row.stand, Stand::InCopy(_));
    let rate = row
        .seconds_since_start
        .filter(|seconds| loads && *seconds > 0.0)
        .map(|seconds| row.rows_copied as f64 / seconds);
    let left = (row.rows_estimated - row.rows_copied).max(0) as f64;
    TableStatus {
        subscriber: config.name.clone(),
        table: row.table.to_string(),
        target: Some(row.target().to_string()),
        columns: row.mapping.columns.as_ref().map(|columns| {
            let names = columns.iter().map(|column| column.name.clone());
            names.collect()
        }),
        filter: row
            .mapping
            .filter
            .as_ref()
            .map(|filter| filter.condition.clone()),
        merge: row
            .mapping
            .merge
            .as_ref()
            .map(|merge| merge.condition.clone()),
        state: row.stand.state().to_string(),
        rows_copied: Some(row.rows_copied),
        bytes_copied: Some(row.bytes_copied),
        rows_estimated: Some(row.rows_estimated),
        rows_per_second: rate,
        seconds_left: rate.filter(|rate| *rate > 0.0).map(|rate| left / rate),
        objects_left: building.map(|one| one.left),
        objects: building.map(|one| one.all),
        objects_share: building.and_then(|one| one.share),
        ignored: row.ignored,
        conflicts: Some(row.conflicts),
        error: row.stand.why().map(|why| why.error.clone()),
        advice: row.stand.why().map(|why| why.advice.clone()),
    }
}
