//! What the hosts of a set say. Pure.

use admin::exit::{Exit, Failure};
use sql::meeting::Introduction;
use sql::operation::{Kind, Operation, Part};
use sql::queue::lineage::NodeId;

use super::refusal::Refusal;

/// A host of `provider_db`, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct HostFacts {
    /// Host and port, for messages.
    pub title: String,
    /// What it says of itself, or why it says nothing.
    pub said: Result<NodeFacts, String>,
}

/// What a node says of itself.
#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    /// As at a meeting.
    pub is: Introduction,
    /// The operations that it knows.
    pub operations: Vec<Operation>,
}

impl NodeFacts {
    /// The operation that runs here.
    pub(crate) fn running(&self) -> Option<&Operation> {
        self.operations.iter().find(|one| one.is_running())
    }
}

/// A host that answers with its identity.
pub(crate) struct Node<'a> {
    /// The host's number.
    pub host: usize,
    /// Host and port.
    pub title: &'a str,
    /// The identity.
    pub node: NodeId,
    /// What it says.
    pub facts: &'a NodeFacts,
}

impl Node<'_> {
    pub(crate) fn part(&self) -> Part {
        Part {
            node: self.node,
            name: self.facts.is.name.clone(),
        }
    }

    /// The reign of its role.
    pub(crate) fn term(&self) -> i64 {
        self.facts.is.term.unwrap_or(0)
    }

    /// The highest term that it has heard of.
    pub(crate) fn known_term(&self) -> i64 {
        self.facts.is.known_term.unwrap_or(0)
    }

    /// Its name, and where it is.
    pub(crate) fn calls_itself(&self) -> String {
        format!("{} ({})", self.part().title(), self.title)
    }
}

/// The operation that runs on any of the nodes and counts, as it is told.
pub(crate) fn busy(nodes: &[Node<'_>], counts: impl Fn(&Operation) -> bool) -> Option<Busy> {
    let mut running = nodes.iter().filter_map(|one| one.facts.running());
    let one = running.find(|one| counts(one))?;
    Some(Busy {
        kind: one.kind,
        what: format!(
            "a {} from {} to {} runs, step {}",
            one.kind.as_str(),
            one.old.title(),
            one.new.title(),
            one.step.as_str()
        ),
    })
}

/// An operation that keeps another one from beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Busy {
    /// How it moves the provider.
    pub kind: Kind,
    /// What is told.
    pub what: String,
}

impl Busy {
    /// What is told, with what to do.
    pub(crate) fn failure(self, queue: &str) -> Failure {
        let failure = Failure::message(Exit::Running, format!("nothing was done: {}", self.what));
        failure.with_hint(format!(
            "if its command has died: trunkline {} {queue} --resume, or --abort",
            self.kind.as_str()
        ))
    }
}

/// The hosts that answer, each node once.
pub(crate) fn nodes<'a>(hosts: &'a [HostFacts], refused: &mut Vec<Refusal>) -> Vec<Node<'a>> {
    let mut nodes: Vec<Node<'a>> = Vec::new();
    for (host, one) in hosts.iter().enumerate() {
        let Ok(facts) = &one.said else { continue };
        // A physical copy has the identity of the node that it is a copy of.
        let Some(node) = facts.is.node.filter(|_| !facts.is.in_recovery) else {
            continue;
        };
        match nodes.iter().find(|other| other.node == node) {
            None => nodes.push(Node {
                host,
                title: &one.title,
                node,
                facts,
            }),
            Some(other) if other.facts.is.started == facts.is.started => {}
            Some(other) => refused.push(Refusal::new(format!(
                "{} and {} have the identity of one node",
                other.title, one.title
            ))),
        }
    }
    nodes
}

/// The one operation of this kind that runs on any host; of several the one to the node that is named.
///
/// # Errors
/// There is none, or several; or one of the other kind runs.
pub(crate) fn running<'a>(
    said: &'a [HostFacts],
    kind: Kind,
    queue: &str,
    to: Option<&str>,
) -> Result<&'a Operation, Failure> {
    let answers = said.iter().filter_map(|host| host.said.as_ref().ok());
    let all = answers.flat_map(|facts| facts.operations.iter());
    let mut found: Vec<&Operation> = all
        .filter(|one| one.is_running())
        .filter(|one| to.is_none() || one.new.name.as_deref() == to)
        .collect();
    found.sort_by_key(|one| one.id);
    found.dedup_by_key(|one| one.id);
    let silent = said.iter().filter_map(|host| {
        let why = host.said.as_ref().err()?;
        Some(format!("; {} does not answer: {why}", host.title))
    });
    match found.as_slice() {
        [one] if one.kind != kind => {
            let other = one.kind.as_str();
            let what = format!("what runs of queue {queue} is a {other}");
            Err(Failure::message(Exit::Failed, what)
                .with_hint(format!("trunkline {other} {queue} --resume, or --abort")))
        }
        [one] => Ok(one),
        [] => {
            let silent: String = silent.collect();
            let what = format!("no operation of queue {queue} runs{silent}");
            Err(Failure::message(Exit::Failed, what))
        }
        _ => {
            let to: Vec<String> = found.iter().map(|one| one.new.title()).collect();
            let what = format!(
                "several operations of queue {queue} run: to {}",
                to.join(", ")
            );
            Err(Failure::message(Exit::Failed, what).with_hint("name one with --to"))
        }
    }
}
