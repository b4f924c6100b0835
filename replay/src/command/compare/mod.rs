//! `replay compare`: compares the tables of both sides while they are written, and names each row that differs.

mod args;
mod each;
mod tell;

use admin::{
    exit::{Exit, Failure},
    output,
};
use serde_json::Value;

pub(crate) use self::args::{CompareArgs, WhatArgs};
pub(super) use self::each::{All, Done, Table};
use super::Job;

/// Runs the command. It changes nothing, and can be ended at any time.
pub(crate) async fn run(job: &Job, args: &CompareArgs) -> Result<Exit, Failure> {
    let options = args.what.options()?;
    let all = All::new(job, &args.what, &options, ("compare", "not compared"));
    let mut listed = Vec::new();
    let exit = all
        .each(async |table| {
            let told = table.compare().await?.told;
            listed.push(told.json());
            if !args.json {
                told.print(job)?;
            }
            Ok(told.exit())
        })
        .await;
    if args.json {
        output::print_json(&Value::Array(listed))?;
    }
    exit
}
