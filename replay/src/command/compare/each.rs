//! Each table that a command line means, compared.

use std::{
    cell::Cell,
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
    subscriber::table_state::{Stand, TableRow},
};

use super::super::{
    Job, label,
    subscriber::{self, Opened},
};
use super::{args::WhatArgs, tell::Told};
use crate::{
    compare::{self, Comparison, Options, Report, Sessions, Stop},
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
        let expected = rows_expected(self.sessions.provider, self.row.provider_oid).await?;
        let mut report = Report::default();
        let mut next = Instant::now() + PROGRESS;
        let mut tell = |report: &Report| {
            if Instant::now() < next || self.job.common.quiet {
                return;
            }
            next = Instant::now() + PROGRESS;
            let upto = report
                .upto
                .as_ref()
                .map_or_else(String::new, |upto| format!(", up to {upto}"));
            eprintln!(
                "{}: {} of about {expected} rows compared{upto}",
                self.row.table, report.rows
            );
        };
        let ended = tokio::select! {
            ended = compare::run(&comparison, &mut report, &mut tell) => ended.map_err(|stop| self.failure(stop)),
            _ = tokio::signal::ctrl_c() => {
                Err(Failure::message(Exit::Failed, format!("table {}: interrupted", self.row.table)))
            }
        };
        let told = Told::of(
            &self.row.table,
            self.one,
            &comparison,
            &report,
            self.options,
            started.elapsed(),
        );
        if self.names_rows {
            told.name_rows();
        }
        if let Err(failure) = ended {
            if let Some(upto) = &report.upto {
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

/// About how many rows the provider's table has, as its catalog says: planning a query could run code of the table's
/// owner. For showing only.
async fn rows_expected(provider: &Session, oid: u32) -> Result<i64, Failure> {
    let sizes = provider::table_sizes(&**provider, &[oid]).await?;
    Ok(sizes.first().map_or(0, |size| size.rows_estimated))
}
