//! An archive without a server: what is written is read back, and whatever is damaged has a name.

use std::{fs, path::PathBuf};

use admin::config::ArchiveAddress;
use sql::queue::lineage::Lineage;

use super::{
    begin::Mark,
    chain::{self, Listing},
    filling::{Filling, FrameSpan, PartEvents},
    identity::Identity,
    seal::Recipients,
    store::Store,
    verify::{self, Depth},
    writer::Writer,
};
use crate::frames::{
    frame::{HeirEntry, Heirs, TickEntry},
    place::{Number, Place, Time},
    segment::{Hop, Name},
    tests::event,
};

const JOB: &str = "job1";
pub(crate) const QUEUE: &str = "q1";

pub(crate) fn place(tick: i64) -> Place {
    Place(Number(7), Number(tick), Number(tick * 10))
}

/// An archive in a directory of its own, whose tick N shows the transactions below 100 N.
pub(crate) struct Made {
    scratch: tempfile::TempDir,
    name: &'static str,
    /// To whom it is encrypted from now on.
    pub(crate) recipients: Recipients,
}

impl Made {
    pub(crate) fn new() -> Made {
        let made = Made {
            scratch: tempfile::tempdir().unwrap(),
            name: "a",
            recipients: Recipients::default(),
        };
        made.store().make().unwrap();
        Identity::make(&made.store(), JOB, QUEUE, place(1)).unwrap();
        made
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join(self.name)
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&ArchiveAddress::Directory(self.root())).unwrap()
    }

    /// Publishes a segment of these parts of frames.
    pub(crate) fn publish(&self, parts: &[Part]) {
        let mut writer = self.writer();
        let mut filling = Filling::new(writer.end().at, None).unwrap();
        for part in parts {
            let mut events = PartEvents::default();
            for (id, txid) in part.events {
                events.add(&event(*id, *txid), None);
            }
            let span = FrameSpan {
                from: place(part.from),
                to: place(part.to),
                ticks: (part.from + 1..=part.to).map(tick).collect(),
                lineage: Lineage::default(),
            };
            filling
                .put(&span, part.number, part.last, Vec::new(), events)
                .unwrap();
        }
        writer.publish(filling).unwrap();
    }

    /// Publishes that events are missing.
    pub(crate) fn publish_hole(&self, to: i64) {
        let mut writer = self.writer();
        let from = writer.end().at;
        writer.publish_hole(from, place(to), "given away").unwrap();
    }

    /// Publishes that the history goes on in queue 8, from a tick of this queue.
    pub(crate) fn publish_hop(&self, left_at: i64) {
        let to = Place(Number(8), Number(3), Number(33));
        let hop = Hop {
            from: place(left_at),
            to,
            kind: "failover".into(),
            flaws: None,
        };
        let heir = HeirEntry {
            was: 5,
            oid: 9,
            schema: "public".into(),
            name: "t".into(),
            flaw: None,
            shape: None,
        };
        let heirs = Heirs { tables: vec![heir] };
        self.writer()
            .publish_hop((None, hop), &heirs, None)
            .unwrap();
    }

    /// Publishes that the history goes on in the first queue again.
    pub(crate) fn publish_hop_back(&self, to: i64) {
        let mut writer = self.writer();
        let hop = Hop {
            from: writer.end().at,
            to: place(to),
            kind: "switchover".into(),
            flaws: None,
        };
        let heirs = Heirs { tables: Vec::new() };
        writer.publish_hop((None, hop), &heirs, None).unwrap();
    }

    fn writer(&self) -> Writer {
        Writer::open(self.store(), self.recipients.clone(), JOB, QUEUE).unwrap()
    }

    /// An archive with this many segments, each of two ticks.
    fn with(segments: i64) -> Made {
        let made = Made::new();
        let mut writer = made.writer();
        for number in 0..segments {
            writer.publish(segment(1 + number * 2)).unwrap();
        }
        made
    }

    fn path(&self, seq: u64) -> PathBuf {
        let tick = i64::try_from(seq).unwrap() * 2 - 1;
        self.root().join(Name::of(seq, place(tick)).path())
    }

    /// The path of the segment that begins after a tick.
    pub(crate) fn path_of(&self, seq: u64, tick: i64) -> PathBuf {
        self.root().join(Name::of(seq, place(tick)).path())
    }

    pub(crate) fn opened(&self) -> (Store, Identity) {
        let store = self.store();
        let identity = Identity::read(&store, JOB, QUEUE).unwrap();
        (store, identity)
    }

    fn faults(&self, depth: Depth) -> Vec<(String, String)> {
        let (store, identity) = self.opened();
        let verified = verify::archive(&store, &identity, depth).unwrap();
        let faults = verified.faults.into_iter();
        faults.map(|fault| (fault.object, fault.what)).collect()
    }

    #[track_caller]
    fn assert_named(&self, seq: u64, depth: Depth, why: &str) {
        let faults = self.faults(depth);
        let path = self
            .path(seq)
            .strip_prefix(self.root())
            .unwrap()
            .display()
            .to_string();
        assert!(
            faults
                .iter()
                .any(|(object, what)| *object == path && what.contains(why)),
            "{path} and {why:?} are not in {faults:?}"
        );
        // Each object is named once at most.
        let mut objects: Vec<&String> = faults.iter().map(|(object, _)| object).collect();
        objects.dedup();
        assert_eq!(objects.len(), faults.len(), "{faults:?}");
    }
}

