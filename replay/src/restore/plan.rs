//! What a restore reads: the base, and the segments from there to the target. Pure, but for the reading of names, first
//! lines and manifests before it.

use serde::{Deserialize, Serialize};
use sql::name::TableName;

use crate::{
    archive::verify::Verified,
    frames::{
        manifest::Manifest,
        place::{Place, Time},
        segment::{Line, Name},
    },
};

/// What is restored to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// All that the archive has.
    Latest,
    /// The last tick whose number is not above this one.
    Tick(i64),
    /// The last tick before the first one that was made later, by the provider's clock.
    Time(Time),
}

/// The bases that are asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted<'a> {
    /// The newest one that serves.
    Newest,
    /// This one.
    Base(&'a str),
}

/// Which base and segments a restore reads.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The base.
    pub manifest: &'a Manifest,
    /// The lines of the segments that follow it, up to the target.
    pub segments: Vec<&'a Line>,
    /// The target: a tick's number, or a time.
    pub to: To,
}

/// A restore as it is stored in the database that it is made in, so that it goes on as it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The archive.
    pub archive: String,
    /// The target, as it was asked for.
    pub asked: String,
    /// The base.
    pub base: String,
    /// The newest tick of the archive when it was begun: `latest` is that one.
    pub end: i64,
    /// The only tables, and what they are called; empty: all.
    pub tables: Vec<(String, String)>,
    /// Owners and rights are left out.
    pub no_owner: bool,
    /// Schema trunkline was in the database before.
    pub had_schema: bool,
}

/// Why an archive cannot be restored from, to this target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It has no base that serves.
    #[error("it has no complete base: make one with replay base")]
    NoBase,
    /// The base that was asked for is none, or is not as it was written.
    #[error("it has no base {0} that is whole")]
    NoSuchBase(String),
    /// The base lacks a table.
    #[error("base {base} has no rows of {table}")]
    NoTable {
        /// The base.
        base: String,
        /// The table.
        table: TableName,
    },
    /// No base has the table.
    #[error("no base at or before that has rows of {0}")]
    NoBaseWith(TableName),
    /// The base is incomplete.
    #[error("base {0} is incomplete: it serves to restore single tables, by --table")]
    Incomplete(String),
    /// The target is after the archive's end.
    #[error("the archive ends at tick {0} of {1}, before what was asked for")]
    Beyond(i64, String),
    /// The target is before the first base that serves.
    #[error(
        "the oldest base that serves is of tick {0} of {1}, which is later than what was asked for"
    )]
    Before(i64, String),
    /// Events are missing.
    #[error("events are missing after tick {0}: {1}")]
    Hole(i64, String),
    /// The base outlives the segments that followed it.
    #[error(
        "it has not got what follows base {0} of tick {1}, which serves to restore to that tick only: --to {1}"
    )]
    Alone(String, i64),
    /// An object that is needed is not as it was written.
    #[error("{0}: {1}")]
    Damaged(String, String),
}

/// Chooses the base, and checks that everything follows it up to the target.
pub(crate) fn plan<'a>(
    found: &'a Verified,
    begin: Place,
    wanted: &Wanted<'_>,
    to: To,
    tables: &[TableName],
) -> Result<Plan<'a>, Refused> {
    let (end, end_time) = match found.lines.last() {
        Some(line) => (line.to, line.to_time),
        None => (begin, None),
    };
    let end_text = end_time.map_or_else(|| "unknown time".into(), String::from);
    let is_beyond = match to {
        To::Latest => false,
        To::Tick(tick) => tick > end.1.0,
        To::Time(time) => end_time.is_none_or(|end| time > end),
    };
    if is_beyond || to == To::Latest {
        // What cannot be read at the end is more than the archive's end.
        let last = found.lines.last().map_or(0, |line| line.seq);
        let is_behind = |object: &str| segment(object).is_some_and(|name| name.seq > last);
        if let Some(fault) = found.faults.iter().find(|fault| is_behind(&fault.object)) {
            return Err(Refused::Damaged(fault.object.clone(), fault.what.clone()));
        }
    }
    if is_beyond {
        return Err(Refused::Beyond(end.1.0, end_text));
    }
    let manifest = base(found, end, wanted, to, tables)?;
    let own = manifest.at.1.0;
    let to = match to {
        To::Latest => To::Tick(end.1.0),
        To::Time(time) if time == manifest.time => To::Tick(own),
        To::Tick(_) | To::Time(_) => to,
    };
    let segments = match to {
        To::Tick(tick) if tick == own => Vec::new(),
        To::Latest | To::Tick(_) | To::Time(_) => {
            let segments = followers(found, manifest.at, to)?;
            let begin = found.lines.first().map_or(begin, |line| line.from);
            if begin.1.0 > own || end.1.0 < own {
                return Err(Refused::Alone(manifest.base.to_string(), own));
            }
            segments
        }
    };
    Ok(Plan {
        manifest,
        segments,
        to,
    })
}

