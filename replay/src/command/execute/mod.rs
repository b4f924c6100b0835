//! `replay execute`: runs a script of DDL on the provider, in one transaction with its record and its event, which the
//! subscribers execute where it lies among the changes.
//!
//! 1. `trunkline.begin_script` refuses a name that is known, and takes a number that the script's events are above.
//! 2. The script's statements are run, one by one.
//! 3. Over a second session a tick is made: with the script's locks held, the tables that it touches stand there as it
//!    found them.
//! 4. `trunkline.log_script` records the script and logs it; then the commit. A kill before the commit leaves nothing,
//!    one behind it nothing to do.

mod after;
mod answer;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    connect::{SETUP, Session},
    name::TableName,
    script::{
        LONGEST, Script, digest,
        logged::{self, Logged},
        made::Relations,
        record,
        statements::{self, Statement},
    },
};
use tokio_postgres::error::SqlState;

use super::{Job, label, told_by, wait};

/// The arguments of `execute`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecuteArgs {
    /// Files with a script each, executed in this order
    #[arg(value_name = "FILE", required_unless_present_any = ["list", "retry", "skip"])]
    files: Vec<PathBuf>,
    /// What the script is called, in place of the name of its one file
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// Run it on the provider, and tell the subscribers nothing
    #[arg(long)]
    provider_only: bool,
    /// Run it on the subscribers alone: the provider has it already
    #[arg(long, conflicts_with = "provider_only")]
    subscribers_only: bool,
    /// Add the tables and sequences that the scripts make, when all subscribers have executed them
    #[arg(long, conflicts_with_all = ["provider_only", "subscribers_only"])]
    add: bool,
    /// Wait until all subscribers have executed it, at most so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "", conflicts_with = "provider_only")]
    wait: Option<String>,
    /// How long a statement may wait for a lock on the provider, while writers wait behind it
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    lock_timeout: f64,
    /// List the scripts of the queue: on the provider, and on each subscriber
    #[arg(long, conflicts_with_all = ["files", "retry", "skip"])]
    list: bool,
    /// With --list: as JSON
    #[arg(long, requires = "list")]
    json: bool,
    /// Try a script again that has failed on a subscriber, or waits there
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "skip"])]
    retry: Option<String>,
    /// Drop it there: all of it was done by hand
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    skip: Option<String>,
    /// With --list, --retry or --skip: of one subscriber only
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    subscriber: Option<String>,
}

/// A script as its file has it.
struct Read<'a> {
    id: String,
    text: &'a str,
    statements: Vec<Statement<'a>>,
}

/// Runs the command.
pub(crate) async fn run(job: &Job, args: &ExecuteArgs) -> Result<Exit, Failure> {
    let only = args.subscriber.as_deref();
    if args.list {
        return answer::list(job, args.json, only).await;
    }
    if let Some(id) = &args.retry {
        return answer::retry(job, id, only).await;
    }
    if let Some(id) = &args.skip {
        return answer::skip(job, id, only).await;
    }
    let patience = wait::limit(args.wait.as_deref())?;
    let texts = read_files(args)?;
    let mut scripts = Vec::new();
    for (path, text) in &texts {
        scripts.push(check(path, text, args)?);
    }
    let provider = job.provider().await?;
    job.has_queue(&provider).await?;
    if !args.provider_only {
        warn_of_refusals(job)?;
    }
    let mut executed = Vec::new();
    for read in &scripts {
        match execute(job, args, &provider, read).await {
            Ok(script) => executed.push(script),
            Err(failure) if executed.is_empty() => return Err(failure),
            Err(failure) => {
                eprintln!("{}", failure.to_text());
                return Ok(Exit::Part);
            }
        }
    }
    if args.add {
        return after::add(job, &provider, &executed, patience).await;
    }
    match patience {
        Some(limit) => after::wait(job, &executed, limit).await,
        None => Ok(Exit::Done),
    }
}

