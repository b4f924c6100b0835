//! Whom a node follows, from what the hosts of its config say of themselves. Pure.
//!
//! 1. Two providers of the highest term, or two servers with one identity: nobody is followed until a person decides.
//! 2. The provider of the highest term that anybody has heard of, if its queue has a place for the node's position.
//! 3. Else a fenced node of that term, or a node that follows and hears its provider, if its queue has a place: it
//!    still holds what the provider does not.
//! 4. A provider of a lower term is never followed: what it has written since belongs to no node of the set. Where it
//!    is fenced and knows of the later one, its queue gives no more than what the later one began with.
//! 5. A fenced node becomes a standby where a provider of a later term has begun at a place of the node's own log,
//!    after which it has written nothing. Else what it has written is kept for a person.

use std::{collections::HashMap, time::Duration};

use sql::{
    meeting::Introduction,
    queue::{lineage::NodeId, tick::Epoch},
    role::Role,
};

/// A host that answers no more is still the one that is followed for so long, where another one would be it that is no
/// provider.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node that has heard of its provider within these seconds is in step with it. A node stores that it has heard of
/// another one every ten seconds.
const HEARS: f64 = 30.0;

/// What a host's queue has for the node's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It was not asked.
    Unknown,
    /// A place to go on.
    Found,
    /// None, and why.
    None(String),
}

/// A host of the config.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// What the config calls it.
    pub title: String,
    /// What it says of itself; an error: it does not answer, and for how long.
    pub said: Result<Introduction, Duration>,
    /// The last term that it has spoken of.
    pub last_term: i64,
    /// What its queue has for the node's position.
    pub place: Place,
}

/// Everything that a choice is made from.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// What the node's own database says of itself; none where no roles are installed.
    pub own: Option<Introduction>,
    /// The identity of the queue that the position is in; none: there is no position yet. A fenced node's position is
    /// the end of its own queue.
    pub epoch: Option<Epoch>,
    /// The hosts, in the config's order.
    pub hosts: Vec<Host>,
    /// The host that is followed at present.
    pub current: Option<usize>,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It follows the host.
    Follow(usize),
    /// It becomes a standby: another node has become the provider where its own log ends.
    Join,
    /// It needs to know whether these hosts have a place for its position.
    Ask(Vec<usize>),
    /// It stays with the host that it follows, which does not answer at the moment.
    Stay,
    /// It applies nothing, because its role is not one that follows.
    Rest(Role),
    /// It applies nothing until a host answers that can be followed.
    Nobody(String),
    /// It was the provider, and has taken what the later provider never had: that is kept, and a person decides.
    Ahead,
    /// It was the provider, and no later one has begun at a place of its log: a person decides.
    Apart(String),
    /// It applies nothing until somebody says which of several databases is the provider.
    Undecided(String),
    /// It applies nothing until a person has decided.
    Torn(Conflict),
}

/// Two decisions that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Two nodes say that they are the provider of the highest term.
    Providers(String),
    /// Two servers have one node's identity.
    Servers(String),
}

impl Conflict {
    /// What it is, in one line.
    pub(super) fn text(&self) -> &str {
        match self {
            Conflict::Providers(text) | Conflict::Servers(text) => text,
        }
    }
}

/// The choice.
pub(super) fn choose(round: &Round) -> Choice {
    if let Some(role) = round.own.as_ref().and_then(|own| own.role) {
        match role {
            Role::Provider | Role::Copy => return Choice::Rest(role),
            Role::Fenced => return fenced(round),
            Role::Standby | Role::Reader => {}
        }
    }
    if let Some(why) = conflict(round) {
        return Choice::Torn(why);
    }
    let seen = Seen::of(round);
    match seen.provider() {
        Ok(Some(provider)) => match round.place(provider) {
            Place::Found => Choice::Follow(provider),
            Place::Unknown => Choice::Ask(vec![provider]),
            // Without another place the provider itself says what there is to be done.
            Place::None(_) => seen.another(HEARS).unwrap_or(Choice::Follow(provider)),
        },
        Ok(None) => seen.without_provider(),
        Err(why) => Choice::Undecided(why),
    }
}

