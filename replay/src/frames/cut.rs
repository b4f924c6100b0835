//! What of a frame follows a tick, up to another one. A frame holds the events that its last tick shows and the tick
//! that it begins after does not show; each of its ticks has a snapshot. So a frame can be cut at any of its ticks, and
//! the pieces are what the queue itself answers. Pure.

use sql::queue::tick::{Snapshot, SnapshotText};

use super::{
    frame::{Header, TickEntry},
    place::{Place, Time},
};

/// Which events of a frame are taken, by their transactions. The default takes all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The snapshot of the tick that the piece begins after; None: it begins where the frame does.
    after: Option<Snapshot>,
    /// The snapshot of the tick that the piece ends at; None: it ends where the frame does.
    up_to: Option<Snapshot>,
}

impl Cut {
    /// Whether the piece has the events of a transaction of the frame.
    pub fn takes(&self, txid: i64) -> bool {
        self.after.as_ref().is_none_or(|before| !before.shows(txid))
            && self.up_to.as_ref().is_none_or(|end| end.shows(txid))
    }
}

/// A frame, or what is left of it behind one of its ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The position that it begins after.
    pub from: Place,
    /// The ticks after that, up to the end; at least one.
    ticks: Vec<TickEntry>,
    /// Which of the frame's events it has.
    pub cut: Cut,
}

/// Why a frame has no ticks that it could be cut at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSpan {
    /// There is none at all.
    #[error("a frame has no tick")]
    NoTick,
    /// Its last one is not where it ends.
    #[error("a frame's last tick is not the one that it ends at")]
    OtherEnd,
    /// A tick has no snapshot.
    #[error("tick {0} has no snapshot")]
    NoSnapshot(i64),
}

impl Span {
    /// The whole frame that a part with number 0 begins.
    ///
    /// # Errors
    /// [`BadSpan`]; of the ticks in between only those are looked at that it is cut at later.
    pub fn of(header: &Header) -> Result<Span, BadSpan> {
        let last = header.ticks.last().ok_or(BadSpan::NoTick)?;
        if (header.from.0, last.0, last.1) != (header.to.0, header.to.1, header.to.2) {
            return Err(BadSpan::OtherEnd);
        }
        Ok(Span {
            from: header.from,
            ticks: header.ticks.clone(),
            cut: Cut::default(),
        })
    }

    /// The position that it ends at.
    pub fn to(&self) -> Place {
        self.ticks
            .last()
            .map_or(self.from, |last| Place(self.from.0, last.0, last.1))
    }

    /// When its last tick was made, by the provider's clock.
    pub fn to_time(&self) -> Option<Time> {
        self.ticks.last().map(|last| last.2)
    }

    /// Its ticks, in order.
    pub fn ticks(&self) -> &[TickEntry] {
        &self.ticks
    }

