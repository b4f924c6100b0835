//! The rules of a group; the test is the group's reader.

use sql::connect::Purpose;
use sql::queue::tick::{Epoch, Tick, TickId, TickTag};

use super::*;
use crate::{
    batch::{BatchPart, Header},
    queue::ticks::Listener,
};

const CHUNK: usize = 1 << 20;

fn at(tick: i64) -> Position {
    Position {
        epoch: Epoch(1),
        tick: Tick {
            id: TickId(tick),
            tag: TickTag(tick),
        },
    }
}

fn readers() -> Arc<Readers> {
    let (_, ticks, _) = Listener::new(Duration::from_secs(1));
    let feed = Feed {
        queue: "q".into(),
        max_events: 100,
        chunk_bytes: CHUNK,
        archives: Arc::new([]),
        ticks,
    };
    let nowhere = "host=127.0.0.1 port=1 dbname=x".parse().unwrap();
    let name = ApplicationName::new(Purpose::Queue, "test");
    Arc::new(Readers::new(
        nowhere,
        name,
        feed,
        2,
        crate::reading::reader::start,
    ))
}

/// A group at a border, its members' ends and its reader's handle; the test is the reader.
fn new_group(
    readers: &Arc<Readers>,
    border: Position,
    members: usize,
) -> (GroupHandle, Vec<Reader>) {
    let mut groups = readers.groups();
    let (members, ends): (Vec<Member>, Vec<Reader>) = (0..members)
        .map(|_| readers.member(&mut groups, &TickByTick::default()))
        .unzip();
    let id = members[0].id;
    groups.open.push(Group {
        id,
        border: Some(border),
        members,
        source: None,
        task: None,
        statement: None,
    });
    (readers.handle(id), ends)
}

fn part(bytes: usize) -> Delivery {
    Delivery::Part(Arc::new(BatchPart {
        bytes,
        ..BatchPart::default()
    }))
}

async fn gives_part(reader: &mut Reader) -> bool {
    matches!(reader.next().await, Ok(Delivery::Part(_)))
}

#[tokio::test]
async fn every_member_gets_the_same_part() {
    let (group, mut ends) = new_group(&readers(), at(1), 2);
    assert!(group.deliver(part(CHUNK), &mut group.begin()).await);
    let mut parts = Vec::new();
    for end in &mut ends {
        match end.next().await {
            Ok(Delivery::Part(part)) => parts.push(part),
            other => panic!("{other:?}"),
        }
    }
    assert!(Arc::ptr_eq(&parts[0], &parts[1]));
}

#[tokio::test]
async fn the_next_part_goes_when_the_one_before_is_written() {
    let (group, mut ends) = new_group(&readers(), at(1), 1);
    let mut slack = group.begin();
    assert!(group.deliver(part(1), &mut slack).await);
    assert!(gives_part(&mut ends[0]).await);
    let mut next = std::pin::pin!(group.deliver(part(1), &mut slack));
    let moment = Duration::from_millis(20);
    let while_it_writes = tokio::time::timeout(moment, next.as_mut());
    assert!(while_it_writes.await.is_err());
    assert!(!group.is_awaited());
    let (delivered, taken) = tokio::join!(next, gives_part(&mut ends[0]));
    assert!(delivered && taken);
}

#[tokio::test]
async fn the_next_batch_is_announced_while_the_one_before_is_written() {
    let (group, mut ends) = new_group(&readers(), at(1), 1);
    assert!(group.deliver(part(1), &mut group.begin()).await);
    assert!(gives_part(&mut ends[0]).await);
    let begin = Delivery::Begin(Header {
        from: at(1),
        to: at(2),
        to_time: std::time::SystemTime::UNIX_EPOCH,
        lineage: sql::queue::lineage::Lineage::default(),
        may_be_merged: true,
    });
    assert!(group.deliver(begin, &mut group.begin()).await);
    assert!(matches!(ends[0].next().await, Ok(Delivery::Begin(_))));
}

#[tokio::test]
async fn a_single_member_is_waited_for_and_never_let_go() {
    let (group, mut ends) = new_group(&readers(), at(1), 1);
    let reads = async {
        let mut slack = group.begin();
        for _ in 0..10 {
            assert!(group.deliver(part(2 * CHUNK), &mut slack).await);
        }
    };
    let applies = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(gives_part(&mut ends[0]).await);
        }
    };
    tokio::join!(reads, applies);
}

