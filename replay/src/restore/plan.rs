//! What a restore reads: the base, and the segments from there to the target. Pure, but for the reading of names, first
//! lines and manifests before it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use sql::{
    name::TableName,
    queue::tick::{Epoch, TickId},
};

use crate::{
    archive::{
        line::{At, History, Stretch},
        verify::Verified,
    },
    files::batches::UpTo,
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
#[derive(Clone, Copy, Debug)]
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
    /// The target, as the files are read up to it.
    pub up_to: UpTo,
    /// It is on a branch, which is read to its end.
    pub on_branch: bool,
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
    /// The epoch of the queue that the tick is of.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// The only tables, and what they are called; empty: all.
    pub tables: Vec<(String, String)>,
    /// Owners and rights are left out.
    pub no_owner: bool,
    /// Schema trunkline was in the database before.
    pub had_schema: bool,
    /// The database goes on as a subscriber.
    #[serde(default)]
    pub subscribes: bool,
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
    /// The target is one that the history has left.
    #[error(
        "tick {0} is on a branch: another provider has gone on from an earlier tick; --epoch {1} restores it"
    )]
    OnBranch(i64, i64),
    /// The base is on a branch.
    #[error(
        "base {0} is on a branch, which the history has left: --epoch {1} with a tick of it restores it"
    )]
    BaseOnBranch(String, i64),
    /// There is no such tick of that queue.
    #[error("it has no tick {0} of a queue with epoch {1}")]
    NoEpoch(i64, i64),
    /// An object that is needed is not as it was written.
    #[error("{0}: {1}")]
    Damaged(String, String),
}

/// The target, as a place in the archive's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The last tick of a stretch whose number is not above this one.
    Tick(At, i64),
    /// The last tick before the first one that was made later.
    Time(Time),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The bases.
    pub wanted: Wanted<'a>,
    /// The target.
    pub to: To,
    /// The epoch of the queue that a tick's number is of; none: the newest that has it.
    pub epoch: Option<i64>,
    /// The only tables; empty: all.
    pub tables: &'a [TableName],
}

/// Chooses the base, and checks that everything follows it up to the target.
pub(crate) fn plan<'a>(
    found: &'a Verified,
    begin: Place,
    asked: &Asked<'_>,
) -> Result<Plan<'a>, Refused> {
    let to = asked.to;
    let history = History::of(begin, &found.lines);
    let (end, end_time) = match found.lines.last() {
        Some(line) => (line.to, line.to_time),
        None => (begin, None),
    };
    let end_text = end_time.map_or_else(|| "unknown time".into(), String::from);
    let of_tick = |tick| history.of_tick(asked.epoch, tick);
    let is_beyond = match to {
        To::Latest => false,
        To::Tick(tick) => of_tick(tick).is_none() && tick > end.1.0,
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
    if let (To::Tick(tick), None) = (to, asked.epoch)
        && let Some(epoch) = branch_of(&history, tick)
    {
        return Err(Refused::OnBranch(tick, epoch));
    }
    if is_beyond {
        return Err(Refused::Beyond(end.1.0, end_text));
    }
    let last = At {
        stretch: history.0.len().saturating_sub(1),
        on_branch: false,
    };
    let target = match to {
        To::Latest => Target::Tick(last, end.1.0),
        // A number before the archive's first tick may be that of a base that has outlived what followed it.
        To::Tick(tick) => match of_tick(tick) {
            Some(at) => Target::Tick(at, tick),
            None => last_before(&history, asked.epoch, tick)?,
        },
        To::Time(time) => Target::Time(time),
    };
    let manifest = base(found, &history, asked, target)?;
    let own = manifest.at;
    let is_own = match target {
        Target::Tick(at, tick) => tick == own.1.0 && epoch_of(&history, at) == Some(own.0.0),
        Target::Time(time) => time == manifest.time,
    };
    if is_own {
        return Ok(Plan {
            manifest,
            segments: Vec::new(),
            to: To::Tick(own.1.0),
            up_to: UpTo::Tick(Epoch(own.0.0), TickId(own.1.0)),
            on_branch: history.find(own).is_some_and(|at| at.on_branch),
        });
    }
    let segments = followers(found, &history, own, target)?;
    let Some(from) = history.find(own) else {
        return Err(Refused::Alone(manifest.base.to_string(), own.1.0));
    };
    let (to, up_to, on_branch) = match target {
        Target::Time(time) => (To::Time(time), UpTo::Time(time), false),
        Target::Tick(at, tick) => {
            let epoch = epoch_of(&history, at).unwrap_or(end.0.0);
            let up_to = UpTo::Tick(Epoch(epoch), TickId(tick));
            (To::Tick(tick), up_to, at.on_branch || from.on_branch)
        }
    };
    Ok(Plan {
        manifest,
        segments,
        to,
        up_to,
        on_branch,
    })
}

/// The target of a number that no stretch has: the end of the newest stretch that begins before it, unless a queue is
/// asked for. A number before all of them may be that of a base of the first queue that has outlived what followed it.
fn last_before(history: &History, epoch: Option<i64>, tick: i64) -> Result<Target, Refused> {
    let is_of = |one: &Stretch| epoch.is_none_or(|epoch| one.from.0.0 == epoch);
    let is_before = |one: &Stretch| is_of(one) && one.from.1.0 <= tick;
    let target = |stretch, tick| {
        let on_branch = false;
        Target::Tick(At { stretch, on_branch }, tick)
    };
    let before = history.0.iter().rposition(is_before);
    let end = before.and_then(|number| Some((number, history.0.get(number)?.living_end())));
    match (end, epoch) {
        // The way to the number itself would go on in the queues that follow.
        (Some((number, end)), None) => Ok(target(number, tick.min(end.1.0))),
        (None, _) if history.0.first().is_some_and(is_of) => Ok(target(0, tick)),
        (Some(_) | None, epoch) => Err(Refused::NoEpoch(tick, epoch.unwrap_or(0))),
    }
}

