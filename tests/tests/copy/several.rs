//! Several at work on one subscriber: a second process of the same job, and a second job.

use tests::{Cluster, Daemons, Node, Replication, Scratch, Session, configure, wait_until};

use crate::{SOON, catalog::CATALOG, ddl::same_lines};

/// A table of several parts with key and index.
const LARGE: &str = "\
    create table t (id int primary key, v text, n int); create index t_n on t (n); \
    insert into t select i, repeat('v', 100), i from generate_series(1, 250000) i";

/// Holds back one part of a table's copy, until the session is dropped.
fn holding_a_part(replication: &Replication, consumer: &str, part: u32) -> Session {
    Session::holding(
        &replication.subscribers[0],
        replication.db(),
        &format!("insert into trunkline.copied_range values ('{consumer}', 'public', 't', {part})"),
    )
}

#[test]
fn a_second_process_of_the_job_waits_and_takes_over_in_the_middle_of_a_copy() {
    let replication = Replication::builder().make();
    replication.on_provider(LARGE);
    replication.copy_schema();
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    // The same job from another host: files of its own.
    let text = std::fs::read_to_string(&replication.replay.config).unwrap();
    let text = text.replace("%(job_name)s.", "second.");
    let config = replication.scratch.file("etc/second.toml", &text);
    let second = Node::new("replay", &replication.scratch, &config, "second");
    let _daemons = Daemons(vec![second.clone()]);
    second.run(&["start", "-d"]).ok();
    wait_until("the second to wait", SOON, || {
        second.log().contains("standby")
    });
    let (mut working, mut waiting) = (&replication.replay, &second);
    for round in 0..3 {
        println!("round {round}");
        let held = holding_a_part(&replication, "replay1", 1);
        replication
            .replay
            .run(if round == 0 {
                &["add", "t"]
            } else {
                &["resync", "t"]
            })
            .ok();
        wait_until("a part to be in, and one to be held", SOON, || {
            replication.on_subscriber(
                "select (select count(*) from trunkline.copied_range) > 0 and count(*) > 0 from pg_stat_activity \
                  where application_name like 'trunkline copy-in%' and wait_event_type = 'Lock'",
            ) == "t"
        });
        replication.on_provider(&format!(
            "update t set n = n + 1 where id % 1000 = {round}; delete from t where id % 1000 = 500 + {round}"
        ));
        working.kill9();
        drop(held);
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        same_lines(&before, &replication.on_subscriber(CATALOG));
        working.run(&["start", "-d"]).ok();
        std::mem::swap(&mut working, &mut waiting);
    }
    tests::assert_clean(&replication.replay.logfile, &[]);
    tests::assert_clean(&second.logfile, &[]);
}

#[test]
fn two_jobs_copy_into_one_database_whose_providers_number_their_tables_alike() {
    // Two providers made in the same way: their tables have the same numbers.
    let replication = Replication::builder().make();
    let other = Cluster::start();
    other.create_db(replication.db());
    let scratch = Scratch::new();
    let subscriber = &replication.subscribers[0];
    let (ticker, replay) = configure(&scratch, replication.db(), &other, &[subscriber], "", "");
    let text = std::fs::read_to_string(&replay.config).unwrap();
    std::fs::write(&replay.config, text.replace("replay1", "replay2")).unwrap();
    let replay = Node::new("replay", &scratch, &replay.config, "replay2");
    let _daemons = Daemons(vec![replay.clone(), ticker.clone()]);
    replication.on_provider(LARGE);
    other.psql(
        replication.db(),
        &LARGE
            .replace("table t", "table u")
            .replace("on t", "on u")
            .replace("into t", "into u")
            .replace("t_n", "u_n"),
    );
    let number = |cluster: &Cluster, table: &str| {
        cluster.psql(
            replication.db(),
            &format!("select '{table}'::regclass::oid"),
        )
    };
    assert_eq!(number(&replication.provider, "t"), number(&other, "u"));
    replication.on_subscriber(
        "create table t (id int primary key, v text, n int); create index t_n on t (n); \
         create table u (id int primary key, v text, n int); create index u_n on u (n)",
    );
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    ticker.run(&["install"]).ok();
    ticker.run(&["start", "-d"]).ok();
    replay.run(&["install"]).ok();
    replay.run(&["start", "-d"]).ok();
    let same = || {
        replay.run(&["wait", "--timeout", "120"]).ok();
        replication.sync();
        for (provider, table) in [(&replication.provider, "public.t"), (&other, "public.u")] {
            tests::same(
                (provider, replication.db()),
                (subscriber, replication.db()),
                table,
            );
        }
    };
    // Both at once, in each way.
    replication.replay.run(&["add", "t"]).ok();
    replay.run(&["add", "u"]).ok();
    same();
    for swap in [true, false] {
        other.psql(
            replication.db(),
            "update u set v = 'other' where id % 3 = 0",
        );
        let args = |table| {
            if swap {
                vec!["resync", table, "--swap"]
            } else {
                vec!["resync", table]
            }
        };
        // One is held in the middle while the other one begins, and ends.
        let held = holding_a_part(&replication, "replay1", 1);
        replication.replay.run(&args("t")).ok();
        wait_until("a part to be in", SOON, || {
            replication.on_subscriber(
                "select count(*) > 0 from trunkline.copied_range where consumer = 'replay1'",
            ) == "t"
        });
        replay.run(&args("u")).ok();
        replay.run(&["wait", "--timeout", "120"]).ok();
        drop(held);
        same();
    }
    same_lines(&before, &replication.on_subscriber(CATALOG));
    replication.assert_clean(&[]);
    tests::assert_clean(&replay.logfile, &[]);
}