/// The segment that an object of the archive is.
fn segment(object: &str) -> Option<Name> {
    Name::parse(object.rsplit('/').next().unwrap_or_default())
}

fn has(manifest: &Manifest, table: &TableName) -> bool {
    manifest.tables.iter().any(|one| one.table() == *table)
}

fn base<'a>(
    found: &'a Verified,
    end: Place,
    wanted: &Wanted<'_>,
    to: To,
    tables: &[TableName],
) -> Result<&'a Manifest, Refused> {
    let is_before = |manifest: &Manifest| match to {
        To::Latest => true,
        To::Tick(tick) => manifest.at.1.0 <= tick,
        To::Time(time) => manifest.time <= time,
    };
    let lacks = |manifest: &Manifest| tables.iter().find(|table| !has(manifest, table)).cloned();
    let later = |manifest: &Manifest| Refused::Before(manifest.at.1.0, String::from(manifest.time));
    if let Wanted::Base(name) = wanted {
        let mut made = found.bases.made();
        let one = made.find(|one| one.base.to_string() == *name);
        let one = one.ok_or_else(|| Refused::NoSuchBase((*name).to_owned()))?;
        if let Some(table) = lacks(one) {
            let base = one.base.to_string();
            return Err(Refused::NoTable { base, table });
        }
        if tables.is_empty() && !one.is_complete() {
            return Err(Refused::Incomplete(one.base.to_string()));
        }
        return match is_before(one) {
            true => Ok(one),
            false => Err(later(one)),
        };
    }
    let serves = |one: &&Manifest| {
        one.at.0 == end.0
            && match tables.is_empty() {
                true => one.is_complete(),
                false => lacks(one).is_none(),
            }
    };
    let serving: Vec<&Manifest> = found.bases.made().filter(serves).collect();
    let newest = serving.iter().filter(|one| is_before(one));
    if let Some(newest) = newest.max_by_key(|one| one.at.1.0) {
        return Ok(newest);
    }
    match (serving.iter().min_by_key(|one| one.at.1.0), tables.first()) {
        (Some(oldest), _) => Err(later(oldest)),
        (None, Some(table)) => Err(Refused::NoBaseWith(table.clone())),
        (None, None) => Err(Refused::NoBase),
    }
}

