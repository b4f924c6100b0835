//! Subscribers that take over from their provider, and subscribers that were put back
//! (SQ-01, SQ-02, FA-22).

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tests::{Cluster, Replication, Stop, Writes, wait_until};

use crate::SOON;

/// One of each kind, and how often each is called on the provider.
const COUNTED: [(&str, &str, u32); 8] = [
    ("up", "", 700),
    ("down", "increment -3 minvalue -2147483648 start -1", 700),
    ("to_the_end", "as int start 2147483600", 44),
    ("low", "increment -1 minvalue -20 maxvalue -1 start -1", 15),
    ("round", "minvalue 1 maxvalue 30 cycle", 65),
    ("largest", "start 9223372036854775000 increment 100", 7),
    ("\"a.periodic.sequence\"", "cache 20", 100),
    ("\"regress'quote\"", "start 42", 0),
];

#[test]
fn sq_01_sequences_of_every_kind_are_kept_a_bounded_step_ahead_and_exact_when_asked() {
    let replication = Replication::builder().make();
    for (name, counts, _) in COUNTED {
        replication.on_provider(&format!("create sequence {name} {counts}"));
    }
    replication.on_provider("create table t (id int primary key)");
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication.replay.run(&["add-seq", "--all"]).ok();
    let state = |name: &str, on: &dyn Fn(&str) -> String| {
        on(&format!(
            "select s.last_value || ' ' || s.is_called || ' ' || increment_by || ' ' || min_value || ' ' || max_value || ' ' || cycle \
             from {name} s, pg_sequences where quote_ident(sequencename) = '{}'",
            name.replace('\'', "''")
        ))
    };
    let on_provider = |sql: &str| replication.on_provider(sql);
    let on_subscriber = |sql: &str| replication.on_subscriber(sql);
    for part in 1..=3_u32 {
        for (name, _, calls) in COUNTED {
            let name = name.replace('\'', "''");
            replication.on_provider(&format!(
                "select count(nextval('{name}')) from generate_series(1, {})",
                calls * part / 3 - calls * (part - 1) / 3
            ));
        }
        replication.on_provider(&format!("insert into t values ({part})"));
        replication.sync();
        for (name, ..) in COUNTED {
            let (here, there) = (state(name, &on_provider), state(name, &on_subscriber));
            let numbers = |text: &str| -> Vec<i128> {
                text.split(' ')
                    .filter_map(|word| word.parse().ok())
                    .collect()
            };
            let (from, to) = (numbers(&here), numbers(&there));
            let steps = (to[0] - from[0]) / from[1];
            let left = if from[1] > 0 {
                from[3] - from[0]
            } else {
                from[0] - from[2]
            } / from[1].abs();
            if here.split(' ').nth(1) == Some("false") || here.ends_with("true") {
                assert_eq!(here, there, "{name} was not called, or cycles");
            } else {
                let most = 1000.min(left / 2);
                assert!(
                    ((most + 1) / 2..=most).contains(&steps) && (to[2]..=to[3]).contains(&to[0]),
                    "{name}: {here} on the provider, {there} on the subscriber"
                );
            }
        }
    }
    // What the provider gave out last, and nobody has carried over, is not given out again.
    replication.replay.kill9();
    let unseen = replication.on_provider("select max(nextval('up')) from generate_series(1, 400)");
    let next = replication.on_subscriber("select nextval('up')");
    assert!(next.parse::<i64>().unwrap() > unseen.parse::<i64>().unwrap());
    // One that goes back on the provider does so here.
    replication.on_provider("select setval('down', -1), setval('low', -2, false)");
    replication.replay.run(&["seqs", "--sync"]).ok();
    for (name, ..) in COUNTED {
        assert_eq!(
            state(name, &on_provider),
            state(name, &on_subscriber),
            "{name}"
        );
    }
    // So they stay when the daemon comes back, until the provider goes on.
    replication.replay.run(&["start", "-d"]).ok();
    replication.on_provider("select nextval('down')");
    wait_until("the sequence that goes on to be ahead again", SOON, || {
        replication.on_subscriber("select last_value from down") == "-3004"
    });
    assert_eq!(state("low", &on_provider), state("low", &on_subscriber));
    replication.assert_clean(&[]);
}

