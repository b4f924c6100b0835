//! An archive beside a database: the commands take it as a subscriber, and refuse what it cannot do.

use serde_json::Value;
use tests::{Replication, Server, wait_until, wait_value};

use super::{SOON, add_archive, assert_whole, column, frames, made};

#[test]
fn an_archive_is_added_to_listed_and_removed_from_like_any_subscriber() {
    let replication = Replication::builder().make();
    add_archive(&replication, "");
    replication
        .everywhere("create table t (id serial primary key); create table u (id int primary key)");
    replication.start();
    let replay = &replication.replay;
    replay
        .run(&[
            "add",
            "--subscriber",
            "backup",
            "public.t",
            "--where",
            "id > 5",
        ])
        .code(2)
        .says(&["backup is an archive"]);
    let said = replay
        .run(&["add", "public.t", "--with-seqs", "--wait", "120"])
        .ok()
        .stdout;
    assert!(said.contains("public.t added into backup"), "{said}");
    assert!(said.contains("public.t_id_seq added into backup"), "{said}");
    replay
        .run(&["add", "--subscriber", "backup", "public.u"])
        .ok();
    let mut tables: Vec<String> = replay
        .run(&["tables"])
        .ok()
        .stdout
        .lines()
        .map(str::to_owned)
        .collect();
    tables.sort();
    assert_eq!(
        tables,
        [
            "Table State Subscriber",
            "public.t archived backup",
            "public.t ok -",
            "public.u archived backup",
        ]
    );
    replication.on_provider("insert into t default values; insert into u values (1)");
    replication.sync();
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
    assert_whole(&replication);
    let tables_of = |frames: Vec<super::Frame>| -> Vec<String> {
        let events = frames.into_iter().flat_map(|frame| frame.events);
        events
            .filter(|event| column(event, "ev_type") == "trunkline.1.rows")
            .map(|event| column(&event, "ev_extra1").to_owned())
            .collect()
    };
    assert_eq!(tables_of(frames(&replication)), ["public.t", "public.u"]);
    let archive = wait_value("the archive to be level", SOON, || {
        let said = replay.run(&["status", "--json"]).ok().stdout;
        let status: Value = serde_json::from_str(&said).unwrap();
        let archive = status["subscribers"][1].clone();
        (archive["state"] == "level").then_some(archive)
    });
    assert_eq!(archive["name"], "backup");
    assert_eq!(archive["tables"]["archived"], 2, "{archive}");
    assert!(archive["tick"].is_i64(), "{archive}");
    for refused in [
        &["pause", "--subscriber", "backup"][..],
        &["resync", "--all", "--subscriber", "backup"],
        &["skip", "public.t", "--subscriber", "backup"],
    ] {
        replay.run(refused).code(2);
    }
    replay
        .run(&["remove", "--subscriber", "backup", "public.u"])
        .ok();
    replay.run(&["remove", "public.t"]).ok();
    assert_eq!(
        replication.on_provider("select count(*) from trunkline.captured"),
        "0"
    );
    replication.assert_clean(&[]);
}

#[test]
fn auto_add_adds_new_tables_to_an_archive_that_is_alone() {
    let replication = made(
        &Server::debian15(),
        "auto_add = [\"public.*\", \"!public.u\"]",
        "",
    );
    replication.on_provider("create table t (id int primary key)");
    replication.start();
    let replay = &replication.replay;
    wait_until("the table that was there", SOON, || {
        replication.state("public.t") == "archived"
    });
    replication
        .on_provider("create table u (id int primary key); create table w (id int primary key)");
    wait_until("the table that came", SOON, || {
        replication.state("public.w") == "archived"
    });
    assert_eq!(replication.state("public.u"), "unknown");
    replay
        .run(&["remove", "public.w"])
        .ok()
        .says(&["auto_add adds it again"]);
    wait_until("the table again", SOON, || {
        replication.state("public.w") == "archived"
    });
    let missing = replay.run(&["missing"]).ok().stdout;
    assert_eq!(missing, "public.u\n");
    replay
        .run(&["pause"])
        .code(2)
        .says(&["backup is an archive"]);
    assert_whole(&replication);
    replication.assert_clean(&[]);
}
