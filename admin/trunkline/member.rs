//! `trunkline member`: the nodes of a set, as a node has heard of them, and the end of one that is gone.

use std::collections::BTreeSet;

use admin::cli::{CommonArgs, say};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use admin::output;
use admin::terminal::is_terminal;
use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;
use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use sql::install::ownership::Schema;
use sql::meeting::{self, SetNode};
use sql::near;
use sql::role::Role;
use sql::standing;

use crate::{consumer, places};

/// A node that was heard within so many seconds is there. It is far more than the ten after which a node that goes on
/// speaking is noted again.
const LATELY: f64 = 60.0;

/// What is done with the nodes of a set.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// One line a node: what it is, since when, whom it follows, and when it was heard
    ///
    /// The node itself comes first. Behind are the ticks that the furthest node that reads the same log is ahead of it.
    List {
        /// Print JSON: [{"database", "queue", "own", "node", "name", "role", "since_seconds", "term", "follows",
        /// "consumer", "behind_ticks", "heard_seconds", "problem"}]
        #[arg(long)]
        json: bool,
    },
    /// Take a node that is gone for ever out of its set, with what it has left in the queue here: its consumer
    ///
    /// The other nodes hear of it. Run it on the provider, which holds events for the node. Refused for a node that
    /// was heard within a minute, and for the provider. A node that is heard again is a member again.
    Remove {
        /// The node: `node` in its replay.toml, or its number
        name: String,
    },
}

/// Runs the command.
pub(crate) async fn run(
    command: &MemberCommand,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let asked = ask(configs).await?;
    match command {
        MemberCommand::List { json } => list(&asked, *json),
        MemberCommand::Remove { name } => remove(&asked, name, common).await,
    }
}

/// One of the node's own databases, and the sets that it is in.
struct Own {
    name: String,
    job: String,
    info: ConnectInfo,
    as_name: ApplicationName,
    session: Session,
    nodes: Vec<SetNode>,
}

/// Asks the node's own databases, each once however many files name it.
async fn ask(configs: &[AnyConfig]) -> Result<Vec<Own>, Failure> {
    let mut asked: Vec<Own> = Vec::new();
    let mut identities = Vec::new();
    for config in configs {
        let (as_name, databases) = places::own(config, Purpose::Operator).await?;
        let job = match config {
            AnyConfig::Ticker(ticker) => &ticker.daemon.job_name,
            AnyConfig::Replay(replay) => &replay.daemon.job_name,
        };
        for info in databases {
            let name = info.dbname().to_owned();
            let context = || format!("could not ask database {name}");
            let session = info.connect_for(&as_name, Schema::SUBSCRIBER).await?;
            let identity = standing::identity(&*session).await.with_context(context)?;
            if identities.contains(&identity) {
                continue;
            }
            identities.push(identity);
            let nodes = meeting::nodes(&*session).await.with_context(context)?;
            asked.push(Own {
                job: job.clone(),
                info,
                as_name: as_name.clone(),
                session,
                nodes,
                name,
            });
        }
    }
    Ok(asked)
}

/// A node as `--json` has it.
#[derive(Serialize)]
struct Listed<'a> {
    database: &'a str,
    queue: &'a str,
    own: bool,
    node: String,
    name: Option<&'a str>,
    role: &'static str,
    since_seconds: Option<f64>,
    term: i64,
    follows: Option<String>,
    consumer: Option<&'a str>,
    behind_ticks: Option<i64>,
    heard_seconds: f64,
    problem: Option<&'a str>,
}

