//! Which standby takes the place of a provider that is off: the one that has most of its log. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use sql::failover::Place;
use sql::meeting::Word;
use sql::operation::{Obstacle, Part};
use sql::queue::lineage::NodeId;
use sql::queue::tick::TickId;
use sql::role::Role;
use sql::subscriber::position::Position;

use super::dead::Dead;
use crate::topology::facts::{HostFacts, nodes};
use crate::topology::refusal::{Refusal, told};

/// A node that answers, and follows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// Who it is.
    pub part: Part,
    /// By which number programs know it.
    pub number: Option<i32>,
    /// Which of several is preferred; 0: it never becomes the provider.
    pub priority: i32,
    /// Standby or reader.
    pub role: Role,
    /// Where it stands; None: it has no position.
    pub place: Option<Place>,
    /// What keeps it from being promoted.
    pub obstacles: Vec<Obstacle>,
    /// A ticker is at work there.
    pub ticker_runs: bool,
}

impl Standing {
    /// Its place in the log of the provider that is off.
    pub(crate) fn in_log(&self, dead: &Dead) -> Option<Position> {
        let mut names = self.place.iter().flat_map(|place| &place.names);
        names.find(|one| one.epoch == dead.epoch).copied()
    }

    /// Whether it reads that log itself, so that others who do find their place at it.
    fn reads(&self, dead: &Dead) -> bool {
        let mut own = self.place.iter().filter_map(|place| place.names.first());
        own.any(|own| own.epoch == dead.epoch)
    }

    fn tick(&self, dead: &Dead) -> Option<TickId> {
        self.in_log(dead).map(|place| place.tick.id)
    }

    /// Why it cannot take the provider's place, as far as it itself goes.
    fn problems(&self, dead: &Dead) -> Vec<Refusal> {
        let name = self.part.title();
        if self.role != Role::Standby {
            let what = format!("{name} is {}, and no standby", self.role.as_str());
            return vec![Refusal::new(what)];
        }
        let mut problems: Vec<Refusal> =
            self.obstacles.iter().map(|one| told(&name, one)).collect();
        if self.in_log(dead).is_none() {
            let what = format!("{name} has no place in the log of {}", dead.part.title());
            problems.push(Refusal::new(what).advised("see replay status there"));
        }
        if let Some(error) = self.place.iter().find_map(|place| place.error.as_ref()) {
            let what = format!("{name}: replay does not go on: {error}");
            problems.push(Refusal::new(what).advised("see replay status there"));
        }
        if self.priority == 0 {
            let what = format!("{name} has priority 0");
            problems
                .push(Refusal::new(what).advised("priority in its replay.toml: replay install"));
        }
        problems
    }
}

/// What the operator has said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish<'a> {
    /// The node that is to become the provider; None: whoever is the furthest.
    pub to: Option<&'a str>,
    /// Standbys that do not answer, and are left out.
    pub without: &'a [String],
    /// The node may have less than another standby.
    pub behind: bool,
}

/// The number of the standing that takes the place of the provider; or all that stands in the way. `silent`: standbys
/// that do not answer.
pub(crate) fn elect(
    dead: &Dead,
    standings: &[Standing],
    silent: &[Part],
    wish: Wish<'_>,
) -> Result<usize, Vec<Refusal>> {
    let mut refused = Vec::new();
    for one in silent {
        let title = one.title();
        if !wish.without.contains(&title) {
            let what =
                format!("standby {title} does not answer, and may have more than the others");
            let advice = format!("--without {title}: what it alone has is lost");
            refused.push(Refusal::new(what).advised(&advice));
        }
    }
    let winner = match wish.to {
        Some(to) => named(standings, to, &mut refused),
        None => furthest(dead, standings, &mut refused),
    };
    let Some((number, winner)) = winner else {
        return Err(refused);
    };
    if wish.to.is_some() {
        refused.extend(winner.problems(dead));
    }
    let standbys = standings.iter().filter(|one| one.role == Role::Standby);
    let most = standbys.max_by_key(|one| one.tick(dead));
    if let (Some(most), Some(tick)) = (most, winner.tick(dead))
        && most.tick(dead) > Some(tick)
        && !wish.behind
    {
        let (name, more) = (winner.part.title(), most.part.title());
        let at = most.tick(dead).map_or(tick.0, |at| at.0);
        let why: Vec<String> = most
            .problems(dead)
            .into_iter()
            .map(|one| one.reason)
            .collect();
        let why = match why.as_slice() {
            [] => String::new(),
            all => format!("; {}", all.join("; ")),
        };
        let what =
            format!("{name} stands at tick {tick}, and {more} has more, up to tick {at}{why}");
        let advice = format!("--to {more}; or --behind: what {more} has more is lost");
        refused.push(Refusal::new(what).advised(&advice));
    }
    if let (Some(last), Some(tick)) = (dead.final_tick, winner.tick(dead))
        && tick < last
        && !wish.behind
    {
        // Whoever has fenced it has had it take no more writes in order, so that nothing is lost.
        let (name, old) = (winner.part.title(), dead.part.title());
        let what = format!(
            "{old} was fenced, its log ends at tick {last}, and {name} has it up to tick {tick}"
        );
        let advice =
            format!("start {old}, and let replay apply the rest; or --behind: the rest is lost");
        refused.push(Refusal::new(what).advised(&advice));
    }
    let other = standings
        .iter()
        .find(|one| one.role == Role::Standby && one.reads(dead));
    if let Some(other) = other.filter(|_| !winner.reads(dead) && !wish.behind) {
        let (name, other) = (winner.part.title(), other.part.title());
        let what = format!(
            "{other} reads the log of {} already, and {name} does not: {other} may find no place at {name}",
            dead.part.title()
        );
        let advice = format!("--to {other}; or --behind: {other} may have to be copied again then");
        refused.push(Refusal::new(what).advised(&advice));
    }
    if refused.is_empty() {
        Ok(number)
    } else {
        Err(refused)
    }
}

