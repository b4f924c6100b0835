//! `trunkline fence` and `trunkline unfence`: have a provider take no more writes of a queue's tables, and take them
//! again. Each is one transaction of a function of schema trunkline, tried again until the time is up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use admin::cli::{CommonArgs, say};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure, one_line};
use admin::output;
use serde_json::json;
use sql::moment::{self, LockTimeout as _};
use sql::role::{self, Unfenced};

use crate::places::{self, Located, PlaceArgs};

/// What is fenced, and for how long that is tried.
#[derive(Debug, clap::Args)]
pub(crate) struct FenceArgs {
    /// The queue whose tables are meant
    queue: String,
    /// Why; it is shown to whoever writes, in status and in check
    #[arg(long)]
    reason: Option<String>,
    /// Wait this long for those who are writing; each try stops others for a third of a second at most
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = patience)]
    drain: Duration,
    /// Leave default_transaction_read_only of the database alone, by which clients find the provider
    #[arg(long)]
    no_read_only: bool,
    /// Print JSON: {"queue", "database", "new", "final_tick", "tables", "read_only", "seconds"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Which fence is taken away.
#[derive(Debug, clap::Args)]
pub(crate) struct UnfenceArgs {
    /// The queue whose tables are meant
    queue: String,
    /// Though another node was heard of with a higher term: it is off, and what it took is given up
    #[arg(long)]
    force: bool,
    /// Wait this long for tables that others have locked; the ticker goes on afterwards
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = patience)]
    timeout: Duration,
    #[command(flatten)]
    place: PlaceArgs,
}

pub(crate) fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
    let wrong = || "a number of seconds from 0 to 86400".to_owned();
    seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
}

/// Runs `trunkline fence`.
///
/// Errors: [`Exit::TimedOut`] if others wrote all the time, and the last to do so are named: nothing has changed.
/// [`Exit::Failed`] if the database refuses: nothing has changed either.
pub(crate) async fn fence(
    args: &FenceArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let place = places::with_queue(configs, &args.place, &args.queue).await?;
    let (queue, reason) = (&args.queue, args.reason.as_deref());
    let started = Instant::now();
    let mut told = Told::default();
    let made = moment::within(args.drain, async || {
        let made = role::fence(&*place.session, queue, reason, Some(!args.no_read_only)).await;
        made.inspect_err(|error| told.blocked(error))
    });
    let fence = made.await.map_err(|error| not_done(error, "is fenced"))?;
    let seconds = started.elapsed().as_secs_f64();
    if !fence.read_only && !args.no_read_only {
        eprintln!(
            "warning: default_transaction_read_only of database {} is not on by the fence: it was on, another queue of \
             this database takes writes, or the owner of schema trunkline does not own the database",
            place.name
        );
    }
    if args.json {
        output::print_json(&json!({
            "queue": queue, "database": place.name, "new": fence.is_new, "final_tick": fence.last.tick.id.0,
            "tables": fence.tables, "read_only": fence.read_only, "seconds": seconds,
        }))?;
        return Ok(Exit::Done);
    }
    let done = if fence.is_new {
        "fenced"
    } else {
        "is fenced already"
    };
    say(
        common,
        &format!(
            "{}: queue {queue} {done}: {} tables and partitions take no writes, tick {} is the final one \
             ({seconds:.2} s)",
            place.name, fence.tables, fence.last.tick.id.0
        ),
    )?;
    Ok(Exit::Done)
}

/// Runs `trunkline unfence`.
///
/// Errors: [`Exit::TimedOut`] if the node is the provider again and some tables are still locked by others; the ticker
/// opens these. [`Exit::Failed`] if the database refuses: nothing has changed.
pub(crate) async fn unfence(
    args: &UnfenceArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let place = places::with_queue(configs, &args.place, &args.queue).await?;
    let queue = &args.queue;
    let started = Instant::now();
    let mut told = Told::default();
    let taken = moment::within(args.timeout, async || {
        let taken = role::unfence(&*place.session, queue, args.force).await;
        taken.inspect_err(|error| told.blocked(error))
    });
    let taken = taken
        .await
        .map_err(|error| not_done(error, "is unfenced"))?;
    open_all(&place, args, taken, started).await?;
    let done = if taken.is_new {
        "is unfenced"
    } else {
        "is not fenced"
    };
    say(
        common,
        &format!(
            "{}: queue {queue} {done}: all its tables take writes",
            place.name
        ),
    )?;
    Ok(Exit::Done)
}

async fn open_all(
    place: &Located,
    args: &UnfenceArgs,
    taken: Unfenced,
    started: Instant,
) -> Result<(), Failure> {
    let queue = &args.queue;
    let mut left = taken.tables_left;
    while left > 0 {
        if started.elapsed() >= args.timeout {
            let text = format!(
                "queue {queue} is unfenced, and {left} of its tables refuse writes still: others hold their locks"
            );
            return Err(Failure::message(Exit::TimedOut, text).with_hint(
                "the ticker opens them as soon as it gets the locks; so does a further unfence",
            ));
        }
        tokio::time::sleep(moment::MOMENT).await;
        match role::open_tables(&*place.session, queue).await {
            Ok(now) => left = now,
            // The ticker is at it.
            Err(error) if error.is_lock_timeout() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Who blocks, told once for each object that is blocked: a drain may take long.
#[derive(Default)]
pub(crate) struct Told(BTreeSet<String>);

impl Told {
    pub(crate) fn blocked(&mut self, error: &sql::Error) {
        let Some(answer) = error.answer().filter(|_| error.is_lock_timeout()) else {
            return;
        };
        if self.0.insert(answer.message().to_owned()) {
            let who = answer.detail().unwrap_or("nobody is named");
            eprintln!("waiting: {}: {who}", answer.message());
        }
    }
}

/// A try that failed. A server that answered has changed nothing. A connection that broke may have taken the answer
/// with it: then the same command says what became of it.
fn not_done(error: sql::Error, done: &str) -> Failure {
    let timed_out = error.is_lock_timeout();
    let answered = error.answer().is_some();
    let unasked = matches!(
        error,
        sql::Error::NotInstalled { .. } | sql::Error::Stranger { .. }
    );
    let failure = Failure::from(error);
    match (timed_out, answered || unasked) {
        (true, _) => Failure {
            exit: Exit::TimedOut,
            ..failure
        },
        (false, true) => failure,
        (false, false) => {
            let text = one_line(failure.error.as_ref());
            Failure::message(
                Exit::TimedOut,
                format!("not known whether the queue {done}: {text}"),
            )
            .with_hint("run it again: it is safe to repeat, and tells what is")
        }
    }
}
