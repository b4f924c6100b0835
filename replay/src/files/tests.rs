//! An archive as a source, without a server: whatever lies where in the files, what follows a tick is what the queue
//! had.

use std::fs;

use sql::{
    queue::tick::{Epoch, Tick, TickId, TickTag},
    subscriber::position::Position,
};

use super::{
    batches::{Files, Next, UpTo},
    stream::Wanted,
    trail::{Ahead, NotThere},
};
use crate::{
    archive::{
        chain::{self, OutOfReach},
        tests::{Made, Part, QUEUE, place},
    },
    trouble::Trouble,
};

const MANY: i64 = 1 << 40;

/// Frames of one and of several ticks, in one and in several parts, over four segments, and one that a killed process
/// left without an end. Tick N shows the transactions below 100 N. The event numbers of a transaction are its own.
fn made() -> Made {
    let made = Made::new();
    let part = |from, to, number, last, events| Part {
        from,
        to,
        number,
        last,
        events,
    };
    made.publish(&[
        part(1, 2, 0, true, &[(1, 150)]),
        part(2, 6, 0, false, &[(2, 350), (3, 250)]),
    ]);
    made.publish(&[part(2, 6, 1, false, &[(4, 450), (5, 251)])]);
    made.publish(&[
        part(2, 6, 2, true, &[(6, 550)]),
        part(6, 7, 0, true, &[]),
        part(7, 8, 0, false, &[(7, 750)]),
    ]);
    // Another process reads the open frame from its begin, with more in it.
    made.publish(&[
        part(7, 9, 0, false, &[(7, 750), (8, 850)]),
        part(7, 9, 1, true, &[(9, 751)]),
    ]);
    made
}

/// The transactions of the events of [`made`], by their numbers.
const TXIDS: [i64; 9] = [150, 350, 250, 450, 251, 550, 750, 850, 751];

/// The numbers of the events that follow a tick, up to another one.
fn between(after: i64, up_to: i64) -> Vec<i64> {
    (1..)
        .zip(TXIDS)
        .filter(|(_, txid)| *txid >= after * 100 && *txid < up_to * 100)
        .map(|(id, _)| id)
        .collect()
}

fn position(tick: i64) -> Position {
    Position::from(place(tick))
}

fn open(made: &Made, at: Position) -> Result<Result<Files, NotThere>, Trouble> {
    Files::open(made.store(), QUEUE, at)
}

fn opened(made: &Made, tick: i64) -> Files {
    open(made, position(tick)).unwrap().unwrap()
}

/// Runs what needs a thread that may block.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// The batches that follow, each with its last tick and its events.
async fn batches(files: &mut Files, max: i64, up_to: UpTo) -> (Vec<(i64, Vec<i64>)>, Next) {
    let mut found = Vec::new();
    let mut at = files.at();
    loop {
        let batch = match files.next(max, up_to).unwrap() {
            Next::Batch(batch) => batch,
            ended @ (Next::Reached(_) | Next::Nothing(_)) => return (found, ended),
        };
        assert_eq!(batch.from, at);
        at = batch.to;
        let mut ids = Vec::new();
        let mut events = files.events(&batch, Wanted::default());
        while let Some((id, _)) = events.next().await.unwrap() {
            ids.push(id);
        }
        found.push((batch.to.tick.id.0, ids));
    }
}

fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

#[test]
fn what_follows_any_tick_up_to_any_other_is_what_the_queue_had() {
    let made = made();
    run(async {
        for after in 1..=9 {
            for up_to in after..=9 {
                let mut files = opened(&made, after);
                let to = UpTo::Tick(Epoch(7), TickId(up_to));
                let (found, ended) = batches(&mut files, MANY, to).await;
                let ids = found.into_iter().flat_map(|(_, ids)| ids).collect();
                assert_eq!(sorted(ids), between(after, up_to), "{after} to {up_to}");
                assert_eq!(files.at(), position(up_to));
                match ended {
                    Next::Reached(tick) => assert_eq!(tick.0.0, up_to + 1),
                    Next::Nothing(ahead) => assert_eq!((up_to, ahead), (9, Ahead::End)),
                    Next::Batch(_) => unreachable!(),
                }
            }
        }
    });
}

