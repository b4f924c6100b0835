//! The failover: what is lost is what was told, and nothing else; who takes the place of a provider that is off, and
//! what becomes of that one when it comes back.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::thread::JoinHandle;

use serde_json::Value;
use tests::{Stop, wait_until};
use tokio_postgres::NoTls;

use crate::SOON;
use crate::hosts::{Hosts, NAMES};
use crate::link::DB;
use crate::switchover::{TABLES, block_on, command, wait_can};

impl Hosts {
    /// The node's host dies: its server and its daemons.
    pub(crate) fn die(&self, node: usize) {
        self.replays[node].kill9();
        self.tickers[node].kill9();
        self.nodes[node].stop(Stop::Immediate);
        // What a command waits for otherwise: that no node has met it for ten seconds.
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.nodes[other].pid().is_some() {
                self.on(
                    other,
                    "update trunkline.member set heard_at = heard_at - interval '1 min' \
                      where role in ('provider', 'fenced')",
                );
            }
        }
    }

    /// Where the node stands.
    pub(crate) fn place(&self, node: usize) -> String {
        self.on(
            node,
            "select concat_ws(',', epoch, tick_id, tick_tag) from trunkline.position",
        )
    }

    /// Waits until all that stand below the provider have its last tick, which does not change.
    #[track_caller]
    pub(crate) fn wait_level(&self, provider: usize, node: usize) {
        let last = "select concat_ws(',', q.queue_epoch, t.tick_id, t.tick_tag) from pgq.tick t \
                      join pgq.queue q on q.queue_id = t.tick_queue order by t.tick_id desc limit 1";
        wait_until(&format!("{} to be level", NAMES[node]), SOON, || {
            self.place(node) == self.on(provider, last)
        });
    }
}

/// Fails over by the config of a node, and gives what the command says in JSON.
#[track_caller]
pub(crate) fn fail_over(hosts: &Hosts, at: usize, more: &[&str]) -> Value {
    let args = [&["failover", "q1", "--json"], more].concat();
    let said = command(hosts, at).run(&args).ok();
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

/// Sessions that write into one node until it is gone, and keep what was acknowledged.
pub(crate) struct Keys {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<(i32, i32)>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Keys {
    pub(crate) fn start(hosts: &Hosts, node: usize) -> Keys {
        let mut keys = Keys {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            threads: Vec::new(),
        };
        let port = hosts.nodes[node].port();
        for writer in 0..3 {
            let (stop, acknowledged) = (Arc::clone(&keys.stop), Arc::clone(&keys.acknowledged));
            keys.threads.push(std::thread::spawn(move || {
                block_on(write(writer, port, &stop, &acknowledged));
            }));
        }
        keys
    }

    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: usize) {
        let goal = self.acknowledged.lock().unwrap().len() + count;
        wait_until("the writers to go on", SOON, || {
            self.acknowledged.lock().unwrap().len() >= goal
        });
    }

    /// What was acknowledged, in order.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let mut all = self.acknowledged.lock().unwrap().clone();
        all.sort_unstable();
        let all = all.iter();
        all.map(|(writer, n)| format!("{writer} {n}")).collect()
    }
}

async fn write(writer: i32, port: u16, stop: &AtomicBool, acknowledged: &Mutex<Vec<(i32, i32)>>) {
    // What is acknowledged survives the server's end.
    let info = format!(
        "host=127.0.0.1 port={port} user=postgres dbname={DB} options='-c synchronous_commit=on'"
    );
    let (client, connection) = tokio_postgres::connect(&info, NoTls).await.unwrap();
    tokio::spawn(connection);
    for n in 1.. {
        let text = format!(
            "begin; insert into written values ({writer}, {n}); \
             insert into counted values ({writer}, 1) on conflict (writer) do update set n = counted.n + 1; \
             insert into numbered (writer) values ({writer}); commit"
        );
        if stop.load(Ordering::Relaxed) || client.batch_execute(&text).await.is_err() {
            return;
        }
        acknowledged.lock().unwrap().push((writer, n));
    }
}

fn keys(hosts: &Hosts, node: usize, condition: &str) -> Vec<String> {
    let sql = format!(
        "select coalesce(string_agg(writer || ' ' || n, ',' order by writer, n), '') from written where {condition}"
    );
    hosts.on(node, &sql).split(',').map(str::to_owned).collect()
}

/// Each transaction of a writer has a row in two tables, and is counted in a third one: all three say the same.
#[track_caller]
fn assert_whole(hosts: &Hosts, node: usize) {
    let whole = "select count(*) > 0 and bool_and(c.n = (select count(*) from written w where w.writer = c.writer) \
                     and c.n = (select count(*) from numbered x where x.writer = c.writer)) from counted c";
    assert_eq!(hosts.on(node, whole), "t", "{}", NAMES[node]);
}

