//! The planned switchover: what it promises while it works, and what it refuses.

use std::collections::BTreeSet;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Session, signal, wait_until};
use tokio_postgres::{Client, NoTls};

use crate::SOON;
use crate::members::{get, listening};
use crate::set::{DB, Hosts, NAMES};
pub(crate) use crate::set::{command, wait_can};

/// Switches over from whatever host, and gives what the command says in JSON.
#[track_caller]
pub(crate) fn switch(hosts: &Hosts, at: usize, new: usize, more: &[&str]) -> Value {
    let args = [
        "switchover",
        "q1",
        "--to",
        NAMES[new],
        "--json",
        "--drain",
        "120",
        // A machine that does other work lags, too.
        "--max-lag",
        "120",
        "--catch-up",
        "120",
    ];
    let args = [&args, more].concat();
    let said = command(hosts, at).run(&args).ok();
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

/// Tables of [`Writers`].
pub(crate) const TABLES: &str = "\
    create table written (writer int, n int, primary key (writer, n)); \
    create table counted (writer int primary key, n int not null); \
    create table numbered (id serial primary key, writer int)";

/// Transactions: the writer, and the number of its try.
type Written = Mutex<Vec<(i32, i32)>>;

/// Writers that follow the provider by libpq's way, keep what was acknowledged, and look that no two nodes take writes.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Written>,
    /// Those whose commit was asked for, and whose server ended without an answer.
    unknown: Arc<Written>,
    wrong: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

const WRITERS: i32 = 3;

impl Writers {
    pub(crate) fn start(hosts: &Hosts) -> Writers {
        let mut writers = Writers::alone(hosts);
        writers.watch(hosts);
        writers
    }

    /// The writers, without the look at who takes writes.
    pub(crate) fn alone(hosts: &Hosts) -> Writers {
        let mut writers = Writers {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            unknown: Arc::default(),
            wrong: Arc::default(),
            threads: Vec::new(),
        };
        let ports: Vec<u16> = hosts.nodes.iter().map(tests::Cluster::port).collect();
        for writer in 0..WRITERS {
            let (stop, acknowledged) =
                (Arc::clone(&writers.stop), Arc::clone(&writers.acknowledged));
            let (unknown, wrong) = (Arc::clone(&writers.unknown), Arc::clone(&writers.wrong));
            let list = ports
                .iter()
                .map(u16::to_string)
                .collect::<Vec<_>>()
                .join(",");
            let hosts = vec!["127.0.0.1"; ports.len()].join(",");
            let info = format!(
                "host={hosts} port={list} user=postgres dbname={DB} target_session_attrs=read-write \
                 application_name=writer options='-c synchronous_commit=on'"
            );
            writers.threads.push(std::thread::spawn(move || {
                let (written, failed) = ((&*acknowledged, &*unknown), &*wrong);
                block_on(write(writer, &info, &stop, written, failed));
            }));
        }
        writers
    }

    /// Begins to look that no two nodes take writes.
    pub(crate) fn watch(&mut self, hosts: &Hosts) {
        let ports: Vec<u16> = hosts.nodes.iter().map(tests::Cluster::port).collect();
        let (stop, wrong) = (Arc::clone(&self.stop), Arc::clone(&self.wrong));
        self.threads.push(std::thread::spawn(move || {
            block_on(sample(&ports, &stop, &wrong))
        }));
    }

    /// Waits until so many more transactions are acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: usize) {
        let goal = self.acknowledged.lock().unwrap().len() + count;
        wait_until("the writers to go on", SOON, || {
            self.acknowledged.lock().unwrap().len() >= goal
        });
    }

    /// Ends the writers. Each acknowledged transaction is on the provider, whole and once, and so is nothing else but
    /// those that nobody has answered for.
    #[track_caller]
    pub(crate) fn stop(mut self, hosts: &Hosts, provider: usize) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        assert_eq!(*self.wrong.lock().unwrap(), Vec::<String>::new());
        let acknowledged = self.acknowledged.lock().unwrap();
        assert!(acknowledged.len() > 10, "{}", acknowledged.len());
        let there = hosts.on(
            provider,
            "select coalesce(string_agg(writer || ' ' || n, ',' order by writer, n), '') from written",
        );
        let text = |(writer, n): &(i32, i32)| format!("{writer} {n}");
        let unknown: Vec<String> = self.unknown.lock().unwrap().iter().map(text).collect();
        let wanted: Vec<String> = acknowledged.iter().map(text).collect();
        let there: Vec<&str> = there.split(',').collect();
        let (wanted, unknown): (BTreeSet<&str>, BTreeSet<&str>) = (
            wanted.iter().map(String::as_str).collect(),
            unknown.iter().map(String::as_str).collect(),
        );
        let found: BTreeSet<&str> = there.iter().copied().collect();
        assert_eq!(found.len(), there.len(), "none is there twice");
        let lost: Vec<_> = wanted.difference(&found).collect();
        let more: Vec<_> = found
            .difference(&wanted)
            .filter(|one| !unknown.contains(*one))
            .collect();
        assert!(
            lost.is_empty() && more.is_empty(),
            "lost {lost:?}, from nowhere {more:?}"
        );
        let sums = "select bool_and(c.n = (select count(*) from written w where w.writer = c.writer) \
                        and c.n = (select count(*) from numbered x where x.writer = c.writer)) from counted c";
        assert_eq!(hosts.on(provider, sums), "t");
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

async fn write(
    writer: i32,
    info: &str,
    stop: &AtomicBool,
    (acknowledged, unknown): (&Written, &Written),
    wrong: &Mutex<Vec<String>>,
) {
    let isolation = ["read committed", "repeatable read", "serializable"];
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok((client, connection)) = tokio_postgres::connect(info, NoTls).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let driver = tokio::spawn(connection);
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            let level = isolation[usize::try_from(n % 3).unwrap()];
            // Both orders of tables, and a pause within, so that a fence finds transactions that are half done.
            let mut parts = [
                format!("insert into written values ({writer}, {n})"),
                format!(
                    "insert into counted values ({writer}, 1) on conflict (writer) do update set n = counted.n + 1"
                ),
                format!("insert into numbered (writer) values ({writer})"),
            ];
            if n % 2 == 0 {
                parts.reverse();
            }
            let text = format!(
                "begin isolation level {level}; {}; select pg_sleep(0.002); {}; commit",
                parts[0],
                parts[1..].join("; ")
            );
            match client.batch_execute(&text).await {
                Ok(()) => {
                    acknowledged.lock().unwrap().push((writer, n));
                    // A standby that logs for others takes tick by tick: a busy machine must not fall behind for ever.
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
                // The node is not the provider any more: look for it again.
                Err(error) if error.code().is_some_and(|code| code.code() == "25006") => break,
                // Its server has ended.
                Err(error)
                    if error
                        .code()
                        .is_none_or(|code| code.code().starts_with("57P")) =>
                {
                    unknown.lock().unwrap().push((writer, n));
                    break;
                }
                Err(error) => {
                    wrong.lock().unwrap().push(format!("{error:?} in: {text}"));
                    return;
                }
            }
        }
        driver.abort();
    }
}