/// What a fenced node does: it waits, unless another node has become the provider.
fn fenced(round: &Round) -> Choice {
    let own = round.own.as_ref();
    let (term, heard) = own.map_or((None, None), |own| (own.term, own.known_term));
    if round.known_term() <= term.unwrap_or(0) || conflict(round).is_some() {
        Choice::Rest(Role::Fenced)
    } else if own.is_some_and(|own| own.ended) {
        Choice::Join
    } else if own.is_some_and(|own| own.ahead) {
        Choice::Ahead
    } else if heard < Some(round.known_term()) {
        // It takes in what the others know by the next meeting.
        Choice::Rest(Role::Fenced)
    } else {
        Choice::Apart(
            "another node has become the provider, and not at a place that the log of this node has"
                .into(),
        )
    }
}

/// Why no node of the set can be trusted to be the provider.
pub(super) fn conflict(round: &Round) -> Option<Conflict> {
    let mut starts: HashMap<NodeId, (&str, &str)> = HashMap::new();
    let own = round.own.as_ref().map(|own| ("this database", own));
    let hosts = round.hosts.iter();
    let hosts = hosts.filter_map(|host| Some((host.title.as_str(), host.said.as_ref().ok()?)));
    for (title, one) in own.into_iter().chain(hosts) {
        let Some(node) = one.node.filter(|_| speaks_for_itself(one)) else {
            continue;
        };
        let (first, started) = starts.entry(node).or_insert((title, &one.started));
        if *started != one.started {
            return Some(Conflict::Servers(format!(
                "two servers have the identity of node {node}, {first} and {title}: one is a copy of the other's files"
            )));
        }
    }
    let known = round.known_term();
    let mut providers: Vec<NodeId> = round
        .words()
        .into_iter()
        .filter(|(_, (_, role, term))| *role == Role::Provider && *term == known && known > 0)
        .map(|(node, _)| node)
        .collect();
    providers.sort_unstable();
    match providers.as_slice() {
        [] | [_] => two_sets(round),
        all => {
            let names: Vec<String> = all.iter().map(|node| round.name(*node)).collect();
            Some(Conflict::Providers(format!(
                "two providers of term {known}: {}",
                names.join(" and ")
            )))
        }
    }
}

/// Providers of two sets whose queues have the same name: one of them is named by mistake.
fn two_sets(round: &Round) -> Option<Conflict> {
    let mut providers = round
        .said()
        .filter(|one| one.role == Some(Role::Provider))
        .filter_map(|one| Some((one.node?, one.set?)));
    let (first, set) = providers.next()?;
    let (other, _) = providers.find(|(_, other)| *other != set)?;
    Some(Conflict::Providers(format!(
        "{} and {} are providers of two sets of one name",
        round.name(first),
        round.name(other)
    )))
}

/// Whether a database is the node whose identity it has: a physical standby and a copy are not.
fn speaks_for_itself(one: &Introduction) -> bool {
    !one.in_recovery && one.role != Some(Role::Copy)
}

impl Round {
    fn said(&self) -> impl Iterator<Item = &Introduction> {
        let hosts = self.hosts.iter().filter_map(|host| host.said.as_ref().ok());
        self.own
            .iter()
            .chain(hosts)
            .filter(|one| speaks_for_itself(one))
    }

    /// The host that is the provider of the highest term.
    pub(super) fn provider(&self) -> Option<usize> {
        Seen::of(self).provider().ok().flatten()
    }