/// Kills the provider while it writes, and another node takes its place.
fn killed_under_load(versions: &[u32]) {
    let hosts = Hosts::standbys_of(versions, TABLES);
    for node in 1..versions.len() {
        wait_can(&hosts, node);
    }
    let writers = Keys::start(&hosts, 0);
    writers.wait_for_more(100);
    // A transaction that is known to be on a standby is never lost.
    hosts.on(0, "insert into written values (9, 9)");
    hosts.on(0, "select trunkline.wait_replicated('q1', 1, '60 s')");
    // What comes now is in no tick.
    hosts.kill_ticker(0);
    writers.wait_for_more(100);
    for node in 1..versions.len() {
        hosts.wait_level(0, node);
    }
    hosts.die(0);
    let acknowledged = writers.end();

    let said = fail_over(&hosts, 1, &["--elect", "--fenced"]);
    assert_eq!((&said["step"], &said["term"]), (&"done".into(), &2.into()));
    let name = said["new"].as_str().unwrap();
    let new = NAMES.iter().position(|one| *one == name).unwrap();
    let final_tick = said["final_tick"].as_i64().unwrap();
    assert_eq!(said["lost_possible"]["after_tick"], final_tick, "{said}");
    assert_eq!(hosts.role(new), "provider 2");
    assert_whole(&hosts, new);
    let there = keys(&hosts, new, "true");
    let row = "select concat_ws(' ', kind, step, old_name, new_name, final_tick_id, sequence_margin, \
                      final_tick_time is not null, heard_tick_id <= final_tick_id) from trunkline.operation";
    assert_eq!(
        hosts.on(new, row),
        format!("failover done castor {name} {final_tick} 10000 t t")
    );
    let event = "select details from trunkline.event where event = 'standby_promote'";
    let told = hosts.on(new, event);
    assert!(
        told.starts_with(&format!("term 2 begins after tick {final_tick} of "))
            && told.contains("castor was heard of last at its tick"),
        "{told}"
    );
    // The former provider finds what it will need.
    let held = "select count(*) from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer \
                  join trunkline.history h on h.tick_id = s.sub_last_tick and h.term = 2 where c.co_name = 'castor'";
    assert_eq!(hosts.on(new, held), "1");
    let id = "insert into numbered (writer) values (7) returning id";
    let first: i64 = hosts.on(new, id).parse().unwrap();

    // It comes back, is met, and takes no writes.
    hosts.nodes[0].start_again();
    hosts.wait_role(0, "fenced 1");
    let refused = "begin read write; insert into written values (8, 8); commit";
    hosts.nodes[0]
        .try_psql(DB, refused)
        .says(&["takes no writes for queue q1"]);
    let at_border = format!(
        "txid_visible_in_snapshot(xmin::text::bigint, \
            (select t.tick_snapshot from pgq.tick t where t.tick_id = {final_tick}))"
    );
    assert_eq!(there, keys(&hosts, 0, &at_border));
    assert!(there.contains(&"9 9".to_owned()));
    let all = keys(&hosts, 0, "true");
    let lost = acknowledged.iter().filter(|key| !there.contains(key));
    assert!(lost.count() >= 90, "what was in no tick is lost");
    assert!(acknowledged.iter().all(|key| all.contains(key)));
    let last: i64 = hosts.on(0, "select max(id) from numbered").parse().unwrap();
    assert!(first > last + 9000, "{first} {last}");

    for other in (1..versions.len()).filter(|other| *other != new) {
        hosts.on(new, "insert into written values (7, 7)");
        hosts.assert_same_as(new, other);
        let held = "select count(*) from trunkline.position where held_by is not null";
        assert_eq!(hosts.on(other, held), "0");
        let running = "select count(*) from trunkline.operations('q1') where running";
        wait_until("the operation to be over", SOON, || {
            hosts.on(other, running) == "0"
        });
        assert_whole(&hosts, other);
    }
    hosts.tickers[0].run(&["start", "-d"]).ok();
    hosts.replays[0].run(&["start", "-d"]).ok();
    hosts.wait_lost(0);
    hosts.replays[0].run(&["rejoin", "--yes"]).ok();
    hosts.assert_same_as(new, 0);
    assert_whole(&hosts, 0);
}

#[test]
fn of_a_pair_the_provider_is_killed_and_what_was_told_is_lost_and_no_more() {
    killed_under_load(&[10, 18]);
}

#[test]
fn of_three_nodes_the_provider_is_killed_and_the_others_go_on_with_one_of_them() {
    killed_under_load(&[15, 15, 15]);
}
