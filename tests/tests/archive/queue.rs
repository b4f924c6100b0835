//! What the archive has is what the queue had.

use std::collections::HashSet;

use serde_json::Value;
use sql::queue::tick::SnapshotText;
use tests::{Replication, Server, Session, wait_until};

use super::{SOON, as_text, assert_whole, column, frames, last_values, made, queue_has, running};

const TABLES: &str = "create table t (id serial primary key, v text); create table u (id int primary key, v text); create table w (id int primary key)";

/// Has the queue make a tick of what is committed.
pub(super) fn tick(replication: &Replication) {
    let last = "select last_tick_id from pgq.get_queue_info('q1')";
    let before = replication.on_provider(last);
    replication.on_provider("select pgq.force_tick('q1')");
    wait_until("a tick", SOON, || replication.on_provider(last) != before);
}

/// Transactions that end in another order than they began in, over several ticks, with DDL among them.
pub(super) fn write(replication: &Replication, round: usize) {
    let (cluster, db) = (&replication.provider, replication.db());
    let early = Session::holding(cluster, db, "insert into t (v) values ('early')");
    replication.on_provider("insert into t (v) select 'x' || i from generate_series(1, 300) i");
    tick(replication);
    let late = Session::holding(cluster, db, &format!("insert into w values ({round})"));
    replication.on_provider("update t set v = v || 'y' where id % 3 = 0");
    if round == 0 {
        replication.on_provider("alter table u add column w int default 5");
    }
    tick(replication);
    early.ask("savepoint a; delete from t where id = 7; rollback to a; delete from t where id = 8; commit");
    replication.on_provider("truncate u");
    tick(replication);
    late.ask("commit");
    replication.on_provider("insert into u values (2, E'a\\tb\\\\\"''', 6)");
    tick(replication);
}

/// What the queue itself answers to the question which events follow a tick, up to the archive's end.
fn queue_after(replication: &Replication, tick: &str, end: &str) -> HashSet<String> {
    let query = replication.on_provider(&format!(
        "select events_sql from trunkline.next_batch('q1', {tick}, 100000000, null, {end})"
    ));
    if query.is_empty() {
        return HashSet::new();
    }
    let events = replication.on_provider(&format!("select ev_id from ({query}) e"));
    events.lines().map(str::to_owned).collect()
}

/// Compares a snapshot with the server's own word, for transactions near those that a later snapshot names.
fn shows_what_the_server_says(replication: &Replication, snapshot: &str, later: &str) {
    let named = later
        .split([':', ','])
        .filter_map(|txid| txid.parse::<i64>().ok());
    let mut txids: Vec<i64> = named.flat_map(|txid| txid - 2..txid + 3).collect();
    txids.sort_unstable();
    txids.dedup();
    let list: Vec<String> = txids.iter().map(ToString::to_string).collect();
    let server = replication.on_provider(&format!(
        "select string_agg(left(txid_visible_in_snapshot(x, '{snapshot}')::text, 1), '' order by x) \
           from unnest(array[{}]::bigint[]) x",
        list.join(",")
    ));
    let parsed = SnapshotText(snapshot.to_owned()).parse().unwrap();
    let ours: String = txids
        .iter()
        .map(|txid| if parsed.shows(*txid) { 't' } else { 'f' })
        .collect();
    assert_eq!(ours, server, "{list:?} in {snapshot}");
}

fn keeps_the_queue(server: &Server) {
    // The archive reads nothing meanwhile, so that all ticks are one frame.
    let replication = made(server, "", "");
    running(&replication, TABLES);
    replication.replay.run(&["stop"]).ok();
    write(&replication, 0);
    replication.replay.run(&["start", "-d"]).ok();
    assert_whole(&replication);
    let frames = frames(&replication);
    let has: Vec<String> = frames
        .iter()
        .flat_map(|frame| &frame.events)
        .map(as_text)
        .collect();
    assert_eq!(has, queue_has(&replication));
    // From 11 on a default is a mark of its own, and whether its column takes no null is not in the event.
    let filled: Vec<&Value> = frames
        .iter()
        .flat_map(|frame| &frame.events)
        .filter(|event| column(event, "ev_extra3") == "filled")
        .collect();
    assert_eq!(filled.len(), usize::from(server.major() > 10));
    for mark in filled {
        let known = (column(mark, "ev_id").to_owned(), "1".to_owned());
        assert!(
            frames.iter().any(|frame| frame.later.contains(&known)),
            "{known:?}"
        );
    }
    let merged = frames.iter().map(|frame| frame.ticks.len()).max();
    assert!(merged > Some(3), "no frame has several ticks");
    let mut cuts = 0;
    for frame in &frames {
        let end = &frame.to[1];
        for tick in &frame.ticks {
            let shown = SnapshotText(tick[3].clone()).parse().unwrap();
            let after: HashSet<String> = frame
                .events
                .iter()
                .filter(|event| !shown.shows(column(event, "ev_txid").parse().unwrap()))
                .map(|event| column(event, "ev_id").to_owned())
                .collect();
            assert_eq!(after, queue_after(&replication, &tick[0], end), "{tick:?}");
            cuts += usize::from(!after.is_empty());
        }
        for pair in frame.ticks.windows(2) {
            shows_what_the_server_says(&replication, &pair[0][3], &pair[1][3]);
        }
    }
    assert!(cuts > 2, "{cuts} cuts have events behind them");
    let value = replication.on_provider("select last_value from t_id_seq");
    assert_eq!(last_values(&frames)["t_id_seq"].to_string(), value);
}

#[test]
fn the_archive_answers_at_every_tick_what_the_queue_answers() {
    keeps_the_queue(&Server::debian15());
}

#[test]
fn the_archive_answers_what_the_queue_answers_on_the_oldest_and_the_newest_server() {
    for version in [10, 18] {
        keeps_the_queue(&Server::version(version));
    }
}
