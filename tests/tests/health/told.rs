//! Troubles in log and status: by their class, with the right side named, and again when they come again.

use tests::{Cluster, Replication, Server, wait_until};

use crate::SOON;

/// A replication whose ticker and replay give a password to the provider.
fn with_password() -> Replication {
    let server = Server::debian15();
    let replication = Replication::builder()
        .provider(Cluster::builder(&server).host_auth("scram-sha-256"))
        .make();
    replication.on_provider("alter role postgres password 'right'");
    let port = format!("port={} ", replication.provider.port());
    for node in [&replication.ticker, &replication.replay] {
        let config = std::fs::read_to_string(&node.config).unwrap();
        let with = config.replace(&port, &format!("{port}password=right "));
        std::fs::write(&node.config, with).unwrap();
    }
    replication.everywhere("create table t (id int primary key)");
    replication.start();
    replication.add_all();
    replication
}

/// The ERROR lines of a log that hold all of these words.
fn errors(log: &str, words: &[&str]) -> usize {
    log.lines()
        .filter(|line| line.split(' ').nth(1) == Some("ERROR"))
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .count()
}

#[test]
fn h4_h5_a_wrong_password_is_an_error_of_both_daemons_each_time_that_it_comes() {
    let replication = with_password();
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'trunkline%'";
    for time in 1..=2 {
        replication.on_provider(&format!("alter role postgres password 'other'; {end}"));
        for (node, message) in [
            (&replication.ticker, "database failed, trying again"),
            (&replication.replay, "subscriber stopped"),
        ] {
            let words = [message, "28P01"];
            wait_until("an error line", SOON, || {
                errors(&node.log(), &words) >= time
            });
        }
        let stored = "select last_error like '%28P01%' and last_error_advice like '%password%' from trunkline.position";
        wait_until("the stored error", SOON, || {
            replication.on_subscriber(stored) == "t"
        });
        replication.on_provider(&format!(
            "alter role postgres password 'right'; insert into t values ({time})"
        ));
        wait_until("the row", SOON, || {
            replication.on_subscriber("select max(id) from t") == time.to_string()
        });
        wait_until("no stored error", SOON, || {
            replication.on_subscriber(
                "select last_error is null and last_error_advice is null from trunkline.position",
            ) == "t"
        });
        // Once each time, however often it is tried.
        assert_eq!(
            errors(&replication.replay.log(), &["subscriber stopped", "28P01"]),
            time
        );
    }
    replication.assert_followed(&[
        "28P01",
        "terminating connection",
        "connection closed",
        "connect",
    ]);
}

#[test]
fn h6_a_column_that_cannot_be_read_is_a_bug_and_no_passing_trouble() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.on_subscriber("alter table trunkline.position alter conflicts type text");
    wait_until("the error", SOON, || {
        errors(
            &replication.replay.log(),
            &["subscriber stopped", "could not read", "report it"],
        ) == 1
    });
    replication.on_subscriber(
        "alter table trunkline.position alter conflicts type bigint using conflicts::bigint",
    );
    replication.on_provider("insert into t values (1)");
    replication.assert_followed(&["subscriber stopped", "table tasks wait", "subscriber waits"]);
}

#[test]
fn h8_what_happened_on_the_provider_is_not_blamed_on_the_subscriber() {
    let replication = Replication::running(
        "create table t (id int primary key); create table k (id int primary key)",
    );
    replication.on_provider("drop table t");
    let parked = replication.wait_parked("public.t", &["was dropped on the provider"]);
    assert!(
        !parked["error"].as_str().unwrap().contains("subscriber"),
        "{parked}"
    );
    replication
        .on_subscriber("alter table k drop constraint k_pkey; alter table k rename id to other");
    replication.on_provider("insert into k values (1)");
    replication.wait_parked(
        "public.k",
        &["the subscriber's table does not take its rows"],
    );
}
