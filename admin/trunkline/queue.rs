//! `trunkline queue`: lists, makes, drops, sets and shows queues. Changes queues through schema pgq's functions only.

use std::str::FromStr;

use admin::cli::{CommonArgs, say};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use admin::output;
use admin::status::{self, QueueStatus};
use admin::terminal;
use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;
use tokio_postgres::error::SqlState;

use crate::capture::{self, CaptureEnd};
use crate::consumer::{self, ConsumerRow};
use crate::places::{self, Located, PlaceArgs};

/// What is done with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// One line a queue: rotation, ticks, events, size
    ///
    /// Rotation is the current table, how many there are, and the period; Ticker is how many events, how long a wait
    /// and how long a quiet make a tick. Exit code 1 if some database could not be asked.
    List {
        /// As JSON: an array
        #[arg(long)]
        json: bool,
    },
    /// Make a queue, if it is not there, and change its settings
    Create {
        /// Its name
        queue: String,
        /// Settings to change, such as ticker_max_lag='1 second'
        settings: Vec<Setting>,
        /// Make it as replication wants it: a tick as soon as there is an event
        #[arg(long)]
        replication: bool,
    },
    /// Drop a queue with its events
    Drop {
        /// Its name
        queue: String,
        /// Though consumers are registered or tables captured: the consumers are removed, capture is ended
        #[arg(long)]
        force: bool,
    },
    /// Change settings of a queue, all or none
    ///
    /// ticker_max_count, ticker_max_lag, ticker_idle_period, ticker_paused, external_ticker, rotation_period, and what
    /// else the installed pgq.set_queue_config takes.
    Set {
        /// Its name
        queue: String,
        /// Such as rotation_period='30 minutes'
        #[arg(required = true)]
        settings: Vec<Setting>,
    },
    /// All about a queue, and its consumers
    Info {
        /// Its name
        queue: String,
        /// As JSON: one object
        #[arg(long)]
        json: bool,
    },
}

/// A setting as the command line gives it.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    key: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Setting {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("a setting is KEY=VALUE".to_owned()),
        }
    }
}

/// A queue and its database.
#[derive(Serialize)]
struct QueueRow<'a> {
    database: &'a str,
    #[serde(flatten)]
    queue: &'a QueueStatus,
}

/// Runs the command.
pub(crate) async fn run(
    command: &QueueCommand,
    place: &PlaceArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    match command {
        QueueCommand::List { json } => list(configs, place, *json).await,
        QueueCommand::Create {
            queue,
            settings,
            replication,
        } => {
            let place = places::only(configs, place).await?;
            create(place, queue, settings, *replication, common).await
        }
        QueueCommand::Drop { queue, force } => {
            let place = places::with_queue(configs, place, queue).await?;
            drop_queue(&place, queue, *force, common).await
        }
        QueueCommand::Set { queue, settings } => {
            let place = places::with_queue(configs, place, queue).await?;
            set(place, queue, settings, common).await
        }
        QueueCommand::Info { queue, json } => {
            let place = places::with_queue(configs, place, queue).await?;
            info(&place, queue, *json).await
        }
    }
}

async fn list(configs: &[AnyConfig], args: &PlaceArgs, json: bool) -> Result<Exit, Failure> {
    let (places, failures) = places::all(configs, args).await;
    let mut found = Vec::new();
    for place in &places {
        found.push((place.name.as_str(), status::queues(&place.session).await?));
    }
    let rows = found
        .iter()
        .flat_map(|(database, queues)| queues.iter().map(|queue| QueueRow { database, queue }));
    if json {
        output::print_json(&rows.collect::<Vec<_>>())?;
    } else {
        let cells: Vec<_> = rows.map(|row| cells(&row)).collect();
        output::print(&output::listing(&HEADER, &cells))?;
    }
    Ok(places::exit_of(&places, &failures))
}

const HEADER: [&str; 11] = [
    "Database",
    "Queue",
    "Rotation",
    "Ticker",
    "LastTick",
    "TickLag",
    "Events/s",
    "NewEvents",
    "Consumers",
    "Size",
    "State",
];

fn cells(row: &QueueRow<'_>) -> Vec<String> {
    let queue = row.queue;
    let (rotation, ticker, rate, state) = match &queue.pace {
        None => ("-".into(), "-".into(), None, "missing"),
        Some(pace) => (
            format!(
                "{}/{}/{}",
                pace.current_table,
                pace.tables,
                output::seconds(pace.rotation_period_seconds)
            ),
            format!(
                "{}/{}/{}",
                pace.ticker_max_count,
                output::seconds(pace.ticker_max_lag_seconds),
                output::seconds(pace.ticker_idle_period_seconds)
            ),
            pace.events_per_second,
            match (pace.ticker_paused, pace.external_ticker, &queue.error) {
                (true, ..) => "paused",
                (_, _, Some(_)) => "late",
                (_, true, None) => "external",
                _ if pace.insert_disabled => "no-insert",
                _ => "ok",
            },
        ),
    };
    vec![
        output::word(row.database),
        output::word(&queue.name),
        rotation,
        ticker,
        output::or_none(queue.last_tick),
        queue.tick_age_seconds.map_or("-".into(), output::seconds),
        rate.map_or("-".into(), |rate| format!("{rate:.1}")),
        output::or_none(queue.pending_events),
        queue.consumers.to_string(),
        output::bytes(queue.bytes),
        state.to_owned(),
    ]
}