#[test]
fn a_batch_of_one_tick_has_what_the_tick_adds() {
    let made = made();
    run(async {
        for after in 1..=9 {
            let (found, _) = batches(&mut opened(&made, after), 0, UpTo::End).await;
            let wanted: Vec<(i64, Vec<i64>)> = (after + 1..=9)
                .map(|tick| (tick, between(tick - 1, tick)))
                .collect();
            let found: Vec<_> = found
                .into_iter()
                .map(|(tick, ids)| (tick, sorted(ids)))
                .collect();
            assert_eq!(found, wanted);
        }
    });
}

#[test]
fn frames_are_merged_up_to_a_number_of_events() {
    let made = made();
    let ends = |max: i64| {
        run(async {
            let (found, _) = batches(&mut opened(&made, 1), max, UpTo::End).await;
            found.iter().map(|(tick, _)| *tick).collect::<Vec<i64>>()
        })
    };
    assert_eq!(ends(1), [2, 6, 9]);
    assert_eq!(ends(2), [6, 9]);
    assert_eq!(ends(7), [9]);
}

#[test]
fn a_position_that_is_not_on_the_way_of_the_archive_is_told_apart() {
    let made = made();
    let at = |epoch: i64, tick: i64, tag: i64| {
        let mut at = position(tick);
        at.epoch.0 = epoch;
        at.tick = Tick {
            id: TickId(tick),
            tag: TickTag(tag),
        };
        run(async { open(&made, at).unwrap().err() })
    };
    assert_eq!(at(7, 9, 90), None);
    assert_eq!(at(7, 0, 0), Some(NotThere::Before(0)));
    assert_eq!(at(8, 3, 30), Some(NotThere::Before(3)));
    assert_eq!(at(7, 10, 100), Some(NotThere::Beyond(10)));
    for tick in 1..=9 {
        let other = at(7, tick, 5);
        assert_eq!(other, Some(NotThere::OtherTick(tick)), "tick {tick}");
    }
}

#[test]
fn an_archive_that_has_nothing_yet_is_read_from_its_begin_on() {
    let made = Made::new();
    run(async {
        let mut files = opened(&made, 1);
        let next = |files: &mut Files| files.next(MANY, UpTo::End).unwrap();
        assert!(matches!(next(&mut files), Next::Nothing(Ahead::End)));
        made.publish(&[Part {
            from: 1,
            to: 3,
            number: 0,
            last: true,
            events: &[(1, 150)],
        }]);
        let Next::Batch(batch) = next(&mut files) else {
            panic!("no batch");
        };
        assert_eq!((batch.to, batch.events), (position(3), 1));
    });
}

#[test]
fn what_is_missing_or_late_is_waited_for_and_never_skipped() {
    let made = made();
    let (path, aside) = (made.path_of(3, 2), made.root().join("aside"));
    run(async {
        let mut files = opened(&made, 1);
        fs::rename(&path, &aside).unwrap();
        let (found, ended) = batches(&mut files, 1, UpTo::End).await;
        assert_eq!(found.last().map(|(tick, _)| *tick), Some(2));
        assert!(
            matches!(ended, Next::Nothing(Ahead::Missing(3))),
            "{ended:?}"
        );
        fs::rename(&aside, &path).unwrap();
        let (found, ended) = batches(&mut files, MANY, UpTo::End).await;
        assert_eq!(found.last().map(|(tick, _)| *tick), Some(9));
        assert!(matches!(ended, Next::Nothing(Ahead::End)), "{ended:?}");
    });
}

