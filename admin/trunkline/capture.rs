//! `trunkline capture`: lists what is captured for which consumer, and ends the capture for a consumer whose subscriber
//! is gone. Changes capture through schema trunkline's functions only.

use admin::cli::{CommonArgs, say};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use admin::{output, terminal};
use clap::Subcommand;
use serde::Serialize;
use sql::moment;
use sql::name::TableName;
use sql::provider::{self, Capture};
use tokio_postgres::error::SqlState;

use crate::places::{self, Located, PlaceArgs};

/// What is done with capture.
#[derive(Debug, Subcommand)]
pub(crate) enum CaptureCommand {
    /// One line a table or sequence that is captured: for whom, and how it stands
    ///
    /// A consumer that its queue does not have any more is marked "(gone)": nobody will read what is captured for it.
    /// Exit code 1 if some database could not be asked.
    List {
        /// Into this queue only
        queue: Option<String>,
        /// As JSON: an array
        #[arg(long)]
        json: bool,
    },
    /// End the capture of tables and sequences for consumers that are gone
    ///
    /// The triggers go when the last consumer has left. Refused for a consumer that is still registered, because its
    /// subscriber would miss what is written from then on: `replay remove` is for that, on the subscriber's host.
    Drop {
        /// The queue
        queue: String,
        /// Tables or sequences, as schema.name
        #[arg(
            value_name = "TABLE",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        tables: Vec<TableName>,
        /// All that is captured into the queue
        #[arg(long)]
        all: bool,
        /// For this consumer only
        #[arg(long, value_name = "NAME")]
        consumer: Option<String>,
        /// Also for consumers that are registered: their subscribers have to copy the tables again
        #[arg(long)]
        force: bool,
    },
}

/// A captured table or sequence, and its database.
#[derive(Serialize)]
struct CaptureRow<'a> {
    database: &'a str,
    queue: &'a str,
    kind: &'static str,
    name: String,
    consumers: Vec<ConsumerCell<'a>>,
    problem: Option<&'a str>,
    dropped: bool,
    form: Option<&'a str>,
    why: Option<&'a str>,
}

/// A consumer, and whether its queue still has the consumer.
#[derive(Serialize)]
struct ConsumerCell<'a> {
    name: &'a str,
    registered: bool,
}

const HEADER: [&str; 7] = [
    "Database",
    "Queue",
    "Kind",
    "Name",
    "Consumers",
    "Form",
    "State",
];

