//! What is lost with a provider that is off, as far as anybody can know. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};
use sql::failover::{Election, TimedTick};
use sql::queue::tick::TickId;

use super::dead::Dead;
use super::elect::{Standing, with_more};

/// What is lost: what the provider has committed after a tick.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Loss {
    /// The last tick that is not lost.
    pub after: TickId,
    /// When it was made; seconds since 1970.
    pub after_time: f64,
    /// The last tick that anybody has heard of, and until when the provider is known to have taken writes.
    pub heard: Option<TimedTick>,
    /// Nodes that have more than the one that takes the provider's place, as far as is known: each with its last tick.
    pub more: Vec<(String, TickId)>,
}

/// What is lost if this node takes the provider's place; None: it has no place in the provider's log.
pub(crate) fn loss(dead: &Dead, standings: &[Standing], winner: &Standing) -> Option<Loss> {
    Some(Loss {
        after: winner.in_log(dead)?.tick.id,
        after_time: winner.place.as_ref()?.time,
        heard: dead.heard,
        more: with_more(dead, standings, winner),
    })
}

impl Loss {
    /// What was noted of an election.
    pub(crate) fn of(election: &Election) -> Loss {
        Loss {
            after: election.last.tick.id,
            after_time: election.last_time,
            heard: election.heard,
            more: Vec::new(),
        }
    }

    /// Seconds from the last tick that is not lost to the time until which the provider is known to have taken writes.
    /// Both are of its own clock.
    pub(crate) fn seconds(&self) -> f64 {
        let later = self.heard.map(|heard| heard.time - self.after_time);
        later.unwrap_or(0.0).max(0.0)
    }

    /// `what castor has committed after tick 4711 (2026-11-29T16:42:00Z) is lost: ...`.
    pub(crate) fn text(&self, old: &str) -> String {
        let known = match self.heard {
            Some(heard) if heard.id > self.after => format!(
                "it was heard of last at its tick {}, {:.1} s later",
                heard.id,
                self.seconds()
            ),
            Some(_) if self.seconds() > 0.0 => format!(
                "it was heard of last {:.1} s later, and had taken changes that none of its ticks shows",
                self.seconds()
            ),
            Some(_) => "no node has heard of a later tick".to_owned(),
            None => "no node has heard how far it was".to_owned(),
        };
        format!(
            "what {old} has committed after its tick {} ({}) is lost: {known}",
            self.after,
            time(self.after_time)
        )
    }

    /// What is told of each node that has more, with what becomes of it. `old`: who is off; `new`: who takes its place.
    pub(crate) fn of_those_ahead(&self, old: &str, new: &str) -> Vec<String> {
        let told = self.more.iter().map(|(name, tick)| {
            format!(
                "{name} has more than {new}, up to tick {tick}: it waits until {old} is back and has kept its changes \
                 after tick {}, then it goes back there. If {old} is gone for ever, {name} alone has them: keep what \
                 you want, then: replay adopt there copies its tables",
                self.after
            )
        });
        told.collect()
    }

    /// As JSON: `{"after_tick", "after_time", "heard_tick", "seconds", "ahead": [{"node", "tick"}]}`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "after_tick": self.after.0,
            "after_time": time(self.after_time),
            "heard_tick": self.heard.map(|heard| heard.id.0),
            "seconds": self.seconds(),
            "ahead": self.more.iter().map(|(node, tick)| json!({"node": node, "tick": tick.0})).collect::<Vec<_>>(),
        })
    }
}

/// A time in UTC, to the millisecond.
fn time(seconds: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "milliseconds since 1970 are far below 2^53"
    )]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| "unknown".into(), |at| at.to_string())
}
