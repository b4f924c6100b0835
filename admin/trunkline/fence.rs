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
use sql::successor;

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
    /// Then wait this long until a standby has applied all that was written; exit code 1 if none has
    #[arg(long, value_name = "SECONDS", value_parser = patience)]
    applied: Option<Duration>,
    /// Print JSON: {"queue", "database", "new", "final_tick", "tables", "read_only", "seconds", "applied_by"}
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
/// [`Exit::Failed`] if the database refuses: nothing has changed either. With `--applied` the fence stands also where
/// no standby has everything in time, which ends with [`Exit::Part`].
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
        let heir = handed_over(args, &place).await?;
        output::print_json(&json!({
            "queue": queue, "database": place.name, "new": fence.is_new, "final_tick": fence.last.tick.id.0,
            "tables": fence.tables, "read_only": fence.read_only, "seconds": seconds, "applied_by": heir.name(),
        }))?;
        return Ok(heir.exit(queue));
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
    let heir = handed_over(args, &place).await?;
    if let Some(name) = heir.name() {
        say(common, &format!("{name} has applied all of it"))?;
    }
    Ok(heir.exit(queue))
}

/// Who has everything of a fenced node.
enum HandedOver {
    /// That was not asked.
    Unasked,
    /// This node.
    To(String),
    /// None of these standbys, in time.
    ToNobody(Vec<String>),
}

impl HandedOver {
    fn name(&self) -> Option<&str> {
        match self {
            HandedOver::To(name) => Some(name),
            HandedOver::Unasked | HandedOver::ToNobody(_) => None,
        }
    }

    /// How the command ends. What is wrong is printed.
    fn exit(&self, queue: &str) -> Exit {
        let HandedOver::ToNobody(standbys) = self else {
            return Exit::Done;
        };
        let who = match standbys.as_slice() {
            [] => "no standby is known".to_owned(),
            all => format!("not {}", all.join(", ")),
        };
        eprintln!(
            "warning: queue {queue} is fenced, and no standby has applied all of it in time: {who}; what only this \
             node has is lost if another one takes its place before"
        );
        Exit::Part
    }
}

/// How long one question to the server waits.
const QUESTION: Duration = Duration::from_secs(2);

/// Waits until a standby has everything, if that is wanted. Where no standby is known there is nothing to wait for.
async fn handed_over(args: &FenceArgs, place: &Located) -> Result<HandedOver, Failure> {
    let Some(limit) = args.applied else {
        return Ok(HandedOver::Unasked);
    };
    let started = Instant::now();
    loop {
        let since = started.elapsed();
        let wait = limit.saturating_sub(since).min(QUESTION).as_secs_f64();
        let heirs =
            successor::handed_over(&*place.session, &args.queue, wait, since.as_secs_f64()).await;
        let heirs = heirs.map_err(|error| Failure {
            exit: Exit::Part,
            ..Failure::from(error)
        })?;
        if let Some(heir) = heirs.iter().find(|one| one.has_all) {
            return Ok(HandedOver::To(heir.name.clone()));
        }
        if heirs.is_empty() || started.elapsed() >= limit {
            let standbys = heirs.into_iter().map(|one| one.name).collect();
            return Ok(HandedOver::ToNobody(standbys));
        }
    }
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
