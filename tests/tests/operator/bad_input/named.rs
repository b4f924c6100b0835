//! Names that nothing has, or that something else has: said, with what was probably meant (F-S7, F-U2, F-U5, F-U6).

use tests::{Node, Replication};

fn trunkline(replication: &Replication, args: &[&str]) -> tests::Output {
    let mut command = std::process::Command::new(tests::Programs::get().path("trunkline"));
    command.arg("-c").arg(&replication.replay.config).args(args);
    tests::run(&mut command)
}

#[test]
fn s7_what_stands_in_a_table_s_place_on_the_subscriber_is_called_what_it_is() {
    let replication = Replication::builder().make();
    let kinds = [
        ("v", "create view v as select 1 as id", "a view"),
        (
            "m",
            "create materialized view m as select 1 as id",
            "a materialized view",
        ),
        ("s", "create sequence s", "a sequence"),
        (
            "i",
            "create table of_i (id int primary key); create index i on of_i (id)",
            "an index",
        ),
        (
            "ip",
            "create table of_ip (id int primary key) partition by range (id); create index ip on of_ip (id)",
            "a partitioned index",
        ),
        ("c", "create type c as (id int)", "a composite type"),
        ("e", "create type e as enum ('a')", "an enum type"),
        ("d", "create domain d as int", "a domain"),
        (
            "r",
            "create type r as range (subtype = int)",
            "a range type",
        ),
        (
            "f",
            "create extension file_fdw; create server files foreign data wrapper file_fdw; \
             create foreign table f (id int) server files options (filename '/dev/null')",
            "a foreign table",
        ),
    ];
    for (name, make, _) in kinds {
        replication.on_provider(&format!("create table {name} (id int primary key)"));
        replication.on_subscriber(make);
    }
    replication.on_provider("create table good (id int primary key); create sequence q");
    replication.on_subscriber("create table good (id int primary key); create table q (id int)");
    replication.start();
    for (name, _, kind) in kinds {
        replication
            .replay
            .run(&["add", name])
            .code(3)
            .says(&[&format!("public.{name}: is {kind} on the subscriber")]);
    }
    replication
        .replay
        .run(&["add-seq", "q"])
        .code(3)
        .says(&["public.q: is a table on the subscriber"]);
    // So it is where a table is replaced later.
    replication.replay.run(&["add", "good", "--wait"]).ok();
    replication.on_subscriber("drop table good; create view good as select 1 as id");
    replication.on_provider("insert into good values (1)");
    replication.wait_parked("public.good", &["it is a view on the subscriber"]);
    replication.assert_clean(&["table parked table=public.good"]);
}

/// The config with one text in the place of another.
fn reword(node: &Node, from: &str, to: &str) {
    let config = std::fs::read_to_string(&node.config).unwrap();
    assert!(config.contains(from), "{config}");
    std::fs::write(&node.config, config.replace(from, to)).unwrap();
}

#[test]
fn u2_a_wrong_letter_in_the_queue_s_name_is_named_and_makes_nothing() {
    let replication = Replication::running(
        "create table t (id int primary key); create sequence q; insert into t values (1)",
    );
    replication.replay.run(&["stop"]).ok();
    reword(
        &replication.replay,
        "pgq_queue_name = \"q1\"",
        "pgq_queue_name = \"q2\"",
    );
    let words = ["pgq_queue_name is q2, and the position of the subscriber is one in queue q1"];
    for command in [&["install"][..], &["resync", "t"], &["remove", "t"]] {
        let refused = replication.replay.run(command).code(2).says(&words);
        assert!(!refused.stderr.contains("adopt"), "{}", refused.stderr);
    }
    for command in [&["missing"][..], &["add", "t"], &["add-seq", "q"]] {
        replication
            .replay
            .run(command)
            .code(3)
            .says(&["the provider has no queue q2; did you mean q1?"]);
    }
    replication.replay.run(&["start", "-d"]).ok();
    replication.wait_log("pgq_queue_name is q2, and the subscriber's position is one in queue q1");
    assert_eq!(
        replication.on_provider("select string_agg(queue_name, ',') from pgq.queue"),
        "q1",
        "no queue was made"
    );
    replication.replay.run(&["stop"]).ok();
    reword(
        &replication.replay,
        "pgq_queue_name = \"q2\"",
        "pgq_queue_name = \"q1\"",
    );
    replication.replay.run(&["start", "-d"]).ok();
    replication.on_provider("insert into t values (2)");
    replication.assert_followed(&["pgq_queue_name is q2"]);
    // A subscriber without tables may go to another queue; one that is nearly called so is told of.
    replication.replay.run(&["remove", "--all"]).ok();
    replication.replay.run(&["stop"]).ok();
    reword(
        &replication.replay,
        "pgq_queue_name = \"q1\"",
        "pgq_queue_name = \"q2\"",
    );
    let made = replication.replay.run(&["install"]).ok();
    assert!(
        made.stdout
            .contains("provider: queue q2 made; q1 is there, too"),
        "{}",
        made.stdout
    );
}

#[test]
fn u5_a_pattern_that_matches_nothing_is_named_by_every_command() {
    let replication =
        Replication::running("create table t (id int primary key); create sequence s");
    for command in [
        &["add", "ap.*"][..],
        &["add", "t", "ap.*"],
        &["resync", "ap.*"],
        &["remove", "ap.*"],
        &["resume", "ap.*"],
        &["restore-ddl", "ap.*"],
        &["add-seq", "ap.*"],
        &["remove-seq", "ap.*"],
    ] {
        println!("{command:?}");
        replication
            .replay
            .run(command)
            .code(1)
            .says(&["ap.*: matches nothing"]);
    }
    replication
        .replay
        .run(&["add", "--all", "--schema", "nosuch"])
        .code(1)
        .says(&["--schema nosuch: matches nothing"]);
    replication
        .replay
        .run(&["resync", "t*", "--wait", "120"])
        .ok();
    replication.assert_clean(&[]);
}

#[test]
fn u6_a_name_that_is_nearly_right_is_asked_after_wherever_it_is_looked_up() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create schema app; create table app.orders (id int primary key); create sequence app.numbers",
    );
    replication.start();
    replication
        .replay
        .run(&["add", "orders"])
        .code(3)
        .says(&["public.orders: does not exist on the provider; did you mean app.orders?"]);
    replication
        .replay
        .run(&["add", "app.orders", "--wait"])
        .ok();
    replication.replay.run(&["add-seq", "app.numbers"]).ok();
    for command in ["resync", "remove", "resume"] {
        replication
            .replay
            .run(&[command, "app.ordres"])
            .code(3)
            .says(&["app.ordres: is not replicated; did you mean app.orders?"]);
    }
    replication
        .replay
        .run(&["skip", "orders"])
        .code(3)
        .says(&["did you mean app.orders?"]);
    replication
        .replay
        .run(&["remove-seq", "numbers"])
        .code(3)
        .says(&["did you mean app.numbers?"]);
    trunkline(&replication, &["queue", "info", "q2"])
        .code(3)
        .says(&["did you mean q1?"]);
    trunkline(&replication, &["consumer", "unregister", "q1", "repaly1"])
        .code(3)
        .says(&["queue q1 has no consumer repaly1; did you mean replay1?"]);
    replication.assert_clean(&[]);
}