#[tokio::test]
async fn a_member_that_does_nothing_is_let_go_and_the_other_gets_all() {
    let (group, mut ends) = new_group(&readers(), at(1), 2);
    let mut dead = ends.remove(0);
    let reads = async {
        let mut slack = group.begin();
        for _ in 0..10 {
            assert!(group.deliver(part(CHUNK), &mut slack).await);
        }
    };
    let applies = async {
        for _ in 0..10 {
            assert!(gives_part(&mut ends[0]).await);
        }
    };
    tokio::join!(reads, applies);
    for _ in 0..BEHIND_CHUNKS {
        assert!(gives_part(&mut dead).await);
    }
    assert!(matches!(dead.next().await, Ok(Delivery::LetGo)));
    assert!(dead.next().await.is_err(), "nothing comes after it");
}

#[tokio::test]
async fn readers_that_wait_at_one_place_become_one() {
    let readers = readers();
    let (first, mut ends) = new_group(&readers, at(1), 1);
    let (second, more) = new_group(&readers, at(2), 1);
    ends.extend(more);
    assert!(!first.merge(at(1)));
    first.end(at(2));
    assert!(first.merge(at(2)));
    assert!(
        !second.merge(at(2)),
        "nobody waits in the group that was left"
    );
    drop(first);
    assert!(second.deliver(part(1), &mut second.begin()).await);
    for end in &mut ends {
        assert!(gives_part(end).await);
    }
}

#[tokio::test]
async fn who_comes_while_a_batch_is_read_reads_alone() {
    let readers = readers();
    let (group, _ends) = new_group(&readers, at(1), 1);
    let with_it = readers.read_after(at(1), &TickByTick::default());
    assert_eq!(readers.groups().open.len(), 1);
    group.begin();
    let alone = readers.read_after(at(1), &TickByTick::default());
    assert_eq!(readers.groups().open.len(), 2);
    drop((with_it, alone));
    assert_eq!(readers.groups().open.len(), 1);
}

#[tokio::test]
async fn a_batch_is_one_tick_while_a_member_wants_it_so() {
    let (readers, wants) = (readers(), TickByTick::default());
    let (group, _ends) = new_group(&readers, at(1), 1);
    let many = group.max_events();
    let member = readers.read_after(at(1), &wants);
    assert!(wants.begin() && !wants.begin());
    assert_eq!(group.max_events(), TICK_BY_TICK);
    wants.end();
    assert_eq!(group.max_events(), many);
    // A subscriber whose own queue logs what it applies wants it for good.
    assert!(wants.relay(true) && !wants.relay(true) && wants.relays());
    wants.end();
    assert_eq!(group.max_events(), TICK_BY_TICK);
    assert!(wants.relay(false));
    assert_eq!(group.max_events(), many);
    assert!(wants.begin());
    drop(member);
    assert_eq!(group.max_events(), many);
}

#[tokio::test]
async fn trouble_is_told_to_one_and_the_others_read_on() {
    let (group, mut ends) = new_group(&readers(), at(1), 2);
    group.fail(Trouble::Stale);
    assert!(matches!(ends[0].next().await, Err(Trouble::Stale)));
    assert!(matches!(ends[1].next().await, Ok(Delivery::LetGo)));
}

#[tokio::test]
async fn a_reader_whose_members_have_left_ends() {
    let (group, ends) = new_group(&readers(), at(1), 2);
    drop(ends);
    assert!(!group.deliver(part(1), &mut group.begin()).await);
}

#[tokio::test]
async fn the_last_part_of_a_batch_that_others_follow_waits_for_nobody_within_a_chunk() {
    let last = |others_follow| {
        Delivery::Part(Arc::new(BatchPart {
            bytes: CHUNK / 2,
            end: End::Last { others_follow },
            ..BatchPart::default()
        }))
    };
    let (group, mut ends) = new_group(&readers(), at(1), 1);
    let moment = Duration::from_millis(20);
    let waits = async |delivery| {
        let mut slack = group.begin();
        let delivered = tokio::time::timeout(moment, group.deliver(delivery, &mut slack)).await;
        delivered.is_err()
    };
    assert!(!waits(last(true)).await);
    assert!(gives_part(&mut ends[0]).await);
    // While the batch is written, the next batch is handed over; the batch after that has to wait.
    assert!(!waits(last(true)).await);
    assert!(waits(last(true)).await);
    assert!(gives_part(&mut ends[0]).await);
    // A delivery that may still grow waits.
    assert!(waits(last(false)).await);
}
