//! Events that the provider has given away are a hole with a reason, and never look like nothing.

use std::fs;

use serde_json::Value;
use tests::{Server, wait_until};

use super::{SOON, assert_whole, frames, made, queue_has, root, running};

#[test]
fn what_the_queue_gave_away_is_a_hole_with_a_reason_and_the_archive_goes_on_behind_it() {
    let replication = made(&Server::debian15(), "", "");
    running(
        &replication,
        "create table t (id int primary key, v text); create table other (id int primary key)",
    );
    replication.replay.run(&["base"]).ok();
    replication.on_provider("insert into t values (1, 'kept')");
    assert_whole(&replication);
    replication.replay.run(&["stop"]).ok();
    replication
        .on_provider("insert into t select g, repeat('x', 500) from generate_series(2, 2000) g");
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'retention_bytes', '8 kB'), \
                pgq.set_queue_config('q1', 'retention_action', 'detach')",
    );
    let ticked = || replication.on_provider("select ev_new from pgq.get_queue_info('q1')") == "0";
    wait_until("a tick with the rows", SOON, ticked);
    replication.on_provider("select pgq.maint_retention('q1')");
    wait_until("the archive to be detached", SOON, || {
        replication.on_provider("select pgq.maint_retention('q1')");
        replication.on_provider("select holder_kind from pgq.get_holder_info()") == "detached"
    });
    replication.on_provider("select pgq.set_queue_config('q1', 'retention_action', 'warn')");
    replication.give_away(|number| {
        replication.on_provider(&format!("insert into t values ({}, 'lost')", 3000 + number));
        replication.on_provider("select pgq.force_tick('q1')");
        wait_until("a tick", SOON, ticked);
    });
    let said = replication.replay.run(&["archive", "check"]).code(1);
    assert!(
        said.stderr.contains("nothing holds the events"),
        "{}",
        said.stderr
    );
    replication.replay.run(&["start", "-d"]).ok();
    replication.wait_log("archive hole");
    replication.on_provider("insert into t values (9999, 'after')");
    let replay = &replication.replay;
    replay.run(&["archive", "switch", "--timeout", "120"]).ok();
    // The chain is whole, and what it lacks is told each time.
    replay.run(&["archive", "verify"]).ok();
    let said = replay.run(&["archive", "check"]).code(1);
    let said = said.stdout + &said.stderr;
    assert!(
        said.contains("chain: OK") && said.contains("holes: 1"),
        "{said}"
    );
    let list: Value =
        serde_json::from_str(&replay.run(&["archive", "list", "--json"]).ok().stdout).unwrap();
    let list = list["stretches"].as_array().unwrap();
    assert_eq!(list.len(), 2, "{list:?}");
    assert_eq!(list[1]["hole"]["after"], list[0]["to"], "{list:?}");
    assert!(
        list.iter().all(|one| one["from_time"].is_string()),
        "{list:?}"
    );
    let why = list[1]["hole"]["why"].as_str().unwrap();
    assert!(why.contains("detached"), "{why}");
    // What is before it comes back, to its last tick; at or behind it nothing does.
    let restore = |db: &str, to: &str| {
        replication.provider.create_db(db);
        let into = replication.provider.socket_conninfo(db);
        replay.run(&["restore", "--into", &into, "--to", to])
    };
    let last = list[1]["hole"]["after"][1].to_string().replace('"', "");
    restore("before", &last).ok();
    assert_eq!(
        replication.provider.psql("before", "select id, v from t"),
        "1|kept"
    );
    restore("behind", "latest")
        .code(3)
        .says(&["events are missing after tick"]);
    let frames = frames(&replication);
    let last = frames
        .iter()
        .flat_map(|frame| &frame.events)
        .last()
        .unwrap();
    assert_eq!(Some(super::as_text(last)), queue_has(&replication).pop());

    // A table that cannot follow is left where it was, and the others go on.
    replay.run(&["base"]).ok();
    replication.on_provider("alter table t alter column v type bytea using convert_to(v, 'UTF8')");
    replication.on_provider("insert into t values (10000, 'x')");
    replication.on_provider("insert into other values (1)");
    replay.run(&["archive", "switch", "--timeout", "120"]).ok();
    restore("aside", "latest")
        .code(1)
        .says(&["not restored: public.t", "column v"]);
    assert_eq!(
        replication.provider.psql("aside", "select id from other"),
        "1"
    );
    replication.assert_clean(&["archive hole", "queue", "consumer"]);

    // A mount point without its disk is no place to begin anew.
    replay.run(&["stop"]).ok();
    replication.on_provider("insert into t values (10001, 'waits')");
    fs::rename(
        root(&replication),
        root(&replication).with_file_name("disk"),
    )
    .unwrap();
    fs::create_dir(root(&replication)).unwrap();
    replay
        .run(&["install"])
        .code(3)
        .says(&["has no archive", "is its disk mounted?"]);
    assert_eq!(fs::read_dir(root(&replication)).unwrap().count(), 0);
}
