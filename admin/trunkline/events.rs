//! `trunkline events`: what has happened to this node in its sets, and whether the programs beside it have been told.

use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use admin::output;
use admin::terminal::is_terminal;
use anyhow::Context as _;
use serde::Serialize;
use sql::connect::Purpose;
use sql::event_log::{self, Event};
use sql::install::ownership::Schema;
use sql::standing;

use crate::places;

/// Which events are listed.
#[derive(Debug, clap::Args)]
pub(crate) struct EventsArgs {
    /// Only those of this queue's set
    queue: Option<String>,
    /// At most so many of each database, the newest
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    limit: i32,
    /// Print JSON: [{"database", "id", "queue", "event", "ok", "time", "term", "details", "other_node", "other_name",
    /// "told", "tries", "error"}]
    #[arg(long)]
    json: bool,
}

/// An event and where it is.
#[derive(Serialize)]
struct Listed {
    database: String,
    #[serde(flatten)]
    event: Event,
}

/// Lists the events of the node's own databases: those of a ticker, and those that a replay writes. Newest first.
pub(crate) async fn run(args: &EventsArgs, configs: &[AnyConfig]) -> Result<Exit, Failure> {
    let mut listed = Vec::new();
    let mut asked = Vec::new();
    for config in configs {
        let (name, databases) = places::own(config, Purpose::Operator).await?;
        for info in databases {
            let database = info.dbname().to_owned();
            let context = || format!("could not ask database {database}");
            let session = info.connect_for(&name, Schema::SUBSCRIBER).await?;
            let identity = standing::identity(&*session).await.with_context(context)?;
            if asked.contains(&identity) {
                continue;
            }
            asked.push(identity);
            let events = event_log::list(&*session, args.queue.as_deref(), args.limit)
                .await
                .with_context(context)?;
            listed.extend(events.into_iter().map(|event| Listed {
                database: database.clone(),
                event,
            }));
        }
    }
    if args.json {
        output::print_json(&listed)?;
    } else {
        let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
        output::print(&output::listing(&HEADER, &rows))?;
    }
    Ok(Exit::Done)
}

const HEADER: [&str; 8] = [
    "Id", "Time", "Queue", "Event", "Ok", "Term", "Told", "Details",
];

fn row(Listed { event, .. }: &Listed) -> Vec<String> {
    let text = |text: &str| match text {
        "" => "-".to_owned(),
        text if is_terminal() => text.to_owned(),
        text => output::word(text),
    };
    let told = match (&event.told, &event.error) {
        (Some(told), _) => told.clone(),
        (None, Some(_)) => format!("no,failed:{}", event.tries),
        (None, None) => "no".to_owned(),
    };
    vec![
        event.id.to_string(),
        event.time.clone(),
        text(&event.queue),
        event.event.clone(),
        if event.ok { "yes" } else { "no" }.to_owned(),
        output::or_none(event.term),
        told,
        text(
            event
                .error
                .as_deref()
                .or(event.details.as_deref())
                .unwrap_or(""),
        ),
    ]
}
