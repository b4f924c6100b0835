use super::*;
use crate::{
    archive::bases::{Base, Bases, State},
    frames::{
        manifest::sample,
        place::Number,
        segment::{FORMAT, Hole, Hop},
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
    let asked = Asked {
        wanted: Wanted::Newest,
        to,
        epoch: None,
        tables: &[],
    };
    let plan = plan(found, at(48_000), &asked)?;
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

/// A queue, which a second one follows, and a third part in the first again.
fn moved() -> Vec<Line> {
    let place = |epoch, tick| Place(Number(epoch), Number(tick), Number(5));
    let part = |seq, (epoch, from), (to_epoch, to), left: Option<i64>| Line {
        from: place(epoch, from),
        to: place(to_epoch, to),
        hop: left.map(|left| Hop {
            from: place(epoch, left),
            to: place(to_epoch, to),
            kind: "switchover".into(),
            flaws: None,
        }),
        frames: u64::from(left.is_none()),
        ..line(seq, from, to, Some(("02:00:00", "03:00:00")))
    };
    vec![
        part(1, (7, 48_100), (7, 48_300), None),
        part(2, (7, 48_300), (8, 49_000), Some(48_300)),
        part(3, (8, 49_000), (8, 49_100), None),
        part(4, (8, 49_100), (7, 50_000), Some(49_100)),
        part(5, (7, 50_000), (7, 50_100), None),
    ]
}

#[test]
fn a_number_that_no_queue_has_is_the_end_of_what_comes_before_it_and_none_of_what_comes_after() {
    let found = found(moved());
    let before = Refused::Before(48_212, sample().time.into());
    // Before the base, and before all that the archive has.
    assert_eq!(planned(&found, To::Tick(48_150)), Err(before.clone()));
    assert_eq!(planned(&found, To::Tick(50)), Err(before));
    let last = To::Tick(48_300);
    assert_eq!(planned(&found, To::Tick(48_700)), Ok((vec![1], last)));
    let last = To::Tick(49_100);
    assert_eq!(planned(&found, To::Tick(49_900)), Ok((vec![1, 2, 3], last)));
    let last = To::Tick(50_050);
    assert_eq!(planned(&found, last), Ok((vec![1, 2, 3, 4, 5], last)));
    // A queue that is asked for by name must have it.
    let asked = |epoch, tick| Asked {
        wanted: Wanted::Newest,
        to: To::Tick(tick),
        epoch: Some(epoch),
        tables: &[],
    };
    for (epoch, tick) in [(7, 48_700), (8, 50), (8, 49_900), (9, 48_300)] {
        let refused = plan(&found, at(48_100), &asked(epoch, tick)).map(|plan| plan.to);
        assert_eq!(refused, Err(Refused::NoEpoch(tick, epoch)));
    }
}
