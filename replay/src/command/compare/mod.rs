//! `replay compare`: compares the tables of both sides while they are written, and names each row that differs.

mod args;
mod each;
mod journal;
mod tell;

use std::sync::{Mutex, PoisonError};

use admin::{
    exit::{Exit, Failure},
    output,
};
use serde_json::Value;
use sql::provider;

pub(crate) use self::args::{CompareArgs, WhatArgs};
pub(super) use self::each::{All, Done, Table};
use self::journal::Journal;
use super::Job;

/// Runs the command. It changes nothing in a database, and can be ended at any time.
pub(crate) async fn run(job: &Job, args: &CompareArgs) -> Result<Exit, Failure> {
    let options = args.what.options()?;
    let journal = match &args.resume {
        None => None,
        Some(path) => {
            let digest = digest(job, &args.what).await?;
            Some(Mutex::new(Journal::open(path, &digest)?))
        }
    };
    let mut all = All::new(job, &args.what, &options, ("compare", "not compared"));
    all.journal = journal.as_ref();
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
    let is_complete = all.is_complete.get();
    if let (Ok(_), Some(journal)) = (&exit, journal) {
        if is_complete {
            journal
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .end()?;
        } else {
            eprintln!("not all was compared: the same command again goes on");
        }
    }
    exit
}

/// What a comparison is of, as a digest: the job, the provider's queue, and what was asked for. A queue that was made
/// anew or followed at another node is another one.
async fn digest(job: &Job, what: &WhatArgs) -> Result<String, Failure> {
    let provider = job.provider().await?;
    job.has_queue(&provider).await?;
    let epoch = provider::queue_epoch(&*provider, job.queue()).await?;
    let text = format!("{:?}", (job.name(), job.queue(), epoch, what.text()));
    Ok(sql::script::digest(&text))
}
