//! Servers and sessions that go away under load: stopped, crashed, terminated
//! (FA-04 to FA-08). What was not told to be committed may be either; both
//! sides must be the same.

use std::time::{Duration, Instant};

use tests::{Cluster, Replication, Server, Stop, Transfers};

/// What the logs may say of a server that went away: each a WARN of ours, for
/// the operator to see, until it is back.
const AWAY: &[&str] = &[
    "connection",
    "connect",
    "unreachable",
    "terminat",
    "shut",
    "starting up",
    "recovery",
];

/// A crash must lose nothing that was told to be committed.
fn durable() -> Replication {
    let server = Server::debian15();
    let replication = Replication::builder()
        .provider(Cluster::builder(&server).durable())
        .subscribers(vec![Cluster::builder(&server).durable()])
        .make();
    Transfers::create(&replication.provider, replication.db());
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Provider,
    Subscriber,
    Both,
}

fn crash_and_compare(who: Who) {
    let replication = durable();
    let reader = Transfers::read(&replication.subscribers[0], replication.db());
    let load = replication.load(3, Duration::from_millis(3), &Transfers::writes());
    for round in 0..4 {
        load.wait_for_more(200);
        let clusters = match who {
            Who::Provider => vec![&replication.provider],
            Who::Subscriber => vec![&replication.subscribers[0]],
            Who::Both => vec![&replication.provider, &replication.subscribers[0]],
        };
        for cluster in &clusters {
            if round % 2 == 0 {
                cluster.stop(Stop::Immediate);
            } else {
                cluster.kill9();
            }
        }
        for cluster in &clusters {
            cluster.start_again();
        }
    }
    load.wait_for_more(200);
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.sync();
    reader.stop().unwrap();
    replication.assert_same();
    replication.assert_clean(AWAY);
    replication.ticker.running();
    replication.replay.running();
}

#[test]
fn the_provider_crashes_under_load_and_nothing_is_lost() {
    crash_and_compare(Who::Provider);
}

#[test]
fn the_subscriber_crashes_under_load_and_nothing_is_lost() {
    crash_and_compare(Who::Subscriber);
}

#[test]
fn both_servers_crash_under_load_and_nothing_is_lost() {
    crash_and_compare(Who::Both);
}

#[test]
fn every_session_of_ticker_and_replay_may_be_terminated() {
    let replication = durable();
    let reader = Transfers::read(&replication.subscribers[0], replication.db());
    let load = replication.load(2, Duration::from_millis(3), &Transfers::writes());
    let end = |cluster: &Cluster, how: &str| {
        cluster.psql(
            replication.db(),
            &format!(
                "select count({how}(pid)) from pg_stat_activity \
                 where application_name like 'trunkline%' and pid <> pg_backend_pid()"
            ),
        )
    };
    let mut ended = 0;
    for round in 0..12 {
        load.wait_for_more(60);
        let how = ["pg_terminate_backend", "pg_cancel_backend"][round % 2];
        for cluster in [&replication.provider, &replication.subscribers[0]] {
            ended += end(cluster, how).parse::<u32>().unwrap();
        }
    }
    assert!(
        ended > 12,
        "sessions are named `trunkline ...`: {ended} were found"
    );
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.sync();
    reader.stop().unwrap();
    replication.assert_same();
    replication.ticker.running();
    replication.replay.running();
}

#[test]
fn fa_08_a_fast_stop_of_the_provider_does_not_wait_for_us() {
    let replication = durable();
    let started = Instant::now();
    replication.provider.stop(Stop::Fast);
    println!("the provider stopped in {:?}", started.elapsed());
    // A session of ours that kept it from stopping would do so until its own time limit, a minute; a checkpoint on a
    // slow disk takes seconds.
    assert!(started.elapsed() < Duration::from_secs(40));
    replication.provider.start_again();
    replication.sync();
}
