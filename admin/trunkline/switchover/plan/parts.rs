//! Which of the hosts is the provider and which one becomes it. Pure.

use sql::meeting::Introduction;
use sql::operation::{Operation, Part};
use sql::queue::lineage::NodeId;
use sql::role::Role;

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

/// The two hosts, by their numbers, and who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cast {
    /// The host of the provider.
    pub old_host: usize,
    /// The host of the node that becomes it.
    pub new_host: usize,
    /// The provider.
    pub old: Part,
    /// The node that becomes it.
    pub new: Part,
    /// The provider is fenced already.
    pub was_fenced: bool,
}

/// Who takes which part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Casting {
    /// These two.
    Cast(Cast),
    /// The node that is named is the provider.
    IsProvider,
    /// An operation runs: what is told.
    Busy(String),
    /// Nobody.
    Refused(Vec<Refusal>),
}

/// A host that answers with its identity.
struct Node<'a> {
    host: usize,
    title: &'a str,
    node: NodeId,
    facts: &'a NodeFacts,
}

impl Node<'_> {
    fn part(&self) -> Part {
        Part {
            node: self.node,
            name: self.facts.is.name.clone(),
        }
    }

    fn term(&self) -> i64 {
        self.facts.is.term.unwrap_or(0)
    }

    fn known_term(&self) -> i64 {
        self.facts.is.known_term.unwrap_or(0)
    }

    fn calls_itself(&self) -> String {
        format!("{} ({})", self.part().title(), self.title)
    }
}

/// Who takes which part in making `to` the provider.
pub(crate) fn cast(hosts: &[HostFacts], to: &str) -> Casting {
    let mut refused = Vec::new();
    let nodes = nodes(hosts, &mut refused);
    let running = nodes.iter().find_map(|one| one.facts.running());
    let new = named(&nodes, hosts, to, &mut refused);
    let old = provider(&nodes, hosts, &mut refused);
    if let (Some(old), Some(new), None) = (old, new, refused.first())
        && old.node == new.node
        && running.is_none()
        && old.facts.is.role == Some(Role::Provider)
    {
        return Casting::IsProvider;
    }
    if let Some(one) = running {
        return Casting::Busy(format!(
            "a {} from {} to {} runs, step {}",
            one.kind,
            one.old.title(),
            one.new.title(),
            one.step.as_str()
        ));
    }
    if let (Some(old), Some(new)) = (old, new) {
        if old.node == new.node {
            let what = format!(
                "{} is the provider itself, and is fenced",
                new.calls_itself()
            );
            refused.push(Refusal::new(what).advised("trunkline unfence QUEUE"));
        } else {
            may_follow(old, new, &mut refused);
        }
        if refused.is_empty() {
            return Casting::Cast(Cast {
                old_host: old.host,
                new_host: new.host,
                old: old.part(),
                new: new.part(),
                was_fenced: old.facts.is.role == Some(Role::Fenced),
            });
        }
    }
    Casting::Refused(refused)
}

/// The hosts that answer, each node once.
fn nodes<'a>(hosts: &'a [HostFacts], refused: &mut Vec<Refusal>) -> Vec<Node<'a>> {
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

/// The node of this name.
fn named<'n, 'a>(
    nodes: &'n [Node<'a>],
    hosts: &[HostFacts],
    to: &str,
    refused: &mut Vec<Refusal>,
) -> Option<&'n Node<'a>> {
    let mut found = nodes
        .iter()
        .filter(|one| one.facts.is.name.as_deref() == Some(to));
    match (found.next(), found.next()) {
        (Some(one), None) => return Some(one),
        (Some(one), Some(other)) => refused.push(Refusal::new(format!(
            "{} and {} are both called {to}",
            one.title, other.title
        ))),
        (None, _) => {
            let known: Vec<String> = nodes.iter().map(|one| one.part().title()).collect();
            let mut what = format!("no host that answers is node {to}");
            if !known.is_empty() {
                what.push_str(&format!("; they are {}", known.join(", ")));
            }
            for one in hosts {
                if let Err(why) = &one.said {
                    what.push_str(&format!("; {} does not answer: {why}", one.title));
                }
            }
            refused.push(
                Refusal::new(what).advised("node in its replay.toml names it: replay install"),
            );
        }
    }
    None
}

/// The provider of the highest term that anybody has heard of, fenced or not.
fn provider<'n, 'a>(
    nodes: &'n [Node<'a>],
    hosts: &[HostFacts],
    refused: &mut Vec<Refusal>,
) -> Option<&'n Node<'a>> {
    let writes = |one: &&Node<'_>| matches!(one.facts.is.role, Some(Role::Provider | Role::Fenced));
    let highest = nodes.iter().filter(writes).map(Node::term).max();
    let mut found = nodes
        .iter()
        .filter(writes)
        .filter(|one| Some(one.term()) == highest);
    let silent = || {
        let silent = hosts.iter().filter(|one| one.said.is_err());
        let titles: Vec<&str> = silent.map(|one| one.title.as_str()).collect();
        match titles.as_slice() {
            [] => String::new(),
            _ => format!("; {} does not answer", titles.join(", ")),
        }
    };
    let Some(old) = found.next() else {
        let what = format!("no host is the provider{}", silent());
        refused.push(Refusal::new(what));
        return None;
    };
    if let Some(other) = found.next() {
        refused.push(
            Refusal::new(format!(
                "two providers of term {}: {} and {}",
                old.term(),
                old.calls_itself(),
                other.calls_itself()
            ))
            .advised("trunkline fence QUEUE on one of the two"),
        );
        return None;
    }
    let later = nodes.iter().find(|one| one.known_term() > old.term());
    if let Some(later) = later {
        refused.push(Refusal::new(format!(
            "{} has heard of a provider of term {}, and {} has term {}{}",
            later.calls_itself(),
            later.known_term(),
            old.calls_itself(),
            old.term(),
            silent()
        )));
        return None;
    }
    // Another node that takes writes is stopped as soon as it is met; until then there are two.
    let stale = nodes
        .iter()
        .find(|one| one.facts.is.role == Some(Role::Provider) && one.node != old.node);
    if let Some(stale) = stale {
        refused.push(
            Refusal::new(format!(
                "{} is a provider of the past, of term {}, and is not fenced",
                stale.calls_itself(),
                stale.term()
            ))
            .advised("start replay there, or trunkline fence QUEUE"),
        );
    }
    Some(old)
}

/// Whether the node may become the provider, as far as both say of themselves.
fn may_follow(old: &Node<'_>, new: &Node<'_>, refused: &mut Vec<Refusal>) {
    let is = &new.facts.is;
    if is.role != Some(Role::Standby) {
        let role = is.role.map_or("a plain database", Role::as_str);
        let what = format!("{} is {role}, and no standby", new.calls_itself());
        refused.push(
            Refusal::new(what).advised("standby = true in its replay.toml, and: replay install"),
        );
    } else if is.upstream != Some(old.node) {
        let what = format!(
            "{} does not follow {}",
            new.calls_itself(),
            old.calls_itself()
        );
        refused.push(Refusal::new(what).advised("see replay status there"));
    }
}
