//! SIGKILL at every step: the chain is whole, and no tick is in it twice.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::StdRng};
use tests::{Replication, Server, Session, Writes, choose, wait_until};

use super::{Frame, SOON, as_text, assert_whole, frames, made, queue_has, root, running, segments};

/// Segments come fast, and a frame of more than 64 kB has several parts.
const FAST: (&str, &str) = (
    "chunk_size = \"64 kB\"",
    "segment_every = 0.1\nsegment_size = \"64 kB\"",
);

fn writes() -> Writes {
    Arc::new(|random: &mut StdRng, number: u64| {
        let rows = if number.is_multiple_of(20) { 2_000 } else { 5 };
        let length = random.random_range(1..200);
        format!(
            "insert into t (v) select md5(i::text) || repeat('x', {length}) from generate_series(1, {rows}) i"
        )
    })
}

/// Checks that each event of the queue is in the archive once, in its order.
#[track_caller]
fn assert_all_once(replication: &Replication) {
    assert_whole(replication);
    assert_all_in(replication, &frames(replication));
}

/// Checks that each event of the queue is in the frames once, in its order.
#[track_caller]
pub(super) fn assert_all_in(replication: &Replication, frames: &[Frame]) {
    for pair in frames.windows(2) {
        assert_eq!(
            pair[0].to, pair[1].from,
            "a frame does not follow the one before"
        );
    }
    let mut has: Vec<String> = frames
        .iter()
        .flat_map(|frame| &frame.events)
        .map(as_text)
        .collect();
    has.sort();
    let mut had = queue_has(replication);
    had.sort();
    assert!(
        has == had,
        "{} events in the archive, {} in the queue",
        has.len(),
        had.len()
    );
}

#[test]
fn kill9_at_any_moment_leaves_a_whole_chain_without_any_tick_twice() {
    let replication = made(&Server::debian15(), FAST.0, FAST.1);
    running(
        &replication,
        "create table t (id bigserial primary key, v text)",
    );
    let load = replication.load(2, Duration::from_millis(3), &writes());
    let mut random = rand::rng();
    let rounds = choose("kills of an archive's daemon", vec![(); 100], vec![(); 12]).len();
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(random.random_range(20..300)));
        replication.replay.kill9();
        replication.replay.run(&["start", "-d"]).ok();
    }
    assert_eq!(load.stop().errors, Vec::<String>::new());
    assert_all_once(&replication);
    replication.assert_clean(&[]);
}

#[test]
fn kill9_between_the_segment_and_the_queue_s_knowledge_of_it_repeats_nothing() {
    let replication = made(&Server::debian15(), "", "segment_every = 0.1");
    running(
        &replication,
        "create table t (id bigserial primary key, v text)",
    );
    replication
        .replay
        .run(&["archive", "switch", "--timeout", "120"])
        .ok();
    let before = segments(&replication).len();
    // Step 5 waits for this row.
    let holder = Session::holding(
        &replication.provider,
        replication.db(),
        "select 1 from pgq.subscription for update",
    );
    replication.on_provider("insert into t (v) values ('a')");
    wait_until("a segment", SOON, || segments(&replication).len() > before);
    replication.replay.kill9();
    holder.ask("rollback");
    replication.replay.run(&["start", "-d"]).ok();
    assert_all_once(&replication);
}

#[test]
fn kill9_before_a_segment_has_its_name_leaves_nothing_that_counts() {
    let replication = made(&Server::debian15(), "", "segment_every = 3600");
    running(
        &replication,
        "create table t (id bigserial primary key, v text)",
    );
    replication.on_provider("insert into t (v) values ('in memory only')");
    // What a writer leaves that dies while it writes.
    let directory = root(&replication).join("frames/0000");
    replication
        .replay
        .run(&["archive", "switch", "--timeout", "120"])
        .ok();
    std::fs::write(directory.join(".unfinished-x"), "half").unwrap();
    replication.on_provider("insert into t (v) values ('not yet published')");
    replication.replay.kill9();
    replication.replay.run(&["start", "-d"]).ok();
    assert_all_once(&replication);
}