fn epoch_of(history: &History, at: At) -> Option<i64> {
    history.0.get(at.stretch).map(|one| one.from.0.0)
}

/// The epoch of the newest branch that has a tick which no history has; none: it is on none.
fn branch_of(history: &History, tick: i64) -> Option<i64> {
    if history.of_tick(None, tick).is_some() {
        return None;
    }
    let mut newest = history.0.iter().rev();
    newest.find_map(|one| {
        let branch = one.living_end().1.0 + 1..=one.end.1.0;
        branch.contains(&tick).then_some(one.from.0.0)
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
    history: &History,
    asked: &Asked<'_>,
    target: Target,
) -> Result<&'a Manifest, Refused> {
    let tables = asked.tables;
    // The number of the stretch, and the tick. What is not in the archive any more is before all of it.
    let order = |manifest: &Manifest| {
        (
            history.find(manifest.at).map(|at| at.stretch),
            manifest.at.1.0,
        )
    };
    let on_branch = |manifest: &Manifest| history.find(manifest.at).is_some_and(|at| at.on_branch);
    let is_before = |manifest: &Manifest| match target {
        Target::Time(time) => manifest.time <= time && !on_branch(manifest),
        // The way to a branch does not go over borders.
        Target::Tick(at, tick) if at.on_branch => {
            order(manifest).0 == Some(at.stretch) && order(manifest).1 <= tick
        }
        Target::Tick(at, tick) => {
            let in_queue = epoch_of(history, at) == Some(manifest.at.0.0);
            match order(manifest).0 {
                None => in_queue && manifest.at.1.0 <= tick,
                Some(_) => !on_branch(manifest) && order(manifest) <= (Some(at.stretch), tick),
            }
        }
    };
    let lacks = |manifest: &Manifest| tables.iter().find(|table| !has(manifest, table)).cloned();
    let later = |manifest: &Manifest| Refused::Before(manifest.at.1.0, String::from(manifest.time));
    if let Wanted::Base(name) = asked.wanted {
        let mut made = found.bases.made();
        let one = made.find(|one| one.base.to_string() == *name);
        let one = one.ok_or_else(|| Refused::NoSuchBase(name.to_owned()))?;
        if let Some(table) = lacks(one) {
            let base = one.base.to_string();
            return Err(Refused::NoTable { base, table });
        }
        if tables.is_empty() && !one.is_complete() {
            return Err(Refused::Incomplete(one.base.to_string()));
        }
        return match is_before(one) {
            true => Ok(one),
            false if on_branch(one) => Err(Refused::BaseOnBranch(one.base.to_string(), one.at.0.0)),
            false => Err(later(one)),
        };
    }
    let serves = |one: &&Manifest| match tables.is_empty() {
        true => one.is_complete(),
        false => lacks(one).is_none(),
    };
    let serving: Vec<&Manifest> = found.bases.made().filter(serves).collect();
    let newest = serving.iter().filter(|one| is_before(one));
    if let Some(newest) = newest.max_by_key(|one| order(one)) {
        return Ok(newest);
    }
    let living = serving.iter().filter(|one| !on_branch(one));
    match (living.min_by_key(|one| order(one)), tables.first()) {
        (Some(oldest), _) => Err(later(oldest)),
        (None, Some(table)) => Err(Refused::NoBaseWith(table.clone())),
        (None, None) => Err(Refused::NoBase),
    }
}

/// The segments that have something after a place, up to the target. What is on a branch is not on the way, unless
/// the target is there.
fn followers<'a>(
    found: &'a Verified,
    history: &History,
    at: Place,
    target: Target,
) -> Result<Vec<&'a Line>, Refused> {
    let from = history.find(at);
    let is_on_way = |(number, line): &(usize, &Line)| {
        let stretch = history.0.get(*number);
        let until = stretch.and_then(|one| one.until).map(|until| until.1.0);
        let is_target = match target {
            Target::Tick(to, _) => to.on_branch && to.stretch == *number,
            Target::Time(_) => false,
        };
        !line.has_frames() || is_target || until.is_none_or(|until| line.from.1.0 < until)
    };
    // The line of a hole has no time of its own: it begins where the one before it ends.
    let mut ended: Option<Time> = None;
    let begins_before = |(number, line): &(usize, &Line)| {
        let from_time = line.from_time.or(ended);
        ended = line.to_time.or(from_time);
        match target {
            Target::Tick(to, tick) => match number.cmp(&to.stretch) {
                Ordering::Less => true,
                Ordering::Equal => line.hop.is_none() && line.from.1.0 < tick,
                Ordering::Greater => false,
            },
            Target::Time(time) => from_time.is_none_or(|from| from <= time),
        }
    };
    let is_after = |(number, line): &(usize, &Line)| match from {
        None => line.to.1.0 > at.1.0 || line.to.0 != at.0,
        Some(from) => match number.cmp(&from.stretch) {
            Ordering::Less => false,
            Ordering::Equal => line.hop.is_some() || line.to.1.0 > at.1.0,
            Ordering::Greater => true,
        },
    };
    let numbers = history.numbers(&found.lines);
    let needed: Vec<&Line> = numbers
        .into_iter()
        .zip(&found.lines)
        .filter(is_on_way)
        .take_while(begins_before)
        .filter(is_after)
        .map(|(_, line)| line)
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
mod tests;