impl CaptureRow<'_> {
    fn new<'a>(database: &'a str, capture: &'a Capture) -> CaptureRow<'a> {
        CaptureRow {
            database,
            queue: &capture.queue,
            kind: if capture.is_sequence {
                "sequence"
            } else {
                "table"
            },
            name: capture.name.to_string(),
            consumers: capture
                .consumers
                .iter()
                .map(|of| ConsumerCell {
                    name: &of.consumer,
                    registered: of.registered,
                })
                .collect(),
            problem: capture.problem.as_deref(),
            dropped: capture.dropped,
            form: capture.form.as_deref(),
            why: capture.why.as_deref(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let consumers = self.consumers.iter().map(|consumer| {
            let gone = if consumer.registered { "" } else { "(gone)" };
            format!("{}{gone}", output::word(consumer.name))
        });
        let state = match (self.dropped, self.problem) {
            (true, _) => "dropped",
            (false, Some(problem)) => problem,
            (false, None) => "ok",
        };
        vec![
            output::word(self.database),
            output::word(self.queue),
            self.kind.to_owned(),
            self.name.clone(),
            consumers.collect::<Vec<_>>().join(","),
            self.form.unwrap_or("-").to_owned(),
            terminal::visible(state),
        ]
    }
}

/// Runs the command.
pub(crate) async fn run(
    command: &CaptureCommand,
    place: &PlaceArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    match command {
        CaptureCommand::List { queue, json } => list(configs, place, queue.as_deref(), *json).await,
        CaptureCommand::Drop {
            queue,
            tables,
            all,
            consumer,
            force,
        } => {
            let place = places::with_queue(configs, place, queue).await?;
            let found = of_queue(&place, Some(queue)).await?;
            let chosen = choose(found, queue, (!all).then_some(tables))?;
            let wanted = CaptureEnd {
                consumer: consumer.as_deref(),
                registered: *force,
            };
            let (ended, refused) = end(&place, &chosen, wanted, common).await?;
            Ok(match (ended, refused) {
                (_, 0) => Exit::Done,
                (0, _) => Exit::Failed,
                (_, _) => Exit::Part,
            })
        }
    }
}

async fn list(
    configs: &[AnyConfig],
    args: &PlaceArgs,
    queue: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let (places, failures) = places::all(configs, args).await;
    let mut found = Vec::new();
    for place in &places {
        found.push((place, of_queue(place, queue).await?));
    }
    let rows: Vec<_> = found
        .iter()
        .flat_map(|(place, captures)| captures.iter().map(|one| CaptureRow::new(&place.name, one)))
        .collect();
    if json {
        output::print_json(&rows)?;
    } else {
        let cells: Vec<_> = rows.iter().map(CaptureRow::cells).collect();
        output::print(&output::listing(&HEADER, &cells))?;
    }
    Ok(places::exit_of(&places, &failures))
}

/// The capture into a queue, or into all queues.
async fn of_queue(place: &Located, queue: Option<&str>) -> Result<Vec<Capture>, Failure> {
    if !place.has_capture {
        return Err(lacking(Failure::message(
            Exit::Failed,
            format!("{}: nothing captures tables here", place.name),
        )));
    }
    match provider::captures(&*place.session, queue).await {
        Ok(found) => Ok(found),
        Err(error) => {
            let lacks = lacks_capture(&error);
            let text = format!("{}: could not ask what is captured", place.name);
            let failure = Failure::from(anyhow::Error::new(error).context(text));
            Err(if lacks { lacking(failure) } else { failure })
        }
    }
}

fn lacking(failure: Failure) -> Failure {
    failure.with_hint("run ticker install: what is installed there cannot tell yet")
}

/// The capture into a queue; empty where only a queue is installed, such as PgQ's own.
pub(crate) async fn left_in(place: &Located, queue: &str) -> Result<Vec<Capture>, Failure> {
    if !place.has_capture {
        return Ok(Vec::new());
    }
    match provider::captures(&*place.session, Some(queue)).await {
        Ok(found) => Ok(found),
        Err(error) if lacks_capture(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn lacks_capture(error: &sql::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::UNDEFINED_FUNCTION) || code == Some(&SqlState::INVALID_SCHEMA_NAME)
}

/// The captured tables that were named, or all. Errors: a name that is not captured; then no capture is ended.
fn choose(
    found: Vec<Capture>,
    queue: &str,
    names: Option<&Vec<TableName>>,
) -> Result<Vec<Capture>, Failure> {
    let Some(names) = names else {
        return Ok(found);
    };
    let unknown: Vec<String> = names
        .iter()
        .filter(|name| !found.iter().any(|capture| capture.name == **name))
        .map(ToString::to_string)
        .collect();
    if !unknown.is_empty() {
        let text = format!("not captured into queue {queue}: {}", unknown.join(", "));
        return Err(Failure::message(Exit::Failed, text)
            .with_hint(format!("`trunkline capture list {queue}` names what is")));
    }
    let mut chosen = found;
    chosen.retain(|capture| names.contains(&capture.name));
    Ok(chosen)
}

/// The consumers whose capture is to be ended.
#[derive(Clone, Copy)]
pub(crate) struct CaptureEnd<'a> {
    /// Only this consumer; None: all consumers.
    pub(crate) consumer: Option<&'a str>,
    /// Also consumers that are registered.
    pub(crate) registered: bool,
}

/// Ends capture for consumers, and prints a line for each. Gives how many were ended and how many were refused.
///
/// Errors: [`Exit::TimedOut`] where others hold a table's lock for a minute. The captures ended until then stay ended.
pub(crate) async fn end(
    place: &Located,
    captures: &[Capture],
    wanted: CaptureEnd<'_>,
    common: &CommonArgs,
) -> Result<(usize, usize), Failure> {
    moment::prepare(&place.session).await?;
    let (mut ended, mut refused) = (0, 0);
    for capture in captures {
        let of = capture.consumers.iter();
        for of in of.filter(|of| wanted.consumer.is_none_or(|name| name == of.consumer)) {
            let (name, consumer) = (&capture.name, &of.consumer);
            if of.registered && !wanted.registered {
                eprintln!(
                    "not dropped: {name}: consumer {consumer} is registered, its subscriber would miss changes \
                     (replay remove ends it there, --force ends it here)"
                );
                refused += 1;
                continue;
            }
            end_one(place, capture, consumer).await?;
            let text = format!("capture of {name} for consumer {consumer} ended");
            say(common, &format!("{}: {text}", place.name))?;
            ended += 1;
        }
    }
    Ok((ended, refused))
}

async fn end_one(place: &Located, capture: &Capture, consumer: &str) -> Result<(), Failure> {
    let name = &capture.name;
    let ended =
        moment::with_lock(async || provider::end_capture(&*place.session, capture, consumer).await);
    match ended.await? {
        Some(_) => Ok(()),
        None => Err(Failure::message(
            Exit::TimedOut,
            format!("{name}: others hold locks on it, try again later"),
        )),
    }
}