#[test]
fn sq_02_a_promoted_subscriber_gives_out_no_key_that_a_row_holds() {
    let replication = Replication::running(
        "create table t (id bigserial primary key, v text); \
         create table down (id int primary key, v text); \
         create sequence \"regress'quote\" as int increment -7 minvalue -2147483648 maxvalue 2147483647 start 2147483647; \
         create table cached (id int primary key, v text); create sequence \"a.periodic.sequence\" cache 50 increment 3",
    );
    replication.replay.run(&["add-seq", "--all"]).ok();
    let load = replication.load(
        4,
        Duration::from_millis(2),
        &(Arc::new(|_: &mut rand::rngs::StdRng, number: u64| {
            match number % 3 {
                0 => "insert into t (v) select 'x' from generate_series(1, 5)",
                1 => "insert into down values (nextval('\"regress''quote\"'), 'x')",
                _ => "insert into cached values (nextval('\"a.periodic.sequence\"'), 'x')",
            }
            .to_owned()
        }) as Writes),
    );
    for _ in 0..3 {
        load.wait_for_more(150);
        // At every moment, not only at the end.
        for (table, sequence) in [
            ("t", "t_id_seq"),
            ("down", "\"regress''quote\""),
            ("cached", "\"a.periodic.sequence\""),
        ] {
            let ahead = if table == "down" { "<= min" } else { ">= max" };
            let name = sequence.replace("''", "'");
            assert_eq!(
                replication.on_subscriber(&format!(
                    "select ((select last_value from {name}) {ahead}(id)) is not false from {table}"
                )),
                "t",
                "{table}"
            );
        }
    }
    for table in ["t", "down", "cached"] {
        wait_until("rows of each table", SOON, || {
            replication.on_subscriber(&format!("select count(*) > 20 from {table}")) == "t"
        });
    }
    // The provider dies, replay ends, and the subscriber takes over.
    replication.provider.kill9();
    let _ = load.stop();
    replication.replay.kill9();
    for (table, sequence) in [
        ("t", "t_id_seq"),
        ("down", "\"regress''quote\""),
        ("cached", "\"a.periodic.sequence\""),
    ] {
        replication.on_subscriber(&format!(
            "insert into {table} select nextval('{sequence}'), 'ours' from generate_series(1, 500)"
        ));
    }
}

/// A copy of a stopped server's files.
fn files(cluster: &Cluster, to: &std::path::Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(cluster.data())
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

fn put_back(cluster: &Cluster, from: &std::path::Path) {
    cluster.stop(Stop::Fast);
    std::fs::remove_dir_all(cluster.data()).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(cluster.data())
        .status();
    assert!(copied.unwrap().success());
    cluster.start_again();
}

#[test]
fn fa_22_a_subscriber_from_an_older_backup_goes_on_while_the_queue_has_what_it_lacks() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); insert into t select i, 'v' from generate_series(1, 1000) i",
    );
    let backup = replication.scratch.dir("backups").join("s");
    let subscriber = &replication.subscribers[0];
    replication.replay.run(&["stop"]).ok();
    let kept_tick = replication.on_subscriber("select tick_id from trunkline.position");
    subscriber.stop(Stop::Fast);
    files(subscriber, &backup);
    subscriber.start_again();
    replication.replay.run(&["start", "-d"]).ok();
    for round in 0..5 {
        replication.on_provider(&format!(
            "update t set v = 'round {round}' where id % 5 = {round}; insert into t values (2000 + {round}, 'new'); \
             delete from t where id = {round} + 1"
        ));
        replication.sync();
    }
    // Under a running replay, which knows what it had committed.
    put_back(subscriber, &backup);
    replication.on_provider("insert into t values (3000, 'after')");
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    let allowed = [
        "subscriber waits",
        "table tasks wait",
        "a table's task waits",
    ];
    replication.assert_clean(&allowed);

    // Once what it lacks is gone from the queue, it stops and says so.
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'rotation_period', '1 second'); insert into t values (3001, 'x')",
    );
    replication.sync();
    let rotated = || {
        replication.on_provider("update t set v = v || '.' where id = 3001");
        replication.sync();
        replication.on_provider("select pgq.maint_rotate_tables_step1('q1')");
        replication.on_provider("select pgq.maint_rotate_tables_step2()");
        replication.on_provider("select pgq.maint_reclaim_ticks('q1')");
        std::thread::sleep(Duration::from_millis(1100));
    };
    wait_until("the queue to forget what the backup lacks", SOON, || {
        rotated();
        let oldest = replication.on_provider("select min(tick_id) from pgq.tick");
        oldest.parse::<i64>().unwrap() > kept_tick.parse::<i64>().unwrap()
    });
    replication.replay.run(&["stop"]).ok();
    put_back(subscriber, &backup);
    replication.replay.run(&["start", "-d"]);
    replication.wait_log("subscriber stopped");
    // What stands in the log is stored afterwards.
    wait_until("the lost position to be told", SOON, || {
        let said = replication.replay.run(&["status", "--json"]).stdout;
        said.contains("nothing was applied")
    });
    let rows = replication.on_subscriber("select count(*) from t");
    assert_eq!(rows, "1000", "nothing is applied across the gap");
}