/// Looks for two nodes that take writes at one moment. A fence waits for the first one's open transaction, so that what
/// the second one says is of the same moment.
async fn sample(ports: &[u16], stop: &AtomicBool, wrong: &Mutex<Vec<String>>) {
    let mut clients: Vec<Option<Client>> = ports.iter().map(|_| None).collect();
    while !stop.load(Ordering::Relaxed) {
        let mut taking = Vec::new();
        for (client, port) in clients.iter_mut().zip(ports) {
            if client.as_ref().is_none_or(Client::is_closed) {
                *client = writable(*port).await;
            }
            let Some(client) = client else { continue };
            let tried = client.batch_execute("begin; update written set n = n where writer = -1");
            if tried.await.is_ok() {
                taking.push(port);
            }
        }
        for client in clients.iter().flatten() {
            // A server that has ended has nothing open.
            let _ = client.batch_execute("rollback").await;
        }
        if taking.len() > 1 {
            wrong
                .lock()
                .unwrap()
                .push(format!("two nodes take writes: {taking:?}"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A session that writes whatever the database's default is; none while there is no server. It waits for no lock: what
/// it has open on the other node would hold up a fence there.
async fn writable(port: u16) -> Option<Client> {
    let info = format!(
        "host=127.0.0.1 port={port} user=postgres dbname={DB} options='-c default_transaction_read_only=off \
         -c lock_timeout=100ms'"
    );
    let (client, connection) = tokio_postgres::connect(&info, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

fn there_and_back(versions: &[u32], turns: usize) {
    let hosts = Hosts::standbys_of(versions, TABLES);
    let writers = Writers::start(&hosts);
    let nodes = versions.len();
    let mut pauses = Vec::new();
    let mut provider = 0;
    for turn in 0..turns {
        let new = (provider + 1) % nodes;
        wait_can(&hosts, new);
        writers.wait_for_more(20);
        // From any host of the set.
        let verify: &[&str] = if turn == 0 {
            &["--verify", "digest"]
        } else {
            &[]
        };
        let said = switch(&hosts, turn % nodes, new, verify);
        assert_eq!(said["step"], "done", "{said}");
        assert_eq!(
            (&said["old"], &said["new"]),
            (&NAMES[provider].into(), &NAMES[new].into())
        );
        assert_eq!(said["term"], turn + 2, "{said}");
        pauses.push(said["pause_ms"].as_f64().unwrap());
        provider = new;
        writers.wait_for_more(20);
    }
    writers.stop(&hosts, provider);
    for node in 0..nodes {
        if node != provider {
            hosts.assert_same_as(provider, node);
        }
        hosts.wait_in_order(node, &["role", "fence", "operation"]);
    }
    pauses.sort_by(f64::total_cmp);
    let at = |part: usize| pauses[(pauses.len() - 1) * part / 100];
    println!(
        "{turns} switchovers, pause p50 {:.0} ms, p95 {:.0} ms, longest {:.0} ms",
        at(50),
        at(95),
        at(100)
    );
}

#[test]
fn there_and_back_under_load_nothing_is_lost_and_no_two_nodes_take_writes() {
    there_and_back(&[10, 18, 15], 3);
}

#[test]
#[ignore = "etc/test.sh --full"]
fn fifty_times_there_and_back_under_load() {
    there_and_back(&[15, 15], 50);
}

#[test]
fn a_fence_by_hand_stays_what_it_was_and_the_operators_commands_run_around_the_switchover() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLES);
    wait_can(&hosts, 1);
    let port = listening(&hosts, 1);
    wait_until("the port to say that pollux could be it", SOON, || {
        get(port.number(), "/promotable?lag=30").starts_with("HTTP/1.1 200")
    });
    let promotable = |node: usize| command(&hosts, node).run(&["probe", "promotable"]);
    // A database that does not answer in time is unreachable for a moment.
    wait_until("the probe to say so", SOON, || {
        let said = promotable(1);
        said.code == 0 && said.text().ends_with(", ticks behind: 0")
    });
    wait_until("the provider's probe to say no", SOON, || {
        let said = promotable(0);
        said.code == 1 && said.text() == "no: castor: the database is provider"
    });
    let check = |node: usize, what: &str| command(&hosts, node).run(&["check", what]);
    wait_until("check to say so", SOON, || {
        let said = check(1, "promotable");
        said.code == 0 && said.text().contains("ticks behind: 0")
    });
    wait_until("the provider's check to say so", SOON, || {
        let said = check(0, "promotable");
        said.code == 0 && said.text().contains("is provider, and no standby")
    });
    hosts.replays[1].run(&["pause"]).ok();
    wait_until("check to name the pause", SOON, || {
        let said = check(1, "promotable");
        said.code == 1 && said.text().contains("pause")
    });
    hosts.replays[1].run(&["resume"]).ok();
    wait_can(&hosts, 1);
    // Who would be missing is named, and whose consumer holds events for nobody.
    wait_until("check to name the members", SOON, || {
        let said = check(0, "members");
        said.code == 0 && said.text().contains("pollux: standby for ")
    });
    // The replays of both nodes tell castor of pollux.
    let replays = [0, 1].map(|node| hosts.replays[node].running());
    for replay in replays {
        signal(replay, Signal::SIGSTOP);
    }
    // What they had sent before may come late.
    wait_until("check to say who is not heard", SOON, || {
        hosts.on(
            0,
            "update trunkline.member set heard_at = now() - interval '1 min'",
        );
        let said = check(0, "members");
        said.code == 1 && said.text().contains("pollux is not heard for 1 min")
    });
    for replay in replays {
        signal(replay, Signal::SIGCONT);
    }
    wait_until("pollux to be heard", SOON, || check(0, "members").code == 0);
    let file = hosts.scratches[0].path().join("hooks");
    let note = |what: &str| {
        format!(
            "echo \"{what} $TRUNKLINE_QUEUE $TRUNKLINE_OLD $TRUNKLINE_NEW\" >> {}",
            file.display()
        )
    };
    let run = |more: &[&str]| {
        let args = [&["switchover", "q1", "--to", "pollux"], more].concat();
        command(&hosts, 0).run(&args)
    };
    let by_hand = ["fence", "q1", "--reason", "by hand"];
    hosts.operator(0).run(&by_hand).ok();
    // Somebody keeps the promotion from its lock.
    let lock = "lock table trunkline.role in share mode";
    let holder = Session::holding(&hosts.nodes[1], DB, lock);
    run(&["--catch-up", "1"])
        .code(4)
        .says(&["pollux", "castor stays fenced, as it was"]);
    drop(holder);
    assert_eq!(hosts.role(0), "fenced 1");
    hosts.operator(0).run(&["unfence", "q1"]).ok();

    // A command that fails changes nothing.
    run(&["--before", "exit 7", "--after", &note("after")])
        .code(3)
        .says(&["--before", "7", "castor is the provider, as it was"]);
    assert!(!file.exists());
    hosts.on(0, "insert into written values (9, 9)");
    // Somebody who does not end his transaction is waited for, and then ended if that is wanted.
    let writer = Session::holding(&hosts.nodes[0], DB, "insert into written values (8, 8)");
    run(&["--drain", "0.5"])
        .code(4)
        .says(&["table public.written is in use"]);
    drop(writer);
    // What replay did not bring is found before the node takes its first write, and nothing has changed then.
    let behind_replay = |sql: &str| {
        hosts.on(
            1,
            &format!("set local session_replication_role = replica; {sql}"),
        );
    };
    let different = |how: &str, words: &str| {
        run(&["--verify", how]).code(1).says(&[
            "tables differ: public.written",
            words,
            "castor takes writes again",
        ]);
        assert_eq!(hosts.role(0), "provider 1");
    };
    let there = "select count(*) from written where writer = 9";
    wait_until("the row", SOON, || hosts.on(1, there) == "1");
    behind_replay("update written set n = 10 where writer = 9");
    different("digest", "rows on both, of other values");
    behind_replay("delete from written where writer = 9");
    different("counts", "castor 1 rows, pollux 0");
    let said = run(&["--verify", "digest", "--verify-timeout", "0"]).code(4);
    said.says(&["the time is up before table", "castor takes writes again"]);
    behind_replay("insert into written values (9, 9)");
    let writer = Session::holding(&hosts.nodes[0], DB, "insert into written values (8, 8)");
    let hooks = ["--before", &note("before"), "--after", &note("after")];
    let ending = [
        "--drain",
        "0.5",
        "--terminate-writers",
        "--verify",
        "digest",
    ];
    let said = run(&[&hooks[..], &ending].concat())
        .ok()
        .says(&["ended: pid "])
        .stdout;
    drop(writer);
    assert_eq!(
        hosts.on(1, "select count(*) from written where writer = 8"),
        "0"
    );
    assert!(
        said.contains("pollux is the provider of queue q1, writes have waited for "),
        "{said}"
    );
    assert!(
        said.contains("3 tables are the same on castor and pollux, by digest"),
        "{said}"
    );
    let noted = std::fs::read_to_string(&file).unwrap();
    assert_eq!(noted, "before q1 castor pollux\nafter q1 castor pollux\n");
    let events = "select string_agg(event, ',' order by event_id) from trunkline.event where event like 'switchover%'";
    let given_up = "switchover_started,switchover_aborted,".repeat(6);
    assert_eq!(hosts.on(0, events), given_up + "switchover_started");

    // Done is done. A provider that is fenced by hand is switched over, too.
    let again = run(&[]).ok().stdout;
    assert!(
        again.contains("pollux is the provider of queue q1 already"),
        "{again}"
    );
    hosts.wait_role(0, "standby 2");
    wait_can(&hosts, 0);
    hosts.operator(1).run(&by_hand).ok();
    let said = switch(&hosts, 1, 0, &["--verify", "counts"]);
    assert_eq!(said["pause_ms"], Value::Null, "{said}");
    let verified = &said["verified"];
    assert_eq!(
        (&verified["by"], &verified["tables"]),
        (&"counts".into(), &3.into())
    );
    hosts.wait_role(1, "standby 3");
}