    /// Whether the node is a standby.
    pub(super) fn is_standby(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| own.role == Some(Role::Standby))
    }

    /// The highest term that anybody has heard of; 0: of none.
    pub(super) fn known_term(&self) -> i64 {
        let terms = self.said().flat_map(|one| [one.term, one.known_term]);
        terms.flatten().max().unwrap_or(0)
    }

    /// The youngest word of each node: its age, its role and term. A node that somebody has taken out of the set since
    /// has none.
    fn words(&self) -> HashMap<NodeId, (f64, Role, i64)> {
        let mut words: HashMap<NodeId, (f64, Role, i64)> = HashMap::new();
        let mut hear = |node, word: (f64, Role, i64)| {
            let known = words.entry(node).or_insert(word);
            if word.0 < known.0 {
                *known = word;
            }
        };
        for one in self.said() {
            if let (Some(node), Some(role)) = (one.node, one.role) {
                // What a node says of itself is younger than what others have heard.
                hear(node, (-1.0, role, one.term.unwrap_or(0)));
            }
            for word in &one.members {
                hear(word.node, (word.age, word.role, word.term));
            }
        }
        for removed in self.said().flat_map(|one| &one.removed) {
            if words
                .get(&removed.node)
                .is_some_and(|(age, ..)| *age >= removed.age)
            {
                words.remove(&removed.node);
            }
        }
        words
    }

    fn name(&self, node: NodeId) -> String {
        let named = self.said().find(|one| one.node == Some(node));
        let name = named.and_then(|one| one.name.clone());
        let host = self
            .hosts
            .iter()
            .find(|host| host.said.as_ref().is_ok_and(|one| one.node == Some(node)));
        name.or_else(|| host.map(|host| host.title.clone()))
            .unwrap_or_else(|| format!("node {node}"))
    }

    /// Whether the host's log may have ended before the place: it was a provider's, and another node has begun at an
    /// earlier tick.
    fn may_have_ended(&self, host: &Host) -> bool {
        host.said.as_ref().is_ok_and(|one| match one.role {
            Some(Role::Standby) => true,
            Some(Role::Fenced) => one.term.unwrap_or(0) < self.known_term(),
            Some(Role::Provider | Role::Reader | Role::Copy) | None => false,
        })
    }

    fn place(&self, host: usize) -> Place {
        let Some(one) = self.hosts.get(host) else {
            return Place::Unknown;
        };
        let there = one.said.as_ref().ok().and_then(|one| one.epoch);
        match self.epoch {
            None => Place::Found,
            Some(_) if there == self.epoch && !self.may_have_ended(one) => Place::Found,
            Some(_) => one.place.clone(),
        }
    }
}

/// The hosts that may be followed.
struct Seen<'a> {
    round: &'a Round,
    known: i64,
    /// Hosts that answer, are no copy, have the queue, and are other nodes; one of each node.
    hosts: Vec<(usize, &'a Introduction)>,
}

impl<'a> Seen<'a> {
    fn of(round: &'a Round) -> Seen<'a> {
        let own = round.own.as_ref().and_then(|own| own.node);
        let mut hosts: Vec<(usize, &Introduction)> = Vec::new();
        for (number, host) in round.hosts.iter().enumerate() {
            let Ok(one) = &host.said else { continue };
            let is_own = one.node.is_some() && one.node == own;
            let known =
                |(_, other): &(usize, &Introduction)| one.node.is_some() && other.node == one.node;
            let usable = speaks_for_itself(one) && one.epoch.is_some();
            if usable && !is_own && !hosts.iter().any(known) {
                hosts.push((number, one));
            }
        }
        Seen {
            round,
            known: round.known_term(),
            hosts,
        }
    }

    /// The provider. Err: several databases could be it, and none has said so.
    fn provider(&self) -> Result<Option<usize>, String> {
        let is_it = |one: &Introduction| {
            one.role == Some(Role::Provider) && one.term.unwrap_or(0) == self.known
        };
        if let Some((number, _)) = self.hosts.iter().find(|(_, one)| is_it(one)) {
            return Ok(Some(*number));
        }
        if self.known > 0 {
            return Ok(None);
        }
        // Nobody has a role: a database that does not follow is a provider, as ever.
        let plain = self.hosts.iter().filter(|(_, one)| one.role.is_none());
        let plain: Vec<_> = plain.collect();
        let same = plain
            .iter()
            .find(|(_, one)| self.round.epoch.is_some() && one.epoch == self.round.epoch);
        // So could the node itself be, as long as it has a queue and follows nobody.
        let own = self.round.own.as_ref();
        let own = own.filter(|own| own.role.is_none() && own.epoch.is_some());
        match (same, plain.as_slice(), own) {
            (Some((number, _)), ..) | (None, [(number, _)], None) => Ok(Some(*number)),
            (None, [], _) => Ok(None),
            (None, several, own) => {
                let titles = several.iter().filter_map(|(number, _)| self.title(*number));
                let titles: Vec<&str> = own
                    .map(|_| "this database")
                    .into_iter()
                    .chain(titles)
                    .collect();
                Err(format!(
                    "each of {} could be the provider, and none says so",
                    titles.join(" and ")
                ))
            }
        }
    }

    fn title(&self, host: usize) -> Option<&'a str> {
        self.round.hosts.get(host).map(|host| host.title.as_str())
    }

