//! A restored database goes on as a subscriber, to which the provider has never copied anything.

use std::process::Stdio;

use tests::{Cluster, Replication, Server, Session, wait_until};

use super::{
    SOON, add_archive, assert_whole, base::newest, queue::tick, restore::with_damaged, root,
};

const RESTORE: [&str; 5] = ["restore", "--into", "subscriber", "--then", "subscribe"];

/// A provider with an archive, and a subscriber without any table.
fn archived() -> Replication {
    let server = Server::debian15();
    let replication = Replication::builder()
        .provider(Cluster::builder(&server))
        .subscribers(vec![Cluster::builder(&server)])
        .replay_line("archive_sources = [\"backup\"]")
        .make();
    add_archive(&replication, "segment_every = 0.5");
    replication.on_provider(
        "create table t (id bigserial primary key, v text); create table u (id int primary key, v text); \
         create table gone (id int primary key)",
    );
    replication.start();
    let add = ["add", "--subscriber", "backup", "--all", "--with-seqs"];
    replication.replay.run(&add).ok();
    replication
        .on_provider("insert into t (v) select md5(i::text) from generate_series(1, 2000) i");
    replication.replay.run(&["base", "--from", "provider"]).ok();
    replication.on_provider("insert into t (v) values ('behind'); insert into u values (1, 'one')");
    assert_whole(&replication);
    replication
}

fn refused(replication: &Replication) {
    let replay = &replication.replay;
    let conninfo = replication.subscribers[0].socket_conninfo(replication.db());
    for (args, words) in [
        (
            &["--into", "subscriber", "--to", "5"][..],
            "no --to, no --table",
        ),
        (
            &["--into", "subscriber", "--table", "public.t"],
            "no --to, no --table",
        ),
        (&["--into", &conninfo], "names the subscriber of the config"),
    ] {
        let args = [&["restore", "--then", "subscribe"], args].concat();
        replay.run(&args).code(2).says(&[words]);
    }
}

#[test]
fn a_restored_database_goes_on_as_a_subscriber_from_the_archive_and_then_the_queue() {
    let replication = archived();
    let replay = &replication.replay;
    refused(&replication);
    // The restore breaks off, and the queue gives away what follows the tick that it is to reach.
    let manifest = newest(&replication);
    let base = root(&replication)
        .join("bases")
        .join(manifest["base"].as_str().unwrap());
    let mut tables = manifest["tables"].as_array().unwrap().iter();
    let of_t = tables.find(|table| table["name"] == "t").unwrap();
    let part = base.join(of_t["parts"][0]["path"].as_str().unwrap());
    with_damaged(&part, || {
        replay.run(&RESTORE).code(3);
    });
    // One that nobody can go on with ends as a database of its own.
    let stop = ["restore", "--into", "subscriber", "--then", "stop"];
    replay.run(&stop).ok();
    assert_eq!(
        replication.on_subscriber("select count(*) from u"),
        replication.on_provider("select count(*) from u")
    );
    replication.on_subscriber("drop table t, u, gone");
    with_damaged(&part, || {
        replay.run(&RESTORE).code(3);
    });
    // Nobody else fills what it is making.
    let said = replay.run(&["add", "public.u"]);
    assert!(said.stderr.contains("#restore"), "{}", said.stderr);
    // What comes to the archive from here on is in no frame that the restore reads.
    replication.on_provider("create table n (id int primary key)");
    replay
        .run(&["add", "--subscriber", "backup", "public.n"])
        .ok();
    replay
        .run(&["remove", "--subscriber", "backup", "public.gone"])
        .ok();
    replay
        .run(&["restore", "--into", "subscriber"])
        .code(3)
        .says(&["another restore has begun", "--then subscribe"]);
    replication.give_away(|number| {
        replication.on_provider(&format!(
            "insert into u values ({}, 'given away'); update t set v = 'new' where id = {number}",
            3000 + number
        ));
        tick(&replication);
        assert_whole(&replication);
    });
    replication.on_provider("alter system set log_statement = 'all'");
    replication.provider.reload();
    let logged_before = replication.provider.log().len();
    // Killed where the position is about to become the subscriber's: nothing has, and the same call goes on.
    let holder = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "select 1 from trunkline.position where consumer = 'replay1' for update",
    );
    let mut command = replay.command(&RESTORE);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let waits = "select count(*) from pg_stat_activity \
                  where application_name like 'trunkline restore%' and wait_event_type = 'Lock'";
    wait_until("the restore to wait for the position", SOON, || {
        replication.on_subscriber(waits) != "0"
    });
    child.kill().unwrap();
    child.wait().unwrap();
    holder.ask("rollback");
    let followed = "select count(*) from trunkline.table_state where consumer = 'replay1'";
    assert_eq!(replication.on_subscriber(followed), "0");
    replay.run(&RESTORE).code(1).says(&[
        "not followed: public.gone: the archive does not keep it now",
        "not followed: public.n: the archive keeps it since after the base: replay add it",
    ]);
    replication.on_provider("drop table n");
    replication.wait_log("reading from archive source=backup");
    replication.wait_log("reading from queue again");
    replication.on_provider(
        "insert into t (v) values ('later'); update u set v = 'later'; delete from t where id = 3",
    );
    replication.sync();
    replication.assert_same();
    assert_eq!(replication.on_subscriber(followed), "2");
    replication.assert_no_conflicts();
    let rest = "select (select count(*) from trunkline.restore) + \
                       (select count(*) from trunkline.position where consumer <> 'replay1')";
    assert_eq!(replication.on_subscriber(rest), "0");
    wait_until("the sequence to follow", SOON, || {
        replication.on_subscriber("select last_value >= (select max(id) from t) from t_id_seq")
            == "t"
    });
    let log = replication.provider.log();
    let copies = log[logged_before..].lines().filter(|line| {
        let line = line.to_lowercase();
        line.contains("copy (") && !line.contains("trunkline.event_now")
    });
    assert_eq!(copies.collect::<Vec<_>>(), Vec::<&str>::new());
    // What is a subscriber is restored into no more.
    replay
        .run(&RESTORE)
        .code(3)
        .says(&["replicates tables already"]);
    replay
        .run(&[&RESTORE[..], &["--dry-run"]].concat())
        .code(3)
        .says(&["replicates tables already"]);
    replication.assert_clean(&["subscriber waits", "connect"]);
}
