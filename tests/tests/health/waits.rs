//! Commands that wait or look at several things: they say why, and show what can be shown.

use serde_json::Value;
use tests::{Programs, Replication, Scratch, run, wait_until};

use crate::SOON;

#[test]
fn u8_a_wait_says_that_the_job_is_paused_and_that_nobody_works_on_it() {
    let replication = Replication::running("create table t (id int primary key)");
    let replay = &replication.replay;
    // It asks for its reasons when three seconds are over: in the other two, or on a busy machine not in time.
    let says = |words: &str| {
        wait_until(words, SOON, || {
            let output = replay.run(&["wait", "--timeout", "5"]).code(4);
            output.stderr.contains(words)
        });
    };
    replay.run(&["pause"]).ok();
    replication.wait_log("pause changed");
    replication.on_provider("insert into t values (1)");
    says("waiting: replay: paused (replay resume)");
    replay.run(&["resume"]).ok();
    replay.run(&["stop"]).ok();
    replication.on_provider("insert into t values (2)");
    says("waiting: replay: no daemon works on it (replay start -d)");
    replay.run(&["start", "-d"]).ok();
    replication.sync();
    replication.assert_same();
}

#[test]
fn u14_u16_one_bad_file_hides_no_other_and_an_epoch_is_text() {
    let replication = Replication::running("create table t (id int primary key)");
    let directory = replication.replay.config.parent().unwrap().to_owned();
    std::fs::write(directory.join("bad.toml"), "[replay]\nlog_count = 0\n").unwrap();
    let trunkline = |args: &[&str]| {
        let mut command = std::process::Command::new(Programs::get().path("trunkline"));
        run(command.arg("-c").arg(&directory).args(args))
    };
    let status = trunkline(&["status", "--json"])
        .code(2)
        .says(&["bad.toml:2"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let subscriber = &status["replays"][0]["subscribers"][0];
    assert_eq!(status["tickers"].as_array().unwrap().len(), 1);
    let epoch = replication.on_subscriber("select epoch from trunkline.position");
    assert_eq!(subscriber["epoch"], epoch.as_str());
    wait_until("all but the file to be in order", SOON, || {
        let check = trunkline(&["check"]);
        check.code == 3
            && check.stdout.matches("bad.toml").count() >= 1
            && check.stdout.contains("OK replication replay1")
            && check.stdout.contains("OK ticker db1/q1")
    });
    // Commands that change something want all files to be right.
    trunkline(&["queue", "list"]).code(2);
    let alone = Scratch::new();
    let file = alone.file("bad.toml", "[ticker]\n");
    let mut command = std::process::Command::new(Programs::get().path("trunkline"));
    run(command.arg("-c").arg(&file).arg("status"))
        .code(2)
        .says(&["job_name"]);
}

#[test]
fn u17_the_indexes_that_are_to_be_built_after_a_copy_are_counted() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.replay.run(&["stop"]).ok();
    // As a copy leaves it whose rows are in: one of three indexes is built.
    replication.on_subscriber(
        "update trunkline.table_state s set state = 'in-copy', tick_id = p.tick_id, tick_tag = p.tick_tag,
                copied_snapshot = '1:1:', copied_tick_id = p.tick_id, copied_tick_tag = p.tick_tag
           from trunkline.position p;
         insert into trunkline.kept_ddl (consumer, schema_name, table_name, kind, name, on_schema, on_table, bytes, build, attach)
         select 'replay1', 'public', 't', 'index', 'i' || g, 'public', 't', 1,
                case g when 1 then '{}' else array['select 1'] end, array['select 1'] from generate_series(1, 3) g",
    );
    let said = replication.replay.run(&["tables", "--json"]).ok().stdout;
    let tables: Value = serde_json::from_str(&said).unwrap();
    let count = |name: &str| tables[0][name].as_i64();
    assert_eq!(
        (count("objects_left"), count("objects")),
        (Some(2), Some(3)),
        "{said}"
    );
    let tree = replication.replay.run(&["status"]).code(5).stdout;
    assert!(
        tree.contains("2 of 3 indexes and constraints to build"),
        "{tree}"
    );
}
