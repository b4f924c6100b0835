//! The command line of `compare`, and of commands that compare first.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use admin::exit::{Exit, Failure};

use crate::{compare::Options, frames::place::Time, join::choose::TablePattern};

/// The arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(super) what: WhatArgs,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Keep in this file what is compared, and go on where the file says; it is removed when all is compared
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sample", "after"])]
    pub(super) resume: Option<PathBuf>,
}

/// What is compared.
#[derive(Debug, clap::Args)]
pub(crate) struct WhatArgs {
    /// Tables, as schema.table; * and ? match in unquoted names. None: all tables of the job
    #[arg(value_name = "TABLE")]
    pub(super) tables: Vec<TablePattern>,
    /// On one subscriber only
    #[arg(long, value_name = "NAME")]
    pub(super) subscriber: Option<String>,
    /// Compare about so many percent of the rows, chosen at random
    #[arg(long, value_name = "PERCENT", conflicts_with = "after")]
    sample: Option<f64>,
    /// Compare the rows that were changed after this time, as 2026-11-28T02:00:00Z; the queue's events name them
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["sample", "after"])]
    pub(super) since: Option<Time>,
    /// Begin after this key, where an earlier comparison of the table has ended
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// End the comparison of a table after so many rows that differ
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    most: usize,
    /// How long the changes in flight may take to arrive; else exit code 4
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    timeout: f64,
}

/// A time that a person has written.
fn time(text: &str) -> Result<Time, String> {
    let time = Time::read(text).ok_or("no time with its zone, as 2026-11-28T02:00:00Z")?;
    if time.system() > SystemTime::now() {
        return Err("that time is still to come".into());
    }
    Ok(time)
}

impl WhatArgs {
    /// All that says what is compared and how, as a text.
    pub(super) fn text(&self) -> String {
        format!(
            "{:?}",
            (&self.tables, &self.subscriber, &self.since, self.most)
        )
    }

    /// The arguments as a comparison takes them.
    pub(in crate::command) fn options(&self) -> Result<Options, Failure> {
        let usage = |text: String| Failure::message(Exit::Usage, text);
        if self.after.is_some() && self.tables.len() != 1 {
            return Err(usage("--after takes one table, by its name".into()));
        }
        let percent = self.sample.unwrap_or(100.0);
        if !(percent > 0.0 && percent <= 100.0) {
            let text = format!("--sample {percent}: not a number above 0 and up to 100");
            return Err(usage(text));
        }
        if self.most == 0 {
            return Err(usage("--most 0: at least 1".into()));
        }
        let patience = Duration::try_from_secs_f64(self.timeout)
            .map_err(|error| usage(format!("--timeout {}: {error}", self.timeout)))?;
        Ok(Options {
            after: self.after.clone(),
            share: percent / 100.0,
            most: self.most,
            patience,
        })
    }
}