#[test]
fn s5_a_sequence_that_was_set_exactly_stays_so_until_the_provider_goes_on() {
    let replication = Replication::running(
        "create table t (id serial primary key); create sequence other; insert into t select from generate_series(1, 10); \
         select nextval('other') from generate_series(1, 7)",
    );
    replication.replay.run(&["add-seq", "--all"]).ok();
    replication.sync();
    let values =
        "select (select last_value from t_id_seq) || ' ' || (select last_value from other)";
    wait_until("the sequences to be ahead", SOON, || {
        replication.on_subscriber(values) == "1010 1007"
    });
    replication.replay.run(&["seqs", "--sync"]).ok();
    // Under a running daemon, after its restart, after a kill, and over batches.
    replication.on_provider("insert into t values (1000)");
    replication.sync();
    assert_eq!(replication.on_subscriber(values), "10 7");
    for end in ["restart", "kill -9"] {
        if end == "restart" {
            replication.replay.run(&["restart"]).ok();
        } else {
            replication.replay.kill9();
            replication.replay.run(&["start", "-d"]).ok();
        }
        replication.on_provider("update t set id = id + 1 where id >= 1000");
        replication.sync();
        assert_eq!(replication.on_subscriber(values), "10 7", "{end}");
    }
    // What the subscriber has given out itself is not given out again.
    replication.on_subscriber("select nextval('other')");
    replication.replay.run(&["restart"]).ok();
    replication.on_provider("select nextval('t_id_seq')");
    wait_until("the sequence that goes on to be ahead", SOON, || {
        replication.on_subscriber(values) == "1011 8"
    });
    replication.assert_clean(&[]);
}

#[test]
fn s4_a_sequence_that_could_not_be_set_is_set_when_the_cause_is_gone() {
    let replication = Replication::running(
        "create table t (id serial primary key); insert into t select from generate_series(1, 10)",
    );
    replication.replay.run(&["add-seq", "--all"]).ok();
    let value = "select last_value from t_id_seq";
    wait_until("the sequence to be ahead", SOON, || {
        replication.on_subscriber(value) == "1010"
    });
    for (breaks, mends) in [
        (
            "alter sequence t_id_seq rename to gone",
            "alter sequence gone rename to t_id_seq",
        ),
        (
            "select setval('t_id_seq', 1); alter sequence t_id_seq maxvalue 20",
            "alter sequence t_id_seq no maxvalue",
        ),
    ] {
        replication.on_subscriber(breaks);
        let moved =
            replication.on_provider("select max(nextval('t_id_seq')) from generate_series(1, 600)");
        replication.sync();
        wait_until("the sequence to be broken", SOON, || {
            replication.on_subscriber("select error is not null from trunkline.sequence_state")
                == "t"
        });
        // Nothing but this tells that the cause is gone.
        replication.on_subscriber(mends);
        let expected = (moved.parse::<i64>().unwrap() + 1000).to_string();
        wait_until("the sequence to be ahead", SOON, || {
            replication.on_subscriber(value) == expected
        });
    }
    wait_until("no error to be stored", SOON, || {
        replication.on_subscriber("select count(error) from trunkline.sequence_state") == "0"
    });
    replication.assert_clean(&["sequence cannot be set"]);
}
