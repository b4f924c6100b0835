//! `replay lost`: shows what a provider of the past has taken that the later one never had.

use std::{
    fs::OpenOptions,
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use admin::{
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    lost::{self, Finding},
};

use super::Job;

/// The changes of one question.
const PORTION: i64 = 1_000;

/// The arguments of `lost`.
#[derive(Debug, clap::Args)]
pub(crate) struct LostArgs {
    /// Write the changes to a new file, one line of JSON each: those that wait, else the newest
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. It needs the own database only.
pub(crate) async fn run(job: &Job, args: &LostArgs) -> Result<Exit, Failure> {
    let one = job.subscribers(None)?.into_iter().next();
    let one = one.context("the config names no subscriber")?;
    let session = job.subscriber(one).await?;
    let found = lost::findings(&*session, Some(job.queue())).await?;
    let waits = |finding: &&Finding| finding.own && finding.handled.is_none();
    if let Some(path) = &args.export {
        let Some(finding) = found.iter().find(waits).or(found.first()) else {
            return Err(Failure::message(
                Exit::Failed,
                "nothing was written: no changes are kept here",
            ));
        };
        let written = export(&session, finding, path).await;
        written.with_context(|| format!("could not write {}", path.display()))?;
    }
    if args.json {
        output::print_json(&found)?;
    } else {
        show(&found)?;
    }
    let waiting = found.iter().any(|finding| waits(&finding));
    Ok(if waiting { Exit::Part } else { Exit::Done })
}

fn show(found: &[Finding]) -> Result<(), Failure> {
    if found.is_empty() {
        return output::print("nothing was lost\n");
    }
    for finding in found {
        let state = match (&finding.handled, finding.own) {
            (Some(at), _) => format!("handled at {at}"),
            (None, true) => "waits: replay rejoin".to_owned(),
            (None, false) => "kept for that node".to_owned(),
        };
        let kept = match (finding.own, finding.sent) {
            (true, false) => "; the provider does not have them yet",
            (true, true) | (false, _) => "",
        };
        output::print(&format!("{} ({state}{kept})\n", finding.describe()))?;
        if let Some(file) = &finding.lost.file {
            output::print(&format!("    {file}.ndjson and .sql on that node\n"))?;
        }
    }
    Ok(())
}

async fn export(session: &Session, finding: &Finding, path: &Path) -> anyhow::Result<()> {
    // They are business data, and no file is overwritten.
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut file = BufWriter::new(file);
    let mut after = -1;
    loop {
        let place = finding.lost.place();
        let portion = lost::changes(&**session, &finding.queue, place, after, PORTION).await?;
        let Some(last) = portion.last() else { break };
        after = last.number;
        for change in &portion {
            serde_json::to_writer(&mut file, change)?;
            file.write_all(b"\n")?;
        }
    }
    let file = file.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    Ok(())
}
