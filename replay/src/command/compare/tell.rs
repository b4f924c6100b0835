//! What was found out about a table, in words and as JSON.

use std::time::Duration;

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
    terminal::visible,
};
use serde_json::{Value, json};
use sql::name::{TableName, quote_ident};

use super::super::{Job, label};
use crate::{
    compare::{Comparison, Difference, Kind, Options, Report, describe_key, nullable_fields},
    frames::place::Time,
};

/// A table's comparison, as it is told.
pub(in crate::command) struct Told {
    table: TableName,
    /// The subscriber in messages.
    at: String,
    subscriber: Option<String>,
    keys: Vec<String>,
    report: Report,
    sampled: bool,
    /// It has begun after a key.
    is_rest: bool,
    /// Only rows that were changed after this time were compared.
    since: Option<Time>,
    /// When an earlier run has compared it; none: it was compared now.
    pub(super) compared_at: Option<String>,
    seconds: f64,
}

/// What a comparison was of.
#[derive(Clone, Copy)]
pub(super) struct WhatIsTold<'a> {
    pub(super) table: &'a TableName,
    pub(super) one: &'a SubscriberConfig,
    pub(super) options: &'a Options,
    pub(super) since: Option<Time>,
}

impl Told {
    pub(super) fn of(
        WhatIsTold {
            table,
            one,
            options,
            since,
        }: WhatIsTold<'_>,
        comparison: &Comparison<'_>,
        report: &Report,
        took: Duration,
    ) -> Told {
        Told {
            table: table.clone(),
            at: label(one),
            subscriber: one.name.clone(),
            keys: comparison
                .key_names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            report: report.clone(),
            sampled: options.share < 1.0,
            is_rest: options.after.is_some(),
            since: since.filter(|_| report.is_whole.is_none()),
            compared_at: None,
            seconds: took.as_secs_f64(),
        }
    }

    fn count(&self, kind: Kind) -> u64 {
        let all = self.report.differences.iter();
        all.filter(|one| one.kind == kind)
            .map(|one| one.count)
            .sum()
    }

    /// Names each row that differs on standard error.
    pub(super) fn name_rows(&self) {
        let names: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        for Difference {
            key,
            kind,
            columns,
            count,
        } in &self.report.differences
        {
            let many = match count {
                1 => String::new(),
                more => format!(", {more} times"),
            };
            let how = match kind {
                Kind::Missing => format!("missing on {}", self.at),
                Kind::Extra => format!("only on {}", self.at),
                Kind::Changed => {
                    let columns: Vec<String> =
                        columns.iter().map(|name| quote_ident(name)).collect();
                    format!("differs on {} in {}", self.at, columns.join(", "))
                }
            };
            eprintln!(
                "{}: {}: {how}{many}",
                self.table,
                visible(&describe_key(&names, key))
            );
        }
    }

    /// Prints one line about the table.
    pub(in crate::command) fn print(&self, job: &Job) -> Result<(), Failure> {
        let Report {
            rows,
            differences,
            in_motion,
            is_cut,
            is_whole,
            ..
        } = &self.report;
        let mut line = format!("{}: {rows} rows", self.table);
        if self.sampled {
            line.push_str(" of a sample");
        }
        if let Some(since) = self.since {
            line.push_str(&format!(" changed since {}", String::from(since)));
        }
        if let Some(why) = is_whole {
            line.push_str(&format!(" (all of them: {why})"));
        }
        if differences.is_empty() {
            line.push_str(", the same");
        } else {
            let (missing, extra) = (self.count(Kind::Missing), self.count(Kind::Extra));
            line.push_str(&format!(
                ", {} differ: {missing} missing, {extra} extra, {} changed",
                self.report.differing(),
                self.count(Kind::Changed)
            ));
        }
        if *is_cut {
            line.push_str("; the rest was not compared (--most)");
        }
        if *in_motion > 0 {
            line.push_str(&format!(
                "; {in_motion} in motion all the time, and followed"
            ));
        }
        if let Some(at) = &self.compared_at {
            line.push_str(&format!("; compared at {at}, in an earlier run"));
        }
        let at = self
            .subscriber
            .as_ref()
            .map_or_else(String::new, |name| format!(" on {name}"));
        job.say(&format!("{line}{at} ({:.2} s)", self.seconds))
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Value {
        let word = |kind| match kind {
            Kind::Missing => "missing",
            Kind::Extra => "extra",
            Kind::Changed => "changed",
        };
        let key = |difference: &Difference| -> Value {
            if self.keys.is_empty() {
                return json!({ "md5": difference.key });
            }
            let pairs = self
                .keys
                .iter()
                .cloned()
                .zip(nullable_fields(&difference.key));
            pairs
                .map(|(name, value)| (name, value.map_or(Value::Null, Value::String)))
                .collect()
        };
        let differing: Vec<Value> = self
            .report
            .differences
            .iter()
            .map(|one| json!({ "key": key(one), "kind": word(one.kind), "columns": one.columns, "count": one.count }))
            .collect();
        json!({
            "subscriber": self.subscriber,
            "table": self.table.to_string(),
            "rows": self.report.rows,
            "equal": differing.is_empty() && !self.report.is_cut,
            "complete": !self.report.is_cut && !self.sampled && !self.is_rest && self.since.is_none(),
            "since": self.since.map(String::from),
            "compared_at": self.compared_at,
            "in_motion": self.report.in_motion,
            "differing": differing,
            "seconds": self.seconds,
        })
    }

    /// The exit code that the table is worth.
    pub(in crate::command) fn exit(&self) -> Exit {
        match self.report.differences.is_empty() && !self.report.is_cut {
            true => Exit::Done,
            false => Exit::Part,
        }
    }
}