    /// Cuts off the first ticks, so many of them: the piece up to the last of these is given, and the rest is left.
    /// None if nothing is cut off; if all ticks are, nothing is left, and the span must not be used any more.
    ///
    /// # Errors
    /// [`BadSpan::NoSnapshot`], and then nothing is cut off.
    pub fn cut_off(&mut self, ticks: usize) -> Result<Option<Span>, BadSpan> {
        let Some(last) = ticks.checked_sub(1).and_then(|at| self.ticks.get(at)) else {
            return Ok(None);
        };
        let to = Place(self.from.0, last.0, last.1);
        let mut first = Span {
            from: self.from,
            ticks: Vec::new(),
            cut: self.cut.clone(),
        };
        if ticks < self.ticks.len() {
            let snapshot = SnapshotText(last.3.clone()).parse();
            let snapshot = snapshot.ok_or(BadSpan::NoSnapshot(last.0.0))?;
            first.cut.up_to = Some(snapshot.clone());
            self.cut.after = Some(snapshot);
        }
        let rest = self.ticks.split_off(ticks);
        first.ticks = std::mem::replace(&mut self.ticks, rest);
        self.from = to;
        Ok(Some(first))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::frames::place::Number;

    /// A history: of each transaction the moment of its begin and of its end, in the order of their numbers; and the
    /// moments of ticks. A snapshot at a moment shows the transactions that have ended by then.
    fn snapshot(transactions: &[(u32, u32)], at: u32) -> String {
        let begun = |one: &(u32, u32)| one.0 < at;
        let xmax = 100 + transactions.iter().filter(|one| begun(one)).count() as i64;
        let open: Vec<i64> = (100_i64..)
            .zip(transactions)
            .filter(|(txid, one)| *txid < xmax && one.1 >= at)
            .map(|(txid, _)| txid)
            .collect();
        let xmin = open.first().copied().unwrap_or(xmax);
        let list: Vec<String> = open.iter().map(ToString::to_string).collect();
        format!("{xmin}:{xmax}:{}", list.join(","))
    }

    fn frame(transactions: &[(u32, u32)], ticks: &[u32]) -> Span {
        let time = Time::try_from("2026-11-28T02:07:11.000000Z".to_owned()).unwrap();
        let entries = ticks.iter().map(|at| {
            let number = Number(i64::from(*at));
            TickEntry(number, number, time, snapshot(transactions, *at))
        });
        Span {
            from: Place(Number(7), Number(-1), Number(-1)),
            ticks: entries.collect(),
            cut: Cut::default(),
        }
    }

    proptest! {
        #[test]
        fn pieces_have_each_transaction_once_in_the_first_one_that_shows_it(
            lives in vec((0_u32..1000, 1_u32..300), 0..40),
            mut ticks in vec(1_u32..1500, 1..12),
            cuts in vec(1_usize..4, 1..12),
        ) {
            let mut transactions: Vec<(u32, u32)> =
                lives.iter().map(|(begin, length)| (*begin, begin + length)).collect();
            transactions.sort_unstable();
            ticks.sort_unstable();
            ticks.dedup();
            let mut rest = frame(&transactions, &ticks);
            let end = rest.to();
            // A frame has what its last tick shows.
            let last = *ticks.last().unwrap();
            let of_frame: Vec<i64> = (100_i64..)
                .zip(&transactions)
                .filter(|(_, one)| one.1 < last)
                .map(|(txid, _)| txid)
                .collect();
            let mut pieces = Vec::new();
            for count in cuts {
                if count < rest.ticks.len() {
                    pieces.push(rest.cut_off(count).unwrap().unwrap());
                }
            }
            pieces.push(rest);
            let mut at = pieces[0].from;
            for piece in &pieces {
                prop_assert_eq!(piece.from, at);
                at = piece.to();
            }
            prop_assert_eq!(at, end);
            for txid in of_frame {
                let taken: Vec<usize> =
                    (0..pieces.len()).filter(|one| pieces[*one].cut.takes(txid)).collect();
                let ended = transactions[usize::try_from(txid - 100).unwrap()].1;
                let first = pieces.iter().position(|piece| i64::from(ended) < piece.to().1.0);
                prop_assert_eq!(taken, vec![first.unwrap()]);
            }
        }
    }

    #[test]
    fn all_or_nothing_of_a_frame_is_no_cut() {
        let mut span = frame(&[(1, 5), (2, 9)], &[6, 10]);
        assert_eq!(span.cut_off(0), Ok(None));
        assert_eq!(span.cut_off(3), Ok(None));
        let before = span.clone();
        let all = span.cut_off(2).unwrap().unwrap();
        assert_eq!((&all, all.to()), (&before, before.to()));
        let mut bad = before;
        bad.ticks[0].3 = "5:4:".into();
        assert_eq!(bad.clone().cut_off(1), Err(BadSpan::NoSnapshot(6)));
        assert_eq!(bad.cut_off(2).unwrap().unwrap().cut, Cut::default());
    }
}