    /// The node's choice while no provider of the highest term answers.
    fn without_provider(&self) -> Choice {
        let current = self.round.current.and_then(|at| self.round.hosts.get(at));
        let silent = current.and_then(|host| match &host.said {
            // What a host says that has become a provider of the past is not waited for.
            Err(time) if host.last_term >= self.known => Some(*time),
            Err(_) | Ok(_) => None,
        });
        if silent.is_some_and(|time| time < PATIENCE) {
            return Choice::Stay;
        }
        match (self.another(self.word_age()), silent) {
            (Some(choice), _) => choice,
            (None, Some(_)) => Choice::Stay,
            (None, None) => Choice::Nobody(self.why_nobody()),
        }
    }

    /// How old a node's word of a provider may be that does not answer this node: younger than its silence. An older
    /// one is of the time when this node heard the provider, too, and two nodes below it must not turn to each other.
    fn word_age(&self) -> f64 {
        // A provider of the past says nothing of this one; who has said nothing yet may be it.
        let may_be_it = |host: &&Host| host.last_term >= self.known || host.last_term == 0;
        let hosts = self.round.hosts.iter().filter(may_be_it);
        hosts
            .filter_map(|host| host.said.as_ref().err())
            .max()
            .map_or(HEARS, |silence| HEARS.min(silence.as_secs_f64() - 1.0))
    }

    /// A host that is no provider and has a place: the one that is followed already, else the first one. It counts if
    /// its word of the provider is younger than so many seconds.
    fn another(&self, word_age: f64) -> Option<Choice> {
        let own = self.round.own.as_ref().and_then(|own| own.node);
        let may = |one: &Introduction| match one.role {
            Some(Role::Fenced) => {
                one.term == Some(self.known) || one.known_term == Some(self.known)
            }
            Some(Role::Standby | Role::Reader) => {
                let follows_us = own.is_some() && one.upstream == own;
                !follows_us && self.hears_the_provider(one, word_age)
            }
            Some(Role::Provider | Role::Copy) | None => false,
        };
        let others = || self.hosts.iter().filter(|(_, one)| may(one));
        let places = || others().map(|(number, _)| (*number, self.round.place(*number)));
        let unknown = places().filter(|(_, place)| *place == Place::Unknown);
        let unknown: Vec<usize> = unknown.map(|(number, _)| number).collect();
        if !unknown.is_empty() {
            return Some(Choice::Ask(unknown));
        }
        let found = places().filter(|(_, place)| *place == Place::Found);
        let found: Vec<usize> = found.map(|(number, _)| number).collect();
        let current = self.round.current.filter(|at| found.contains(at));
        current.or(found.first().copied()).map(Choice::Follow)
    }

    fn hears_the_provider(&self, one: &Introduction, word_age: f64) -> bool {
        one.members.iter().any(|word| {
            word.role == Role::Provider && word.term == self.known && word.age < word_age
        })
    }

    fn why_nobody(&self) -> String {
        let hosts = self.round.hosts.iter().enumerate().map(|(number, host)| {
            let why = match &host.said {
                Err(_) => "no answer".to_owned(),
                Ok(one) if one.in_recovery => "is in recovery".to_owned(),
                Ok(one) if one.epoch.is_none() => "has no such queue".to_owned(),
                Ok(one) => match (one.role, self.round.place(number)) {
                    (Some(Role::Provider), _) => format!(
                        "is a provider of term {}, and there is a term {}",
                        one.term.unwrap_or(0),
                        self.known
                    ),
                    (Some(role), Place::None(why)) => format!("{}: {why}", role.as_str()),
                    (Some(role), Place::Found | Place::Unknown) => role.as_str().to_owned(),
                    (None, _) => "has no role".to_owned(),
                },
            };
            format!("{}: {why}", host.title)
        });
        let hosts: Vec<String> = hosts.collect();
        format!("no host can be followed ({})", hosts.join("; "))
    }
}

#[cfg(test)]
mod tests;
