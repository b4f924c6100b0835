//! Which of the hosts is the provider and which one becomes it. Pure.

use sql::operation::Part;
use sql::role::Role;

use crate::topology::facts::{Busy, HostFacts, Node, busy, nodes};
use crate::topology::refusal::Refusal;

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
    Busy(Busy),
    /// Nobody.
    Refused(Vec<Refusal>),
}

/// Who takes which part in making `to` the provider.
pub(crate) fn cast(hosts: &[HostFacts], to: &str) -> Casting {
    let mut refused = Vec::new();
    let nodes = nodes(hosts, &mut refused);
    let running = busy(&nodes, |_| true);
    let new = named(&nodes, hosts, to, &mut refused);
    let old = provider(&nodes, hosts, &mut refused);
    if let (Some(old), Some(new), None) = (old, new, refused.first())
        && old.node == new.node
        && running.is_none()
        && old.facts.is.role == Some(Role::Provider)
    {
        return Casting::IsProvider;
    }
    if let Some(running) = running {
        return Casting::Busy(running);
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