/// A part of a frame; each event has a number and a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) number: u32,
    pub(crate) last: bool,
    pub(crate) events: &'a [(i64, i64)],
}

fn tick(tick: i64) -> TickEntry {
    let time = Time::try_from("2026-11-28T02:07:11.000000Z".to_owned()).unwrap();
    TickEntry(
        Number(tick),
        Number(tick * 10),
        time,
        format!("{0}:{0}:", tick * 100),
    )
}

fn put(filling: &mut Filling, from: i64, part: u32, last: bool) {
    let span = FrameSpan {
        from: place(from),
        to: place(from + 1),
        ticks: vec![tick(from + 1)],
        lineage: Lineage::default(),
    };
    let mut events = PartEvents::default();
    let id = from * 100 + i64::from(part);
    events.add(&event(id, id), None);
    filling.put(&span, part, last, Vec::new(), events).unwrap();
}

/// A segment of two frames, the second of two parts.
fn segment(from: i64) -> Filling {
    let mut filling = Filling::new(place(from), None).unwrap();
    put(&mut filling, from, 0, true);
    put(&mut filling, from + 1, 0, false);
    put(&mut filling, from + 1, 1, true);
    filling
}

#[test]
fn what_is_published_is_whole_and_the_next_process_goes_on_behind_it() {
    let made = Made::with(3);
    assert_eq!(made.faults(Depth::Bodies), []);
    let mut writer = made.writer();
    assert_eq!(writer.end().at, place(7));
    assert_eq!(writer.publish(segment(7)).unwrap().seq, 4);
    assert_eq!(made.faults(Depth::Bodies), []);
}

#[test]
fn a_frame_that_a_killed_process_left_open_comes_again_and_counts_once() {
    let made = Made::with(1);
    let mut open = Filling::new(place(3), None).unwrap();
    put(&mut open, 3, 0, false);
    assert_eq!(made.writer().publish(open).unwrap().seq, 2);
    // The next process reads the frame from its begin.
    let mut writer = made.writer();
    assert_eq!(writer.end().at, place(3));
    writer.publish(segment(3)).unwrap();
    assert_eq!(made.faults(Depth::Bodies), []);
}

#[test]
fn of_two_writers_one_wins_and_the_other_is_told() {
    let made = Made::with(1);
    let (mut one, mut other) = (made.writer(), made.writer());
    one.publish(segment(3)).unwrap();
    let refused = other.publish(segment(3)).unwrap_err().chain();
    assert!(refused.contains("another writer"), "{refused}");
    assert_eq!(made.faults(Depth::Bodies), []);
    assert_eq!(made.writer().end(), one.end());
}

#[test]
fn a_hole_is_a_segment_with_a_reason_and_the_chain_goes_on_behind_it() {
    let made = Made::with(1);
    let mut writer = made.writer();
    writer
        .publish_hole(place(3), place(9), "given away")
        .unwrap();
    writer.publish(segment(9)).unwrap();
    assert_eq!(made.faults(Depth::Bodies), []);
    let store = made.store();
    let identity = Identity::read(&store, JOB, QUEUE).unwrap();
    let lines = verify::archive(&store, &identity, Depth::Lines)
        .unwrap()
        .lines;
    let hole = lines[1].hole.clone().unwrap();
    assert_eq!((hole.after, hole.why.as_str()), (place(3), "given away"));
    assert_eq!((lines[1].from, lines[1].to), (place(3), place(9)));
}

#[test]
fn a_changed_byte_is_named_wherever_it_is() {
    let made = Made::with(3);
    let path = made.path(2);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        made.assert_named(2, Depth::Bodies, "");
    }
}

