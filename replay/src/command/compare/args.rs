//! The command line of `compare`, and of commands that compare first.

use std::time::Duration;

use admin::exit::{Exit, Failure};

use crate::{compare::Options, join::choose::TablePattern};

/// The arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(super) what: WhatArgs,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
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

impl WhatArgs {
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