impl Listed<'_> {
    fn of<'a>(database: &'a str, node: &'a SetNode) -> Listed<'a> {
        Listed {
            database,
            queue: &node.queue,
            own: node.is_own,
            node: node.node.to_string(),
            name: node.name.as_deref(),
            role: node.role.as_str(),
            since_seconds: node.since_seconds,
            term: node.term,
            follows: node.follows(),
            consumer: node.consumer.as_deref(),
            behind_ticks: node.behind,
            heard_seconds: node.heard_seconds,
            problem: node.problem.as_deref(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let text = |text: Option<&str>| match text {
            None | Some("") => "-".to_owned(),
            Some(text) if is_terminal() => text.to_owned(),
            Some(text) => output::word(text),
        };
        vec![
            output::word(self.database),
            output::word(self.queue),
            text(self.name.or(Some(&self.node))),
            self.role.to_owned(),
            self.since_seconds.map_or("-".to_owned(), output::seconds),
            self.term.to_string(),
            text(self.follows.as_deref()),
            output::or_none(self.behind_ticks),
            if self.own {
                "itself".to_owned()
            } else {
                output::seconds(self.heard_seconds)
            },
            text(self.problem),
        ]
    }
}

const HEADER: [&str; 10] = [
    "Database", "Queue", "Node", "Role", "Since", "Term", "Follows", "Behind", "Heard", "Problem",
];

fn list(asked: &[Own], json: bool) -> Result<Exit, Failure> {
    let listed: Vec<Listed<'_>> = asked
        .iter()
        .flat_map(|own| own.nodes.iter().map(|node| Listed::of(&own.name, node)))
        .collect();
    if json {
        output::print_json(&listed)?;
    } else {
        let rows: Vec<Vec<String>> = listed.iter().map(Listed::cells).collect();
        output::print(&output::listing(&HEADER, &rows))?;
    }
    Ok(Exit::Done)
}

/// Takes a node out of each set of the node's own databases. What it has left in the queue goes first: a command that
/// dies in between leaves a member that can be removed again.
///
/// Errors: [`Exit::Failed`]: it is not known, may not be removed, or the session's role may not do so. What was done
/// until then stays, and the command may be repeated.
async fn remove(asked: &[Own], name: &str, common: &CommonArgs) -> Result<Exit, Failure> {
    let all: Vec<&SetNode> = asked.iter().flat_map(|own| &own.nodes).collect();
    let gone = chosen(&all, name)?;
    for node in &gone {
        let set: Vec<&SetNode> = all
            .iter()
            .copied()
            .filter(|one| one.queue == node.queue)
            .collect();
        if let Some(Refusal { reason, hint }) = refusal(node, &set) {
            let text = format!("nothing was done: {reason}");
            return Err(Failure::message(Exit::Failed, text).with_hint(hint));
        }
    }
    for own in asked {
        for node in own.nodes.iter().filter(|node| gone.contains(node)) {
            own.end_consumer(node, common).await?;
            let known = meeting::forget(&*own.session, &node.queue, node.node).await;
            known.with_context(|| format!("database {}", own.name))?;
            say(
                common,
                &format!(
                    "{}: {} is no member of the set of queue {} any more",
                    own.name,
                    node.title(),
                    node.queue
                ),
            )?;
        }
    }
    Ok(Exit::Done)
}

impl Own {
    /// Ends what a node has left in the queue here. A consumer that another node reads as, such as one that was set up
    /// anew in its place, stays.
    async fn end_consumer(&self, node: &SetNode, common: &CommonArgs) -> Result<(), Failure> {
        let Some(consumer) = &node.consumer else {
            return Ok(());
        };
        let is_others = |one: &&SetNode| {
            one.queue == node.queue && one.node != node.node && one.consumer == node.consumer
        };
        if let Some(other) = self.nodes.iter().find(is_others) {
            eprintln!(
                "{}: consumer {consumer} of queue {} stays: {} ({}) reads as it, too",
                self.name,
                node.queue,
                other.title(),
                other.node
            );
            return Ok(());
        }
        let Some(place) = places::locate(&self.info, &self.as_name, &self.job).await? else {
            return Ok(());
        };
        let exists = sql::queue::exists(&*place.session, &node.queue).await;
        if exists.map_err(anyhow::Error::from)? {
            consumer::end(&place, &node.queue, consumer, common).await?;
        }
        Ok(())
    }
}

/// The node of this name or number, in each set that it is in.
fn chosen<'a>(all: &[&'a SetNode], name: &str) -> Result<Vec<&'a SetNode>, Failure> {
    let mut found: Vec<&SetNode> = all.to_vec();
    found.retain(|node| node.name.as_deref() == Some(name) || node.node.to_string() == name);
    let numbers: BTreeSet<String> = found.iter().map(|node| node.node.to_string()).collect();
    if numbers.len() > 1 {
        let numbers: Vec<String> = numbers.into_iter().collect();
        let text = format!("several nodes are called {name}: {}", numbers.join(", "));
        return Err(Failure::message(Exit::Failed, text).with_hint("name it by its number"));
    }
    if found.is_empty() {
        let names = all.iter().filter_map(|node| node.name.as_deref());
        let near = near::did_you_mean(near::name(name, names));
        let text = format!("no node is called {name}{near}");
        return Err(Failure::message(Exit::Failed, text)
            .with_hint("`trunkline member list` names those that this node has heard of"));
    }
    Ok(found)
}