/// The segments that have something after a place, up to the target.
fn followers(found: &Verified, at: Place, to: To) -> Result<Vec<&Line>, Refused> {
    // The line of a hole has no time of its own: it begins where the one before it ends.
    let mut ended: Option<Time> = None;
    let begins_before = |line: &&Line| {
        let from_time = line.from_time.or(ended);
        ended = line.to_time.or(from_time);
        match to {
            To::Latest => true,
            To::Tick(tick) => line.from.1.0 < tick,
            To::Time(time) => from_time.is_none_or(|from| from <= time),
        }
    };
    let needed: Vec<&Line> = found
        .lines
        .iter()
        .take_while(begins_before)
        .filter(|line| line.to.1.0 > at.1.0)
        .collect();
    if let (Some(first), Some(last)) = (needed.first(), needed.last()) {
        // A segment whose line cannot be read is not among the lines: it is between them.
        let before = found.lines.iter().rfind(|line| line.seq < first.seq);
        let first = before.map_or(0, |line| line.seq + 1);
        let is_needed = |object: &str| {
            segment(object).is_some_and(|name| (first..=last.seq).contains(&name.seq))
        };
        if let Some(fault) = found.faults.iter().find(|fault| is_needed(&fault.object)) {
            return Err(Refused::Damaged(fault.object.clone(), fault.what.clone()));
        }
    }
    for line in &needed {
        if let Some(hole) = &line.hole {
            return Err(Refused::Hole(hole.after.1.0, hole.why.clone()));
        }
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::bases::{Base, Bases, State},
        frames::{
            manifest::sample,
            place::Number,
            segment::{FORMAT, Hole},
        },
    };

    fn at(tick: i64) -> Place {
        Place(Number(7), Number(tick), Number(5))
    }

    fn time(text: &str) -> Time {
        Time::read(&format!("2026-11-28T{text}Z")).unwrap()
    }

    fn line(seq: u64, from: i64, to: i64, times: Option<(&str, &str)>) -> Line {
        let hole = Hole {
            after: at(from),
            why: "gone".into(),
        };
        Line {
            trunkline: FORMAT.into(),
            archive: "a1".into(),
            seq,
            prev: "h".into(),
            from: at(from),
            to: at(to),
            from_time: times.map(|(from, _)| time(from)),
            to_time: times.map(|(_, to)| time(to)),
            frames: 1,
            parts: 1,
            events: 1,
            raw_bytes: 1,
            body_bytes: 1,
            body_sha: "h".into(),
            sealed: Vec::new(),
            writer: "w".into(),
            node: None,
            hole: times.is_none().then_some(hole),
            hop: None,
        }
    }

    /// An archive with the base of tick 48212, of 02:07:11.
    fn found(lines: Vec<Line>) -> Verified {
        let mut manifest = sample();
        manifest.missing.clear();
        let base = Base {
            name: manifest.base.clone(),
            state: State::Made(Box::new(manifest)),
            verified: None,
        };
        let bases = Bases {
            bases: vec![base],
            strangers: Vec::new(),
        };
        Verified {
            lines,
            bases,
            ..Verified::default()
        }
    }

    fn planned(found: &Verified, to: To) -> Result<(Vec<u64>, To), Refused> {
        let plan = plan(found, at(48_000), &Wanted::Newest, to, &[])?;
        Ok((plan.segments.iter().map(|line| line.seq).collect(), plan.to))
    }

    #[test]
    fn a_time_before_a_hole_is_restored_and_one_in_or_behind_it_is_refused() {
        let found = found(vec![
            line(1, 48_000, 48_300, Some(("02:00:00", "03:00:00"))),
            line(2, 48_300, 48_400, None),
            line(3, 48_400, 48_500, Some(("04:00:00", "05:00:00"))),
        ]);
        let early = To::Time(time("02:30:00"));
        assert_eq!(planned(&found, early), Ok((vec![1], early)));
        let last = To::Tick(48_300);
        assert_eq!(planned(&found, last), Ok((vec![1], last)));
        for behind in ["03:30:00", "04:30:00"] {
            let refused = planned(&found, To::Time(time(behind)));
            assert_eq!(refused, Err(Refused::Hole(48_300, "gone".into())));
        }
    }

    #[test]
    fn the_newest_segment_is_not_left_out_where_it_cannot_be_read() {
        let mut found = found(vec![line(
            1,
            48_000,
            48_300,
            Some(("02:00:00", "03:00:00")),
        )]);
        let object = Name::of(2, at(48_300)).path();
        found.faults.push(crate::archive::verify::Fault {
            object: object.clone(),
            what: "damaged".into(),
        });
        for to in [To::Latest, To::Tick(48_301)] {
            let refused = Refused::Damaged(object.clone(), "damaged".into());
            assert_eq!(planned(&found, to), Err(refused));
        }
        let before = To::Tick(48_300);
        assert_eq!(planned(&found, before), Ok((vec![1], before)));
    }

    #[test]
    fn a_base_whose_segments_are_gone_serves_for_its_own_tick_only() {
        let found = found(vec![line(
            9,
            48_300,
            48_400,
            Some(("03:00:00", "04:00:00")),
        )]);
        let own = To::Tick(48_212);
        assert_eq!(planned(&found, own), Ok((Vec::new(), own)));
        let time = To::Time(time("02:07:11"));
        assert_eq!(planned(&found, time), Ok((Vec::new(), own)));
        for to in [To::Latest, To::Tick(48_213)] {
            let name = sample().base.to_string();
            assert_eq!(planned(&found, to), Err(Refused::Alone(name, 48_212)));
        }
    }
}