async fn create(
    mut place: Located,
    queue: &str,
    settings: &[Setting],
    replication: bool,
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let transaction = place.session.transaction().await.context("begin")?;
    let made = if replication {
        sql::queue::create(&transaction, queue).await
    } else {
        sql::queue::create_plain(&transaction, queue).await
    };
    let made = made.map_err(anyhow::Error::from)?;
    for Setting { key, value } in settings {
        let set = sql::queue::set(&transaction, queue, key, value).await;
        set.map_err(anyhow::Error::from)?;
    }
    transaction.commit().await.context("commit")?;
    let what = if made { "made" } else { "there already" };
    say(common, &format!("{}: queue {queue} {what}", place.name))?;
    say_settings(&place, queue, settings, common)
}

async fn drop_queue(
    place: &Located,
    queue: &str,
    force: bool,
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    if force {
        let captures = capture::left_in(place, queue).await?;
        let wanted = CaptureEnd {
            consumer: None,
            registered: true,
        };
        capture::end(place, &captures, wanted, common).await?;
    }
    if let Err(error) = sql::queue::drop(&*place.session, queue, force).await {
        // PgQ's own error has no code of its own; the errors for captured tables and for a queue in use have codes.
        let attached = !force && error.code() == Some(&SqlState::RAISE_EXCEPTION);
        let failure = Failure::from(anyhow::Error::from(error));
        return Err(if attached {
            failure.with_hint(
                "unregister them first, or drop with --force; `trunkline consumer list` names them",
            )
        } else {
            failure
        });
    }
    say(common, &format!("{}: queue {queue} dropped", place.name))?;
    Ok(Exit::Done)
}

async fn set(
    mut place: Located,
    queue: &str,
    settings: &[Setting],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let transaction = place.session.transaction().await.context("begin")?;
    for Setting { key, value } in settings {
        let set = sql::queue::set(&transaction, queue, key, value).await;
        set.map_err(anyhow::Error::from)?;
    }
    transaction.commit().await.context("commit")?;
    say_settings(&place, queue, settings, common)
}

fn say_settings(
    place: &Located,
    queue: &str,
    settings: &[Setting],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    for Setting { key, value } in settings {
        let line = format!("{}: queue {queue} {key}={value}", place.name);
        say(common, &terminal::visible(&line))?;
    }
    Ok(Exit::Done)
}

async fn info(place: &Located, name: &str, json: bool) -> Result<Exit, Failure> {
    let queues = status::queues(&place.session).await?;
    let Some(queue) = queues.iter().find(|queue| queue.name == name) else {
        let text = format!("queue {name} is not there any more");
        return Err(Failure::message(Exit::Failed, text));
    };
    let row = QueueRow {
        database: &place.name,
        queue,
    };
    if json {
        output::print_json(&row)?;
        return Ok(Exit::Done);
    }
    output::print(&sheet(&row))?;
    let rows = queue.consumer_list.iter().map(|consumer| ConsumerRow {
        database: &place.name,
        queue: name,
        consumer,
    });
    let rows: Vec<_> = rows.map(|row| consumer::cells(&row)).collect();
    if !rows.is_empty() {
        output::print("\n")?;
        output::print(&output::listing(&consumer::HEADER, &rows))?;
    }
    Ok(Exit::Done)
}

/// The facts of a queue, one a line.
fn sheet(row: &QueueRow<'_>) -> String {
    let queue = row.queue;
    let mut lines = vec![
        ("queue", queue.name.clone()),
        ("database", row.database.to_owned()),
    ];
    if let Some(error) = &queue.error {
        lines.push(("problem", error.clone()));
    }
    lines.push((
        "last tick",
        match (queue.last_tick, queue.tick_age_seconds) {
            (Some(tick), Some(age)) => format!("{tick}, {} ago", output::seconds(age)),
            _ => "none".to_owned(),
        },
    ));
    if let Some(pace) = &queue.pace {
        let rate = pace.events_per_second.unwrap_or(0.0);
        let new = output::or_none(queue.pending_events);
        let seconds = output::seconds;
        lines.push((
            "events",
            format!("{rate:.1} a second, {new} since the last tick"),
        ));
        let mut ticker = format!(
            "a tick after {} events, or {} after an event, or {} of quiet",
            pace.ticker_max_count,
            seconds(pace.ticker_max_lag_seconds),
            seconds(pace.ticker_idle_period_seconds)
        );
        if pace.ticker_paused {
            ticker.push_str("; paused");
        }
        if pace.external_ticker {
            ticker.push_str("; its ticks come from elsewhere");
        }
        lines.push(("ticker", ticker));
        lines.push((
            "rotation",
            format!(
                "table {} of {} (from 0), every {}, the last one {} ago",
                pace.current_table,
                pace.tables,
                seconds(pace.rotation_period_seconds),
                seconds(pace.rotated_seconds_ago)
            ),
        ));
        let age = match pace.retention_age_seconds {
            0.0 => "any age".to_owned(),
            age => seconds(age),
        };
        let held = match pace.retention_bytes {
            0 => "any size".to_owned(),
            held => output::bytes(held),
        };
        lines.push((
            "limits",
            format!(
                "a consumer may hold {age}, {held}, then {}; up to {} tables",
                pace.retention_action, pace.max_tables
            ),
        ));
        if pace.insert_disabled {
            lines.push(("inserts", "disabled".to_owned()));
        }
    }
    lines.push(("size", output::bytes(queue.bytes)));
    for holder in &queue.holder_list {
        lines.push(("held by", holder.describe()));
    }
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in lines {
        text.push_str(&format!("{key:width$}  {}\n", terminal::visible(&value)));
    }
    text
}