/// The nodes that have more of the provider's log than the one that takes its place, readers too: each with its last
/// tick. They do not find a place at that one.
pub(crate) fn with_more(
    dead: &Dead,
    standings: &[Standing],
    winner: &Standing,
) -> Vec<(String, TickId)> {
    let tick = winner.tick(dead);
    let more = standings.iter().filter_map(|one| {
        let at = one
            .tick(dead)
            .filter(|at| tick.is_some_and(|tick| *at > tick))?;
        Some((one.part.title(), at))
    });
    more.collect()
}

fn named<'a>(
    standings: &'a [Standing],
    to: &str,
    refused: &mut Vec<Refusal>,
) -> Option<(usize, &'a Standing)> {
    let found = standings
        .iter()
        .enumerate()
        .find(|(_, one)| one.part.title() == to);
    if found.is_none() {
        let known: Vec<String> = standings.iter().map(|one| one.part.title()).collect();
        let mut what = format!("no host that answers and follows is node {to}");
        if !known.is_empty() {
            what.push_str(&format!("; they are {}", known.join(", ")));
        }
        refused.push(Refusal::new(what));
    }
    found
}

/// The furthest of those that can be promoted; then who reads that log itself, the highest priority, the lowest number,
/// and the name.
fn furthest<'a>(
    dead: &Dead,
    standings: &'a [Standing],
    refused: &mut Vec<Refusal>,
) -> Option<(usize, &'a Standing)> {
    let all = standings.iter().enumerate();
    let fit = all.filter(|(_, one)| one.problems(dead).is_empty());
    let found = fit.max_by_key(|(_, one)| {
        (
            one.tick(dead),
            one.reads(dead),
            one.priority,
            Reverse(one.number.unwrap_or(i32::MAX)),
            Reverse(one.part.title()),
        )
    });
    if found.is_none() {
        let standbys = standings.iter().filter(|one| one.role == Role::Standby);
        let problems: Vec<Refusal> = standbys.flat_map(|one| one.problems(dead)).collect();
        if problems.is_empty() {
            refused.push(Refusal::new("no standby answers".to_owned()));
        }
        refused.extend(problems);
    }
    found
}

/// The standbys that the nodes know of and that do not answer.
pub(crate) fn silent_standbys(hosts: &[HostFacts], dead: &Dead) -> Vec<Part> {
    let nodes = nodes(hosts, &mut Vec::new());
    let mut youngest: HashMap<NodeId, &Word> = HashMap::new();
    for word in nodes.iter().flat_map(|one| &one.facts.is.members) {
        let known = youngest.entry(word.node).or_insert(word);
        if word.age < known.age {
            *known = word;
        }
    }
    let mut silent: Vec<Part> = youngest
        .into_values()
        .filter(|word| word.role == Role::Standby && word.node != dead.part.node)
        .filter(|word| !nodes.iter().any(|one| one.node == word.node))
        .map(|word| Part {
            node: word.node,
            name: word.name.clone(),
        })
        .collect();
    silent.sort_by_key(Part::title);
    silent
}