/// Says which subscribers will not execute scripts: the tables of theirs that one touches are parked there.
fn warn_of_refusals(job: &Job) -> Result<(), Failure> {
    for one in job.subscribers(None)? {
        if !one.allow_execute.unwrap_or(job.config.allow_execute) {
            eprintln!(
                "warning: {} has allow_execute = false: it executes no script, and parks its tables that one touches",
                label(one)
            );
        }
    }
    Ok(())
}

fn read_files(args: &ExecuteArgs) -> Result<Vec<(PathBuf, String)>, Failure> {
    if args.id.is_some() && args.files.len() != 1 {
        return Err(Failure::message(Exit::Usage, "--id is for one file"));
    }
    let usage = |path: &Path, why: String| {
        Failure::message(Exit::Usage, format!("{}: {why}", path.display()))
    };
    let mut texts = Vec::new();
    for path in &args.files {
        let (text, _) = sql::small_file::read_text(path, LONGEST as u64)
            .map_err(|error| usage(path, error.to_string()))?;
        texts.push((path.clone(), text));
    }
    Ok(texts)
}

fn check<'a>(path: &Path, text: &'a str, args: &ExecuteArgs) -> Result<Read<'a>, Failure> {
    let usage = |why: String| Failure::message(Exit::Usage, format!("{}: {why}", path.display()));
    let statements = statements::statements(text).map_err(|bad| usage(bad.to_string()))?;
    sql::script::attributes::attributes(text).map_err(|bad| usage(bad.to_string()))?;
    let id = match &args.id {
        Some(id) => Some(id.as_str()),
        None => path.file_name().and_then(|name| name.to_str()),
    };
    let id = id.filter(|id| !id.is_empty() && id.len() <= 200 && !id.contains(char::is_control));
    let id = id.ok_or_else(|| {
        usage("a script's name has 1 to 200 bytes, and no control characters".into())
    })?;
    Ok(Read {
        id: id.to_owned(),
        text,
        statements,
    })
}

/// Executes one script, or with `--add` finds that it was executed already.
async fn execute(
    job: &Job,
    args: &ExecuteArgs,
    provider: &Session,
    read: &Read<'_>,
) -> Result<Script, Failure> {
    let script = Script {
        id: read.id.clone(),
        digest: digest(read.text),
        sql: read.text.to_owned(),
        tick: None,
        tables: Vec::new(),
    };
    if args.add && was_executed(job, provider, &script).await? {
        job.say(&format!(
            "{}: was executed on the provider already",
            script.id
        ))?;
        return Ok(script);
    }
    match in_transaction(job, args, provider, read, script).await {
        Ok(script) => {
            let touched: Vec<String> = script
                .tables
                .iter()
                .map(|one| TableName::new(&one.schema, &one.name).to_string())
                .collect();
            let touched = match touched.is_empty() {
                true => String::new(),
                false => format!("; it touches {}", touched.join(", ")),
            };
            let place = if args.subscribers_only {
                "logged"
            } else {
                "executed"
            };
            job.say(&format!("{}: {place}{touched}", script.id))?;
            Ok(script)
        }
        Err(failure) => {
            // A session whose server is gone has rolled back by itself.
            let _ = provider.batch_execute("rollback").await;
            Err(failure)
        }
    }
}

async fn was_executed(job: &Job, provider: &Session, script: &Script) -> Result<bool, Failure> {
    let known = record::of_provider(&**provider, job.queue()).await?;
    Ok(known
        .iter()
        .any(|one| one.id == script.id && one.digest == script.digest))
}

