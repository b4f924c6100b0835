//! Which provider is off. Pure.

use sql::failover::TimedTick;
use sql::meeting::{Reign, Word};
use sql::operation::{Operation, OperationId, Part};
use sql::queue::lineage::NodeId;
use sql::queue::tick::{Epoch, TickId};
use sql::role::Role;

use crate::topology::facts::{Busy, HostFacts, Node, busy, nodes};
use crate::topology::refusal::Refusal;

/// A provider that does not answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dead {
    /// Who it is.
    pub part: Part,
    /// Its reign.
    pub term: i64,
    /// The identity of its queue.
    pub epoch: Epoch,
    /// How clients have reached it.
    pub client: Option<String>,
    /// The last of its ticks that anybody has heard of; the time is later than the tick's, if it was known then that it
    /// had taken changes that no tick shows.
    pub heard: Option<TimedTick>,
    /// The final tick, if it was fenced when it was heard last: all that it has committed is in its log up to there.
    pub final_tick: Option<TickId>,
    /// Who has heard it last, and for how many seconds nobody has since; None: nobody has ever.
    pub met: Option<(String, f64)>,
}

/// What the hosts say about their provider.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finding {
    /// It does not answer.
    Dead(Dead),
    /// It answers, and is the node of this name, which is to become it.
    IsProvider(String),
    /// An operation runs.
    Busy(Busy),
    /// It answers, or nobody knows which one it is.
    Refused(Vec<Refusal>),
}

/// Which provider is off. `to`: the node that is to become the provider; `own`: an operation that is gone on with.
pub(crate) fn dead(hosts: &[HostFacts], to: Option<&str>, own: Option<OperationId>) -> Finding {
    let mut refused = Vec::new();
    let nodes = nodes(hosts, &mut refused);
    let last = last_provider(&nodes, &mut refused);
    // The operation that made the provider is over, though its command may wait for others.
    let made = last.as_ref().map(|last| last.part.node);
    let is_other = |one: &Operation| Some(one.id) != own && Some(one.new.node) != made;
    if let Some(busy) = busy(&nodes, is_other) {
        return Finding::Busy(busy);
    }
    let Some(last) = last else {
        return Finding::Refused(refused);
    };
    if let Some(answers) = nodes.iter().find(|one| one.node == last.part.node) {
        let role = answers
            .facts
            .is
            .role
            .map_or("a plain database", Role::as_str);
        if let Some(to) = to
            && answers.facts.is.name.as_deref() == Some(to)
            && role == Role::Provider.as_str()
        {
            return Finding::IsProvider(to.to_owned());
        }
        let what = format!("{} answers, and is {role}", answers.calls_itself());
        refused.push(Refusal::new(what).advised("trunkline switchover QUEUE --to NAME"));
    }
    // Another node that takes writes is stopped as soon as it is met; until then there would be two.
    let stale = nodes
        .iter()
        .find(|one| one.facts.is.role == Some(Role::Provider) && one.node != last.part.node);
    if let Some(stale) = stale {
        let what = format!(
            "{} is a provider of the past, of term {}, and is not fenced",
            stale.calls_itself(),
            stale.term()
        );
        let advice = "start replay there, or trunkline fence QUEUE";
        refused.push(Refusal::new(what).advised(advice));
    }
    if refused.is_empty() {
        Finding::Dead(last)
    } else {
        Finding::Refused(refused)
    }
}

/// Whether a node answers that is the provider of the set, or was it until it was fenced.
pub(crate) fn has_provider(hosts: &[HostFacts]) -> bool {
    let nodes = nodes(hosts, &mut Vec::new());
    last_provider(&nodes, &mut Vec::new())
        .is_none_or(|last| nodes.iter().any(|one| one.node == last.part.node))
}

/// The provider of the last reign, as the nodes that answer know it.
fn last_provider(nodes: &[Node<'_>], refused: &mut Vec<Refusal>) -> Option<Dead> {
    let reigns = || nodes.iter().flat_map(|one| &one.facts.is.history);
    // The first provider may have had no name when its reign began.
    let part = |reign: &Reign| Part {
        node: reign.node_id,
        name: words_of(nodes, reign.node_id)
            .iter()
            .find_map(|(_, word)| word.name.clone())
            .or_else(|| reign.node_name.clone()),
    };
    let Some(last) = reigns().max_by_key(|reign| reign.term) else {
        refused.push(Refusal::new(
            "no host that answers knows who was the provider".to_owned(),
        ));
        return None;
    };
    let rival = reigns().find(|one| one.term == last.term && one.node_id != last.node_id);
    if let Some(rival) = rival {
        let what = format!(
            "two providers of term {}: {} and {}",
            last.term,
            part(last).title(),
            part(rival).title()
        );
        refused.push(Refusal::new(what).advised("trunkline fence QUEUE on one of the two"));
        return None;
    }
    let later = nodes.iter().find(|one| one.known_term() > last.term);
    if let Some(later) = later {
        refused.push(Refusal::new(format!(
            "{} has heard of a provider of term {}, and nobody that answers knows which node that is",
            later.calls_itself(),
            later.known_term()
        )));
        return None;
    }
    let heard = words_of(nodes, last.node_id);
    let ticks = heard.iter().filter_map(|(_, word)| word.last_tick);
    let latest = ticks.max_by_key(|(id, _)| *id);
    let met = heard
        .iter()
        .min_by(|one, other| one.1.age.total_cmp(&other.1.age));
    let untold = met.and_then(|(_, word)| word.untold_at);
    Some(Dead {
        part: part(last),
        term: last.term,
        epoch: last.epoch,
        client: heard.iter().find_map(|(_, word)| word.client.clone()),
        heard: latest.map(|(id, time)| TimedTick {
            id: TickId(id),
            time: untold.map_or(time, |untold| untold.max(time)),
        }),
        final_tick: met
            .filter(|(_, word)| word.role == Role::Fenced)
            .and_then(|(_, word)| word.last_tick)
            .map(|(id, _)| TickId(id)),
        met: met.map(|(title, word)| (title.clone(), word.age)),
    })
}

/// What each node has heard of a node, with its own name.
fn words_of<'a>(nodes: &[Node<'a>], node: NodeId) -> Vec<(String, &'a Word)> {
    let of_one = |one: &Node<'a>| {
        let words = one.facts.is.members.iter();
        let about = words.filter(move |word| word.node == node);
        let title = one.calls_itself();
        about
            .map(move |word| (title.clone(), word))
            .collect::<Vec<_>>()
    };
    nodes.iter().flat_map(of_one).collect()
}