#[test]
fn a_cut_empty_or_longer_segment_is_named_by_its_first_line() {
    let made = Made::with(3);
    let path = made.path(2);
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    made.assert_named(2, Depth::Lines, "bytes in place of");
    fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    made.assert_named(2, Depth::Lines, "bytes in place of");
    fs::write(&path, "").unwrap();
    made.assert_named(2, Depth::Lines, "missing or cut off");
}

#[test]
fn a_missing_doubled_or_renamed_segment_is_named() {
    let made = Made::with(4);
    let at = |seq| made.path(seq);
    let good = fs::read(at(2)).unwrap();
    fs::remove_file(at(2)).unwrap();
    made.assert_named(3, Depth::Lines, "segment 2 before it is missing");
    fs::remove_file(at(3)).unwrap();
    made.assert_named(4, Depth::Lines, "segments 2 to 3 before it are missing");
    let made = Made::with(3);
    fs::write(at(2), good).unwrap();
    let twin = made.root().join(Name::of(2, place(4)).path());
    fs::copy(made.path(2), &twin).unwrap();
    let faults = made.faults(Depth::Lines);
    assert!(
        faults
            .iter()
            .any(|(_, what)| what.contains("another segment 2")),
        "{faults:?}"
    );
    fs::remove_file(&twin).unwrap();
    let stranger = made.root().join("frames/0000/copy of 2.seg");
    fs::rename(made.path(2), stranger).unwrap();
    let faults = made.faults(Depth::Lines);
    assert!(
        faults
            .iter()
            .any(|(_, what)| what.contains("no segment of this")),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|(_, what)| what.contains("2 before it is missing")),
        "{faults:?}"
    );
}

#[test]
fn a_segment_of_another_place_or_archive_is_named() {
    let made = Made::with(3);
    let (two, three) = (
        fs::read(made.path(2)).unwrap(),
        fs::read(made.path(3)).unwrap(),
    );
    fs::write(made.path(2), &three).unwrap();
    fs::write(made.path(3), &two).unwrap();
    let faults = made.faults(Depth::Lines);
    assert!(
        faults
            .iter()
            .any(|(_, what)| what.contains("its line is that of 00000003")),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|(_, what)| what.contains("its line is that of 00000002")),
        "{faults:?}"
    );
    let other = Made::with(3);
    fs::write(made.path(3), &three).unwrap();
    fs::copy(other.path(2), made.path(2)).unwrap();
    let faults = made.faults(Depth::Lines);
    assert!(
        faults
            .iter()
            .any(|(_, what)| what.contains("of another archive")),
        "{faults:?}"
    );
}

#[test]
fn nothing_is_written_behind_a_segment_that_is_damaged() {
    let made = Made::with(2);
    fs::write(made.path(2), "").unwrap();
    let refused = Writer::open(made.store(), Recipients::default(), JOB, QUEUE)
        .err()
        .unwrap()
        .chain();
    assert!(refused.contains("archive damaged"), "{refused}");
}

#[test]
fn a_border_is_checked_like_all_else_and_one_that_is_not_said_is_named() {
    let made = Made::with(2);
    made.publish_hop(4);
    assert_eq!(made.faults(Depth::Bodies), []);
    let mut writer = made.writer();
    let to = Place(Number(9), Number(1), Number(1));
    let from = writer.end().at;
    writer.publish_hole(from, to, "another server").unwrap();
    let faults = made.faults(Depth::Lines);
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn what_expires_while_an_archive_is_verified_is_not_missed() {
    let made = Made::with(4);
    let (store, identity) = made.opened();
    let listing = Listing::read(&store).unwrap();
    let before = chain::line(&store, listing.segments[1]).unwrap();
    let mark = Mark::new(&identity.archive, 3, &before.sha, place(5), None);
    fs::remove_file(made.path(1)).unwrap();
    fs::remove_file(made.path(2)).unwrap();
    // What is gone without a mark is missed.
    let again = || Listing {
        segments: listing.segments.clone(),
        strangers: Vec::new(),
    };
    let missed = verify::listed(&store, &identity, Depth::Bodies, again()).unwrap();
    assert_eq!(missed.faults.len(), 2, "{:?}", missed.faults);
    mark.make(&store).unwrap();
    let found = verify::listed(&store, &identity, Depth::Bodies, again()).unwrap();
    assert_eq!(found.faults, []);
    let left: Vec<u64> = found.lines.iter().map(|line| line.seq).collect();
    assert_eq!(left, [3, 4]);
    // A segment that is kept is missed as ever.
    fs::remove_file(made.path(4)).unwrap();
    let missed = verify::listed(&store, &identity, Depth::Bodies, again()).unwrap();
    assert_eq!(missed.faults.len(), 1, "{:?}", missed.faults);
}