async fn in_transaction(
    job: &Job,
    args: &ExecuteArgs,
    provider: &Session,
    read: &Read<'_>,
    script: Script,
) -> Result<Script, Failure> {
    let failed = |doing: String| {
        let id = script.id.clone();
        move |error: tokio_postgres::Error| not_executed(&id, doing, error)
    };
    let say = async |sql: &str| {
        let said = provider.batch_execute(sql).await;
        said.map_err(failed("could not prepare the session".into()))
    };
    let lock_timeout = Duration::try_from_secs_f64(args.lock_timeout).map_err(|error| {
        Failure::message(
            Exit::Usage,
            format!("--lock-timeout {}: {error}", args.lock_timeout),
        )
    })?;
    let millis = lock_timeout.as_millis().max(1);
    // Opened before the script has locks: to connect may take long.
    let ticking = job.provider().await?;
    let limited = ticking.batch_execute("set statement_timeout = '10s'").await;
    limited.map_err(failed("could not prepare the session".into()))?;
    say(&format!(
        "begin isolation level read committed read write; set local lock_timeout = {millis}"
    ))
    .await?;
    let begun = logged::begin(&**provider, job.queue(), &script.id, &script.digest).await;
    let after = begun.map_err(failed("could not begin".into()))?;
    let made = || "could not read the provider's tables";
    let before = match args.add {
        true => Relations::read(&**provider).await.with_context(made)?,
        false => Relations::default(),
    };
    if !args.subscribers_only {
        for statement in &read.statements {
            let run = provider.execute(statement.text, &[]).await;
            run.map_err(failed(format!("line {}", statement.line)))?;
        }
        say("reset session authorization; reset role; reset all").await?;
        say(SETUP).await?;
    }
    let made = match args.add {
        true => before.made_since(&**provider).await.with_context(made)?,
        false => Vec::new(),
    };
    let tables = logged::touched(&**provider, job.queue()).await?;
    let tick = match args.provider_only {
        true => None,
        false => {
            let tick = logged::tick(&*ticking, job.queue()).await?;
            Some(tick.ok_or_else(|| no_tick(&script.id, job.queue()))?)
        }
    };
    let script = Script {
        tick,
        tables,
        ..script
    };
    let told_by = told_by();
    let logged = Logged {
        after,
        made: &made,
        told_by: told_by.as_deref(),
        for_subscribers: !args.provider_only,
    };
    let done = logged::log(&**provider, job.queue(), &script, logged).await;
    done.map_err(|error| not_executed(&script.id, "could not log it".into(), error))?;
    let committed = provider.batch_execute("commit").await;
    committed.map_err(|error| {
        let failure = not_executed(&script.id, "could not commit".into(), error);
        match provider.is_closed() {
            true => Failure::message(Exit::Failed, failure.to_text())
                .with_hint("whether it was committed is not known: replay execute --list"),
            false => failure,
        }
    })?;
    Ok(script)
}

/// Without a tick nobody could tell where the tables stand that a script touches.
fn no_tick(id: &str, queue: &str) -> Failure {
    Failure::message(
        Exit::Failed,
        format!("{id}: nothing was executed: queue {queue} makes no ticks now"),
    )
    .with_hint("it is paused, or another program makes its ticks: have the ticker make them, and try again")
}

/// The failure of a script that has changed nothing.
fn not_executed(id: &str, doing: String, error: tokio_postgres::Error) -> Failure {
    let code = error.code().cloned();
    let own = error
        .as_db_error()
        .and_then(|server| server.hint())
        .map(str::to_owned);
    let failure = Failure::new(
        Exit::Failed,
        anyhow::Error::new(error).context(format!("{id}: nothing was executed: {doing}")),
    );
    let hint = match code {
        _ if own.is_some() => own,
        Some(SqlState::INSUFFICIENT_PRIVILEGE) if doing == "could not begin" => Some(
            "subscribers may run what this role logs, so the owner of schema trunkline must allow it: grant \
             execute on function trunkline.begin_script, trunkline.script_tables, trunkline.script_tick, \
             trunkline.log_script to the role"
                .into(),
        ),
        Some(SqlState::LOCK_NOT_AVAILABLE) => {
            Some("somebody holds a lock on the table: try again, or wait longer with --lock-timeout".into())
        }
        Some(SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_FUNCTION | SqlState::UNDEFINED_OBJECT)
        | Some(SqlState::INVALID_SCHEMA_NAME) => Some(
            "a script finds what is in pg_catalog, and else names with their schema: write public.t, or begin the \
             script with: set local search_path = public"
                .into(),
        ),
        Some(_) | None => None,
    };
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
