//! The keys about programs beside a node of a set: how they know the node, and which of them are run when something
//! happens.

use std::time::Duration;

use sql::connect::ConnectInfo;
use sql::{event_log, near};

use super::document::Section;
use super::key::{Key, NumberKey, Reload, TextKey, TimeKey};
use super::value::{NumberRange, TimeRange};
use crate::notice::{Command, Letter};

/// What the config says about programs beside the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramsConfig {
    /// By which number they know the node (`node_number`); None: nobody says.
    pub number: Option<i32>,
    /// How clients reach the node (`client_db`), a connection string; None: nobody says.
    pub client: Option<String>,
    /// What is run for each event (`event_notification_command`).
    pub on_event: Option<Command>,
    /// The events that it is run for (`event_notifications`); None: all.
    pub events: Option<Vec<String>>,
    /// What is run for each provider (`redirect_command`).
    pub on_provider: Option<Command>,
    /// How long either may run (`event_timeout`).
    pub limit: Duration,
}

impl ProgramsConfig {
    /// Whether there are any.
    pub(super) fn are_any(&self) -> bool {
        self.number.is_some()
            || self.client.is_some()
            || self.on_event.is_some()
            || self.on_provider.is_some()
    }
}

const NODE_NUMBER: NumberKey = NumberKey {
    name: "node_number",
    default: 0,
    range: NumberRange {
        least: 0,
        most: 2_147_483_647,
    },
    reload: Reload::Taken,
};
const CLIENT_DB: TextKey = TextKey {
    name: "client_db",
    form: "connection string",
    default: "none",
    range: "without a password",
    reload: Reload::Taken,
};
const COMMAND: TextKey = TextKey {
    name: "event_notification_command",
    form: "command",
    default: "none",
    range: "%n %e %s %t %d %p %a %c %q %E %%",
    reload: Reload::Taken,
};
const EVENTS: TextKey = TextKey {
    name: "event_notifications",
    form: "list of names",
    default: "all",
    range: "",
    reload: Reload::Taken,
};
const TIMEOUT: TimeKey = TimeKey {
    name: "event_timeout",
    default: Duration::from_secs(30),
    range: TimeRange::millis(100, 3_600_000),
    reload: Reload::Taken,
};
const REDIRECT: TextKey = TextKey {
    name: "redirect_command",
    form: "command",
    default: "none",
    range: "%a %c %q %E %%",
    reload: Reload::Taken,
};

/// The keys of `[replay]` about programs.
pub(super) const KEYS: [&dyn Key; 6] = [
    &NODE_NUMBER,
    &CLIENT_DB,
    &COMMAND,
    &EVENTS,
    &TIMEOUT,
    &REDIRECT,
];

/// Reads the keys. `hosts`: how many hosts `provider_db` names; `subscribers`: how many subscribers there are.
pub(super) fn read(section: &Section<'_>, hosts: usize, subscribers: usize) -> ProgramsConfig {
    let config = ProgramsConfig {
        number: i32::try_from(section.number(&NODE_NUMBER))
            .ok()
            .filter(|number| *number > 0),
        client: client(section),
        on_event: command(section, COMMAND.name, Letter::OF_EVENTS),
        events: events(section),
        on_provider: command(section, REDIRECT.name, Letter::OF_STATE),
        limit: section.time(&TIMEOUT),
    };
    for key in [
        &NODE_NUMBER.name,
        &CLIENT_DB.name,
        &COMMAND.name,
        &REDIRECT.name,
    ] {
        if subscribers > 1 && section.has(key) {
            section.problem(key, "needs a file with one subscriber");
        }
    }
    if section.has(EVENTS.name) && !section.has(COMMAND.name) {
        section.problem(EVENTS.name, "needs event_notification_command");
    }
    if section.has(REDIRECT.name) && hosts < 2 {
        section.problem(
            REDIRECT.name,
            "needs all hosts of the set in provider_db: it is told which of them is the provider",
        );
    }
    config
}

/// A connection string that all nodes and all clients may know.
fn client(section: &Section<'_>) -> Option<String> {
    let text = section.text(CLIENT_DB.name)?;
    if ConnectInfo::names_password(&text.value) {
        let problem = "must be without a password: all nodes of the set and all clients are told";
        section.problem(CLIENT_DB.name, problem);
        return None;
    }
    if let Err(error) = text.value.parse::<ConnectInfo>() {
        section.problem(CLIENT_DB.name, &error.to_string());
        return None;
    }
    Some(text.value)
}

/// Reads a command.
pub(super) fn command(section: &Section<'_>, key: &str, letters: &[Letter]) -> Option<Command> {
    let text = section.text(key)?;
    Command::parse(&text.value, letters)
        .inspect_err(|problem| section.problem(key, problem))
        .ok()
}

/// Names of events.
fn events(section: &Section<'_>) -> Option<Vec<String>> {
    let texts = section.texts(EVENTS.name)?;
    let names: Vec<String> = texts.into_iter().map(|text| text.value).collect();
    for name in &names {
        if !event_log::NAMES.contains(&name.as_str()) {
            let near = near::name(name, event_log::NAMES);
            let near = near.map_or_else(
                || format!("; there are {}", event_log::NAMES.join(", ")),
                |near| format!(", did you mean {near:?}?"),
            );
            section.problem(EVENTS.name, &format!("there is no event {name:?}{near}"));
        }
    }
    if names.is_empty() {
        section.problem(EVENTS.name, "names no event; without the key all are told");
    }
    Some(names)
}
