//! Each table that a command line means, compared.

use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use anyhow::anyhow;
use sql::{
    connect::Session,
    provider,
    queue::tick,
    subscriber::{
        position::Position,
        table_state::{Stand, TableRow},
    },
};

use super::super::{
    Job, label,
    subscriber::{self, Opened},
};
use super::{
    args::WhatArgs,
    journal::{Earlier, Journal},
    tell::{Told, WhatIsTold},
};
use crate::{
    compare::{self, Comparison, Options, Report, Sessions, Stop},
    frames::place::Time,
    join::choose::{Choice, Unmatched},
    trouble::Trouble,
};

/// Time between two lines that say how far a comparison is.
const PROGRESS: Duration = Duration::from_secs(3);

/// All tables that a command line means, one after the other.
pub(in crate::command) struct All<'a> {
    job: &'a Job,
    what: &'a WhatArgs,
    options: &'a Options,
    /// The command's name, for words how to go on; and what is said of a table on which it cannot work.
    command: (&'static str, &'static str),
    /// What is compared already, of a comparison that can go on.
    pub(super) journal: Option<&'a Mutex<Journal>>,
    /// Each table that was meant was compared.
    pub(super) is_complete: Cell<bool>,
}

/// One table of one subscriber.
pub(in crate::command) struct Table<'a> {
    pub(in crate::command) job: &'a Job,
    pub(in crate::command) one: &'a SubscriberConfig,
    pub(in crate::command) row: &'a TableRow,
    pub(in crate::command) sessions: &'a Sessions<'a>,
    pub(in crate::command) options: &'a Options,
    /// The command ends a comparison that was interrupted with words how to go on.
    pub(in crate::command) command: &'static str,
    /// Each row that differs is named on standard error.
    pub(in crate::command) names_rows: bool,
    /// Compare what was changed after this place of the queue, which is that of a time; none: all.
    pub(in crate::command) since: Option<(Position, Time)>,
    /// What is compared already.
    pub(in crate::command) journal: Option<&'a Mutex<Journal>>,
}

/// A comparison that has ended.
pub(in crate::command) struct Done<'a> {
    pub(in crate::command) comparison: Comparison<'a>,
    pub(in crate::command) report: Report,
    pub(in crate::command) told: Told,
}

