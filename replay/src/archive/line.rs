//! The history that an archive has: a stretch in the queue of each provider, and the borders between them. Pure.
//!
//! Where the next provider has begun at an earlier tick than the last one that the archive has, what lies after that
//! tick is a branch: it is there, and no history goes on from it.

use crate::frames::{place::Place, segment::Line};

/// A stretch in one provider's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it begins.
    pub from: Place,
    /// Where it ends.
    pub end: Place,
    /// Where the next provider's queue begins; none: the history ends here, or goes on behind a hole.
    pub until: Option<Place>,
}

impl Stretch {
    /// Its last place that the history has.
    pub(crate) fn living_end(&self) -> Place {
        self.until.unwrap_or(self.end)
    }

    fn has(&self, place: Place) -> bool {
        self.from.0 == place.0 && (self.from.1.0..=self.end.1.0).contains(&place.1.0)
    }
}

/// Where a place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// The number of the stretch, from 0 on.
    pub stretch: usize,
    /// It is on a branch.
    pub on_branch: bool,
}

/// The stretches, in the order of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History(pub Vec<Stretch>);

impl History {
    /// The history of the segments with these lines, which follow `begin`.
    pub(crate) fn of(begin: Place, lines: &[Line]) -> History {
        let begin = lines.first().map_or(begin, |line| line.from);
        let mut stretches = vec![Stretch {
            from: begin,
            end: begin,
            until: None,
        }];
        for line in lines {
            let Some(last) = stretches.last_mut() else {
                continue;
            };
            if line.from.0 == line.to.0 && last.from.0 == line.to.0 {
                last.end = line.to;
                continue;
            }
            last.until = line.hop.as_ref().map(|hop| hop.from);
            stretches.push(Stretch {
                from: line.to,
                end: line.to,
                until: None,
            });
        }
        History(stretches)
    }

    /// The numbers of the stretches that these segments are in. The segment that says a border is in the one before it.
    pub(crate) fn numbers(&self, lines: &[Line]) -> Vec<usize> {
        let mut at = 0;
        let number = |line: &Line| {
            let own = at;
            let stays = self.0.get(at).is_some_and(|one| one.from.0 == line.to.0);
            at += usize::from(!(stays && line.from.0 == line.to.0));
            own
        };
        lines.iter().map(number).collect()
    }

    /// Where a place lies; none: the archive has not got it. A place that is in two stretches is in the first.
    pub(crate) fn find(&self, place: Place) -> Option<At> {
        let stretch = self.0.iter().position(|one| one.has(place))?;
        let until = self.0.get(stretch)?.until;
        Some(At {
            stretch,
            on_branch: until.is_some_and(|until| until.1.0 < place.1.0),
        })
    }

    /// The newest stretch of which the history has a tick of this number, or of the queue with this epoch the stretch
    /// that has it, on a branch or not; none: there is none.
    pub(crate) fn of_tick(&self, epoch: Option<i64>, tick: i64) -> Option<At> {
        let mut newest = (0..self.0.len()).rev();
        newest.find_map(|stretch| {
            let one = self.0.get(stretch)?;
            let (first, last) = (one.from.1.0, one.end.1.0);
            let on_branch = tick > one.living_end().1.0;
            let is_wanted = match epoch {
                Some(epoch) => one.from.0.0 == epoch,
                None => !on_branch,
            };
            (is_wanted && (first..=last).contains(&tick)).then_some(At { stretch, on_branch })
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::frames::{
        place::Number,
        segment::{FORMAT, Hop},
    };

    pub(crate) fn at(epoch: i64, tick: i64) -> Place {
        Place(Number(epoch), Number(tick), Number(tick * 10))
    }

    pub(crate) fn line(seq: u64, from: Place, to: Place, left_at: Option<Place>) -> Line {
        Line {
            trunkline: FORMAT.into(),
            archive: "a1".into(),
            seq,
            prev: "h".into(),
            from,
            to,
            from_time: None,
            to_time: None,
            frames: 1,
            parts: 1,
            events: 1,
            raw_bytes: 1,
            body_bytes: 1,
            body_sha: "h".into(),
            sealed: Vec::new(),
            writer: "w".into(),
            node: None,
            hole: None,
            hop: left_at.map(|from| Hop {
                from,
                to,
                kind: "failover".into(),
                flaws: None,
            }),
        }
    }

    #[test]
    fn each_tick_is_of_one_stretch_and_what_follows_a_border_in_the_queue_before_is_a_branch() {
        let lines = [
            line(1, at(1, 1), at(1, 60), None),
            line(2, at(1, 60), at(1, 120), None),
            line(3, at(1, 120), at(2, 5), Some(at(1, 100))),
            line(4, at(2, 5), at(2, 40), None),
            // The first provider has taken its place back, and goes on with its own log.
            line(5, at(2, 40), at(1, 130), Some(at(2, 40))),
            line(6, at(1, 130), at(1, 150), None),
        ];
        let history = History::of(at(1, 1), &lines);
        assert_eq!(history.numbers(&lines), [0, 0, 0, 1, 1, 2]);
        let found = |place| history.find(place).map(|at| (at.stretch, at.on_branch));
        assert_eq!(found(at(1, 100)), Some((0, false)));
        assert_eq!(found(at(1, 101)), Some((0, true)));
        assert_eq!(found(at(2, 5)), Some((1, false)));
        assert_eq!(found(at(1, 140)), Some((2, false)));
        assert_eq!(found(at(1, 125)), None);
        assert_eq!(found(at(3, 5)), None);
        let tick = |epoch, tick| {
            let found = history.of_tick(epoch, tick);
            found.map(|at| (at.stretch, at.on_branch))
        };
        assert_eq!(tick(None, 20), Some((1, false)));
        assert_eq!(tick(Some(1), 20), Some((0, false)));
        assert_eq!(tick(None, 110), None);
        assert_eq!(tick(Some(1), 110), Some((0, true)));
        assert_eq!(tick(None, 140), Some((2, false)));
        assert_eq!(tick(None, 151), None);
    }
}