/// Why a node may not be removed, and what to do.
struct Refusal {
    reason: String,
    hint: String,
}

/// Why a node may not be removed; None: it may. `set`: all nodes of its set. Pure.
fn refusal(node: &SetNode, set: &[&SetNode]) -> Option<Refusal> {
    let title = node.title();
    if node.is_own {
        return Some(Refusal {
            reason: format!("{title} is this node itself"),
            hint: "run it on another node of the set".to_owned(),
        });
    }
    if node.heard_seconds < LATELY {
        return Some(Refusal {
            reason: format!(
                "{title} was heard {} ago",
                output::seconds(node.heard_seconds)
            ),
            hint: format!(
                "stop its server; or stop its replay, and take it out of provider_db on the others. After {LATELY} s \
                 of silence it can be removed"
            ),
        });
    }
    let term = set.iter().map(|one| one.term).max();
    let mut providers: Vec<_> = set
        .iter()
        .filter(|one| one.role == Role::Provider && Some(one.term) == term)
        .map(|one| one.node)
        .collect();
    providers.dedup();
    (providers == [node.node]).then(|| Refusal {
        reason: format!("{title} is the provider of the set, as far as is known"),
        hint: "another node has to become the provider first".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use sql::queue::lineage::NodeId;

    use super::*;

    fn node(number: i64, role: Role, term: i64) -> SetNode {
        SetNode {
            queue: "q".into(),
            is_own: number == 1,
            node: NodeId(number),
            name: Some(format!("n{number}")),
            role,
            term,
            since_seconds: None,
            upstream: None,
            upstream_name: None,
            consumer: None,
            behind: None,
            heard_seconds: if number == 1 { 0.0 } else { 90.0 },
            problem: None,
        }
    }

    fn reason(number: usize, set: &[SetNode]) -> Option<String> {
        let all: Vec<&SetNode> = set.iter().collect();
        refusal(&set[number], &all).map(|refusal| refusal.reason)
    }

    #[test]
    fn neither_itself_nor_who_is_heard_nor_the_only_provider_is_removed() {
        let mut set = vec![
            node(1, Role::Standby, 2),
            node(2, Role::Provider, 2),
            node(3, Role::Standby, 2),
            node(4, Role::Provider, 1),
        ];
        assert_eq!(reason(0, &set).unwrap(), "n1 is this node itself");
        assert_eq!(
            reason(1, &set).unwrap(),
            "n2 is the provider of the set, as far as is known"
        );
        assert_eq!(reason(2, &set), None);
        // A provider of the past, and one of two.
        assert_eq!(reason(3, &set), None);
        set[3].term = 2;
        assert_eq!((reason(1, &set), reason(3, &set)), (None, None));
        set[2].heard_seconds = 3.0;
        assert_eq!(reason(2, &set).unwrap(), "n3 was heard 3.00 s ago");
    }

    #[test]
    fn a_name_that_two_nodes_have_is_no_name() {
        let mut set = [node(2, Role::Standby, 1), node(3, Role::Standby, 1)];
        set[1].name = Some("n2".into());
        let all: Vec<&SetNode> = set.iter().collect();
        assert!(chosen(&all, "n2").is_err());
        assert_eq!(chosen(&all, "3").unwrap(), [&set[1]]);
        assert!(chosen(&all, "n4").is_err());
    }
}
