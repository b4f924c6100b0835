//! Positions, times and numbers as the JSON of frames and segments has them: numbers of 64 bits are strings, because
//! many readers of JSON keep 53 bits.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sql::{
    queue::tick::{Epoch, Tick, TickId, TickTag},
    subscriber::position::Position,
};

/// A number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Number(pub i64);

impl From<Number> for String {
    fn from(number: Number) -> String {
        number.0.to_string()
    }
}

impl TryFrom<String> for Number {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Number, Self::Error> {
        text.parse().map(Number)
    }
}

/// A position: epoch, tick and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub Number, pub Number, pub Number);

impl From<Position> for Place {
    fn from(position: Position) -> Place {
        let Position { epoch, tick } = position;
        Place(Number(epoch.0), Number(tick.id.0), Number(tick.tag.0))
    }
}

impl From<Place> for Position {
    fn from(Place(epoch, tick, tag): Place) -> Position {
        Position {
            epoch: Epoch(epoch.0),
            tick: Tick {
                id: TickId(tick.0),
                tag: TickTag(tag.0),
            },
        }
    }
}

/// A time in UTC to the microsecond, which is what the server has: `2026-11-28T02:07:11.000123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Time(Timestamp);

impl Time {
    /// The provider's time of a tick; None: beyond the years that a calendar here knows.
    pub fn of(time: SystemTime) -> Option<Time> {
        Timestamp::try_from(time).ok().map(Time)
    }

    /// Reads a time as a person writes it, to the microsecond; None: it is none, or has no zone.
    pub fn read(text: &str) -> Option<Time> {
        let time: Timestamp = text.parse().ok()?;
        Timestamp::from_microsecond(time.as_microsecond())
            .ok()
            .map(Time)
    }

    /// The time as the server's driver has it.
    pub fn system(self) -> SystemTime {
        SystemTime::from(self.0)
    }
}

impl From<Time> for String {
    fn from(time: Time) -> String {
        time.0.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        time.0
    }
}

/// Why a text is no time of an archive.
#[derive(Debug, thiserror::Error)]
pub enum BadTime {
    /// It is no time at all.
    #[error(transparent)]
    Unknown(#[from] jiff::Error),
    /// A time is written in one way.
    #[error("{0} is written as {1}")]
    Otherwise(String, String),
}

impl TryFrom<String> for Time {
    type Error = BadTime;

    fn try_from(text: String) -> Result<Time, Self::Error> {
        let time = Time(text.parse()?);
        let written = String::from(time);
        if written != text {
            return Err(BadTime::Otherwise(text, written));
        }
        Ok(time)
    }
}
