//! What our sessions are waiting for, as the server sees them: a synchronous standby, a lock, or nothing.
//! Reads the server's own views only.

use tokio_postgres::{GenericClient, Row};

use crate::connect::{self, Purpose};
use crate::daemon_lock::TICKER_LOCK;
use crate::error::{Error, column};

/// A session of ours in the database that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct OurSession {
    /// The session's `application_name`: the purpose and the job, cut at 63 bytes.
    pub name: String,
    /// The session's process on the server.
    pub pid: i32,
    /// Seconds since the session began its current activity, or became idle; None: this role may not see that.
    pub seconds: Option<f64>,
    /// The session's activity.
    pub doing: Doing,
}

impl OurSession {
    /// Whether the session has this purpose, whatever its job is.
    pub fn is_for(&self, purpose: Purpose) -> bool {
        connect::is_for(&self.name, purpose)
    }

    /// Whether the session is of this job.
    pub fn is_of(&self, job: &str) -> bool {
        connect::is_of(&self.name, job)
    }
}

/// The activity of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Runs a statement.
    Working,
    /// The session's commit waits until a synchronous standby has it.
    WaitsForStandby,
    /// The session waits for a lock that others hold: their process ids and names.
    WaitsForLock(String),
    /// The session has nothing to do on the server.
    Idle,
    /// This role may not see the session's activity.
    Hidden,
}

/// Sessions of ours in a database, and the standbys that its server's commits wait for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OurSessions {
    /// The sessions, in order of their names.
    pub list: Vec<OurSession>,
    /// `synchronous_standby_names`; empty: commits wait for none.
    pub standbys: String,
    /// The process that holds the ticker's lock of this database, whatever its session's name is.
    pub ticker: Option<i32>,
}

impl OurSessions {
    /// The sessions whose commits wait for a synchronous standby.
    pub fn waiting_for_standby(&self) -> Vec<&OurSession> {
        let all = self.list.iter();
        all.filter(|one| one.doing == Doing::WaitsForStandby)
            .collect()
    }

    /// The sessions that wait for a lock, each with the sessions that hold the lock.
    pub fn waiting_for_lock(&self) -> Vec<(&OurSession, &str)> {
        let all = self.list.iter();
        all.filter_map(|one| match &one.doing {
            Doing::WaitsForLock(holders) => Some((one, holders.as_str())),
            Doing::Working | Doing::WaitsForStandby | Doing::Idle | Doing::Hidden => None,
        })
        .collect()
    }
}

/// All our sessions in this database, whatever their job is. Source: pg_stat_activity and pg_locks. Of sessions of
/// other roles these views tell only that they exist, unless this role is a member of those roles or of
/// `pg_read_all_stats`.
pub async fn list(client: &impl GenericClient) -> Result<OurSessions, Error> {
    let doing = || Error::database("look at our sessions");
    let rows = client
        .query(
            "select a.application_name, a.pid, a.state, a.wait_event_type, a.wait_event, \
                    extract(epoch from pg_catalog.clock_timestamp() - a.state_change)::float8, \
                    case when a.wait_event_type = 'Lock' then ( \
                        select pg_catalog.string_agg(pg_catalog.format('pid %s (%s)', b.pid, \
                                   coalesce(nullif(b.application_name, ''), 'no name')), ', ' order by b.pid) \
                          from pg_catalog.pg_stat_activity b \
                         where b.pid = any (pg_catalog.pg_blocking_pids(a.pid))) end \
               from pg_catalog.pg_stat_activity a \
              where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid() \
                and a.application_name like 'trunkline %' \
              order by 1, 2",
            &[],
        )
        .await
        .map_err(doing())?;
    let (high, low) = (TICKER_LOCK >> 32, TICKER_LOCK & 0xffff_ffff);
    let more = client
        .query_one(
            "select pg_catalog.current_setting('synchronous_standby_names'), \
                    (select min(l.pid) from pg_catalog.pg_locks l \
                      where l.locktype = 'advisory' and l.granted and l.objsubid = 1 \
                        and l.classid::bigint = $1 and l.objid::bigint = $2 \
                        and l.database = (select d.oid from pg_catalog.pg_database d \
                                           where d.datname = pg_catalog.current_database()))",
            &[&high, &low],
        )
        .await
        .map_err(doing())?;
    Ok(OurSessions {
        list: rows.iter().map(session).collect::<Result<_, _>>()?,
        standbys: column(&more, 0)?,
        ticker: column(&more, 1)?,
    })
}

fn session(row: &Row) -> Result<OurSession, Error> {
    let (state, kind, event): (Option<String>, Option<String>, Option<String>) =
        (column(row, 2)?, column(row, 3)?, column(row, 4)?);
    let doing = match (state.as_deref(), kind.as_deref(), event.as_deref()) {
        (None, ..) => Doing::Hidden,
        (Some("active"), _, Some("SyncRep")) => Doing::WaitsForStandby,
        (Some("active"), Some("Lock"), _) => {
            let by: Option<String> = column(row, 6)?;
            Doing::WaitsForLock(by.unwrap_or_else(|| "another session".to_owned()))
        }
        // A statement whose client must send or take more does nothing by itself.
        (Some("active"), Some("Client"), _) => Doing::Idle,
        (Some("active"), ..) => Doing::Working,
        (Some(_), ..) => Doing::Idle,
    };
    Ok(OurSession {
        name: column(row, 0)?,
        pid: column(row, 1)?,
        seconds: column(row, 5)?,
        doing,
    })
}