impl<'a> All<'a> {
    /// The tables that `what` means.
    pub(in crate::command) fn new(
        job: &'a Job,
        what: &'a WhatArgs,
        options: &'a Options,
        command: (&'static str, &'static str),
    ) -> All<'a> {
        All {
            job,
            what,
            options,
            command,
            journal: None,
            is_complete: Cell::new(false),
        }
    }

    /// Does something with each table. Tables that cannot be compared are named, and the others go on.
    pub(in crate::command) async fn each(
        &self,
        mut work: impl AsyncFnMut(&Table<'_>) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let (job, what) = (self.job, self.what);
        let choice = Choice {
            all: what.tables.is_empty(),
            wanted: &what.tables,
            ..Choice::default()
        };
        let (provider, beside) = (job.provider().await?, job.provider().await?);
        job.has_queue(&provider).await?;
        let since = match what.since {
            None => None,
            Some(time) => Some((place_before(job, &provider, time).await?, time)),
        };
        let (mut refused, mut done, mut differ) = (0, 0, false);
        let mut unmatched = Unmatched::default();
        for one in job.subscribers(what.subscriber.as_deref())? {
            let opened = Opened::of(job, one).await?;
            job.is_followed(&provider, one, &opened.session).await?;
            let chosen = opened.chosen(&choice).await?;
            refused += chosen.tell_unknown(self.command.1, "is not replicated");
            let sessions = Sessions {
                provider: &provider,
                beside: &beside,
                subscriber: &opened.session,
                is_level: Cell::new(false),
            };
            for row in chosen.named.iter().chain(&chosen.matched) {
                let table = Table {
                    job,
                    one,
                    row,
                    sessions: &sessions,
                    options: self.options,
                    command: self.command.0,
                    names_rows: true,
                    since,
                    journal: self.journal,
                };
                match self.one(&table, &mut work).await? {
                    Some(exit) => {
                        done += 1;
                        differ |= exit != Exit::Done;
                    }
                    None => refused += 1,
                }
            }
            unmatched.also(chosen.unmatched);
        }
        self.is_complete.set(refused == 0 && done > 0);
        let exit = match subscriber::exit(refused, done) {
            Exit::Done if differ => Exit::Part,
            Exit::Failed if differ => Exit::Part,
            exit @ (Exit::Done
            | Exit::Part
            | Exit::Usage
            | Exit::Failed
            | Exit::TimedOut
            | Exit::Running) => exit,
        };
        Ok(unmatched.tell(self.command.1, exit))
    }

    /// Works on one table; none: it could not be compared, which was told.
    async fn one(
        &self,
        table: &Table<'_>,
        work: &mut impl AsyncFnMut(&Table<'_>) -> Result<Exit, Failure>,
    ) -> Result<Option<Exit>, Failure> {
        let (name, at, not) = (&table.row.table, label(table.one), self.command.1);
        let state = &table.row.stand;
        if !matches!(state, Stand::Ok) {
            eprintln!("{not}: {name}: it is {} on {at}", state.state().as_str());
            return Ok(None);
        }
        match work(table).await {
            Ok(exit) => Ok(Some(exit)),
            Err(failure) if failure.exit == Exit::Part => {
                eprintln!("{not}: {at}: {:#}", failure.error);
                if let Some(hint) = failure.hint {
                    eprintln!("hint: {hint}");
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl<'a> Table<'a> {
    /// Compares the table. How far it is is told now and then; if it does not get to its end, how to go on is told.
    pub(in crate::command) async fn compare(&self) -> Result<Done<'a>, Failure> {
        let started = Instant::now();
        let comparison = Comparison::open(
            self.job.queue(),
            &self.one.consumer,
            self.row,
            self.sessions,
            self.job.config.session_role,
            self.options.clone(),
        )
        .await
        .map_err(|stop| self.failure(stop))?;
        let identity = match self.journal {
            None => String::new(),
            Some(_) => {
                let identity = comparison.identity().await;
                sql::script::digest(&identity.map_err(|stop| self.failure(stop))?)
            }
        };
        let of = (self.one.consumer.clone(), self.row.table.to_string());
        let (mut report, mut earlier_seconds) = (Report::default(), 0.0);
        match self.earlier(&of, &identity) {
            None => {}
            Some(Earlier {
                report,
                is_done: true,
                seconds,
                at,
            }) => {
                let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                let mut told = Told::of(self.told(), &comparison, &report, took);
                told.compared_at = Some(at);
                told.name_rows();
                return Ok(Done {
                    comparison,
                    report,
                    told,
                });
            }
            Some(earlier) => (report, earlier_seconds) = (earlier.report, earlier.seconds),
        }
        let took = || started.elapsed().as_secs_f64() + earlier_seconds;
        let expected = rows_expected(self.sessions.provider, self.row.provider_oid).await?;
        let mut next = Instant::now() + PROGRESS;
        let (journal, since) = (self.journal, self.since);
        let mut tell = |report: &Report| {
            if let Some(mut journal) = locked(journal) {
                journal.note(&of, &identity, report, took());
            }
            if Instant::now() < next || self.job.common.quiet {
                return;
            }
            next = Instant::now() + PROGRESS;
            let upto = report
                .upto
                .as_ref()
                .map_or_else(String::new, |upto| format!(", up to {upto}"));
            let about = match since {
                Some(_) if report.is_whole.is_none() => " changed rows".to_owned(),
                Some(_) | None => format!(" of about {expected} rows"),
            };
            eprintln!("{}: {}{about} compared{upto}", self.row.table, report.rows);
        };
        let work = async {
            match self.since {
                None => compare::run(&comparison, &mut report, &mut tell).await,
                Some((from, _)) => {
                    let session = self.job.provider().await;
                    let session = session.map_err(Trouble::connect("provider"))?;
                    compare::run_since(&comparison, from, session, &mut report, &mut tell).await
                }
            }
        };
        let ended = tokio::select! {
            ended = work => ended.map_err(|stop| self.failure(stop)),
            _ = tokio::signal::ctrl_c() => {
                Err(Failure::message(Exit::Failed, format!("table {}: interrupted", self.row.table)))
            }
        };
        let seconds = took();
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let told = Told::of(self.told(), &comparison, &report, duration);
        if self.names_rows {
            told.name_rows();
        }
        if let (Ok(()), Some(mut journal)) = (&ended, locked(self.journal)) {
            journal.done(&of, &identity, &report, seconds);
            journal.check()?;
        }
        if let Err(failure) = ended {
            if self.journal.is_some() {
                eprintln!("{}: to go on: the same command again", self.row.table);
            } else if let (Some(upto), None) = (&report.upto, self.since) {
                let upto = upto.replace('\'', "'\\''");
                eprintln!(
                    "{}: compared so far: {} rows; to go on: replay {} {} --after '{upto}'",
                    self.row.table, report.rows, self.command, self.row.table
                );
            }
            return Err(failure);
        }
        Ok(Done {
            comparison,
            report,
            told,
        })
    }

    fn told(&self) -> WhatIsTold<'a> {
        WhatIsTold {
            table: &self.row.table,
            one: self.one,
            options: self.options,
            since: self.since.map(|(_, time)| time),
        }
    }

    /// What an earlier run has compared of the table, which is told.
    fn earlier(&self, of: &(String, String), identity: &str) -> Option<Earlier> {
        let earlier = locked(self.journal)?.earlier(of, identity)?;
        let (table, at, rows) = (&self.row.table, &earlier.at, earlier.report.rows);
        if earlier.is_done {
            self.note(&format!("{table}: compared at {at}, in an earlier run"));
        } else {
            let upto = earlier.report.upto.as_deref().unwrap_or_default();
            self.note(&format!(
                "{table}: {rows} rows up to {upto} were compared by {at}, in an earlier run; it goes on behind them"
            ));
        }
        Some(earlier)
    }

    fn note(&self, text: &str) {
        if !self.job.common.quiet {
            eprintln!("{text}");
        }
    }

    /// A comparison that has ended early. [`Exit::Part`]: because of this table alone.
    pub(in crate::command) fn failure(&self, stop: Stop) -> Failure {
        let trouble = match stop {
            Stop::Late(what) => {
                let text = format!("table {}: {what}", self.row.table);
                return Failure::message(Exit::TimedOut, text);
            }
            Stop::Trouble(trouble) => trouble,
        };
        let exit = match &trouble {
            Trouble::Table(_) => Exit::Part,
            Trouble::Passing { .. } | Trouble::Operator { .. } | Trouble::Stale => Exit::Failed,
        };
        let advice = trouble.advice().map(str::to_owned);
        let failure = Failure::new(exit, anyhow!("{}", trouble.chain()));
        match advice {
            Some(advice) => failure.with_hint(advice),
            None => failure,
        }
    }
}

fn locked<'a>(journal: Option<&'a Mutex<Journal>>) -> Option<MutexGuard<'a, Journal>> {
    Some(journal?.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The last place of the provider's queue before a time.
///
/// # Errors
/// [`Exit::Failed`]: the queue does not hold all changes since then.
async fn place_before(job: &Job, provider: &Session, time: Time) -> Result<Position, Failure> {
    if let Some((epoch, tick)) = tick::before(&**provider, job.queue(), time.system()).await? {
        return Ok(Position { epoch, tick });
    }
    let held = tick::held_since(&**provider, job.queue()).await?;
    let since = held.and_then(Time::of).map_or_else(
        || "no change".to_owned(),
        |time| format!("changes since {} only", String::from(time)),
    );
    let text = format!(
        "the queue holds {since}, and not since {}",
        String::from(time)
    );
    Err(Failure::message(Exit::Failed, text)
        .with_hint("take a later time, or compare all rows: leave out --since"))
}

/// About how many rows the provider's table has, as its catalog says: planning a query could run code of the table's
/// owner. For showing only.
async fn rows_expected(provider: &Session, oid: u32) -> Result<i64, Failure> {
    let sizes = provider::table_sizes(&**provider, &[oid]).await?;
    Ok(sizes.first().map_or(0, |size| size.rows_estimated))
}