#[test]
fn nothing_is_read_over_a_hole_or_out_of_it() {
    let made = made();
    made.publish_hole(12);
    made.publish(&[Part {
        from: 12,
        to: 13,
        number: 0,
        last: true,
        events: &[(10, 1250)],
    }]);
    run(async {
        let (found, ended) = batches(&mut opened(&made, 6), MANY, UpTo::End).await;
        assert_eq!(found.last().map(|(tick, _)| *tick), Some(9));
        assert!(matches!(ended, Next::Nothing(Ahead::Hole(_))), "{ended:?}");
        let (found, _) = batches(&mut opened(&made, 12), MANY, UpTo::End).await;
        assert_eq!(found, [(13, vec![10])]);
        assert_eq!(
            open(&made, position(11)).unwrap().err(),
            Some(NotThere::InHole(11))
        );
    });
}

#[test]
fn nothing_of_a_damaged_segment_is_given() {
    let made = made();
    let path = made.path_of(4, 7);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        run(async {
            let mut files = opened(&made, 6);
            let (found, error) = match files.next(MANY, UpTo::End) {
                Ok(Next::Batch(batch)) => (batch.to, files.next(MANY, UpTo::End).err()),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, position(7));
            let chain = error.map(|error| error.chain()).unwrap_or_default();
            assert!(
                chain.contains("archive damaged at 00000004-7-7.seg"),
                "{chain}"
            );
        });
    }
}

#[test]
fn a_queue_is_read_up_to_the_border_and_what_it_has_behind_that_is_a_branch() {
    let made = made();
    made.publish_hop(5);
    run(async {
        for max in [0, MANY] {
            for after in 1..=5 {
                let mut files = opened(&made, after);
                let (found, ended) = batches(&mut files, max, UpTo::End).await;
                let ids = found.into_iter().flat_map(|(_, ids)| ids).collect();
                assert_eq!(sorted(ids), between(after, 5), "{after}, {max} at once");
                let Next::Nothing(Ahead::Hop(border)) = ended else {
                    panic!("{ended:?}")
                };
                assert_eq!(Position::from(border.hop.from), position(5));
                assert!(files.goes_over(&border, UpTo::End).unwrap());
                let tick = |epoch| UpTo::Tick(Epoch(epoch), TickId(20));
                assert!(files.goes_over(&border, tick(8)).unwrap());
                assert!(!files.goes_over(&border, tick(7)).unwrap());
                // Nothing has come yet behind it.
                let mut behind = files.behind(&border).unwrap().unwrap();
                let ended = behind.next(MANY, UpTo::End).unwrap();
                assert!(matches!(ended, Next::Nothing(Ahead::End)), "{ended:?}");
                assert_eq!(files.heirs(&border).unwrap().tables.len(), 1);
            }
        }
        assert_eq!(
            open(&made, position(6)).unwrap().err(),
            Some(NotThere::OnBranch(6, 5))
        );
        let branch = Files::open_branch(made.store(), QUEUE, position(5)).unwrap();
        let (found, ended) = batches(&mut branch.unwrap(), MANY, UpTo::End).await;
        let ids = found.into_iter().flat_map(|(_, ids)| ids).collect();
        assert_eq!(sorted(ids), between(5, 9));
        assert!(matches!(ended, Next::Nothing(Ahead::End)), "{ended:?}");
    });
}

#[test]
fn right_behind_a_border_back_to_a_queue_there_is_nothing_yet_and_it_is_no_branch() {
    run(async {
        let made = made();
        made.publish_hop(5);
        made.publish_hop_back(70);
        let (store, identity) = made.opened();
        let reaches = |tick| chain::reaches(&store, &identity, place(tick));
        assert!(reaches(70).is_ok() && reaches(75).is_ok());
        assert!(matches!(reaches(6), Err(OutOfReach::OnBranch(6, 5))));
        let mut files = opened(&made, 70);
        let next = files.next(0, UpTo::End).unwrap();
        assert!(matches!(next, Next::Nothing(Ahead::End)));
        let not_there = |at| open(&made, at).unwrap().unwrap_err();
        assert_eq!(not_there(position(75)), NotThere::Beyond(75));
        assert_eq!(not_there(position(6)), NotThere::OnBranch(6, 5));
        let mut other = position(70);
        other.tick.tag.0 += 1;
        assert_eq!(not_there(other), NotThere::OtherTick(70));
    });
}
