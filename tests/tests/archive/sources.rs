//! A subscriber that was away past the queue's limit comes back through an archive, and goes on from the queue.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use rand::RngExt as _;
use tests::{Replication, Stop, choose, wait_until};

use super::{SOON, add_archive, assert_whole, queue::tick, root, sealed, segments};

const TABLES: &str =
    "create table t (id serial primary key, v text); create table u (id int primary key, v text)";

/// Has the queue detach the subscriber, which holds what it needs, and give its events away; the archive has them.
fn give_away(replication: &Replication) {
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'retention_bytes', '8 kB'), \
                pgq.set_queue_config('q1', 'retention_action', 'detach')",
    );
    wait_until("the subscriber to be detached", SOON, || {
        replication.on_provider("select pgq.maint_retention('q1')");
        replication.on_provider("select holder_kind, holder_name from pgq.get_holder_info() where holder_kind = 'detached'")
            == "detached|replay1"
    });
    replication.on_provider("select pgq.set_queue_config('q1', 'retention_action', 'warn')");
    replication.give_away(|number| {
        replication.on_provider(&format!(
            "insert into u values ({}, 'given away')",
            3000 + number
        ));
        tick(replication);
        assert_whole(replication);
    });
}

/// Copies the archive, and keeps the newest file back; gives the file's place.
fn carry(replication: &Replication, to: &Path) -> PathBuf {
    let copied = Command::new("cp")
        .arg("-a")
        .args([&root(replication), to])
        .status();
    assert!(copied.unwrap().success());
    let newest = segments(replication).pop().unwrap();
    let late = to.join(newest.strip_prefix(root(replication)).unwrap());
    fs::rename(&late, to.join("late")).unwrap();
    late
}

#[test]
fn a_subscriber_that_was_detached_comes_back_through_the_archive_and_goes_on_from_the_queue() {
    let replication = Replication::builder()
        .replay_line(
            "archive_sources = [\"file://COPY\"]\narchive_identity = \"IDENTITY\"\nmax_batch_events = 1",
        )
        .make();
    // The daemon reads an encrypted archive by the identity that its config names.
    let (file, key) = sealed::identity(&replication, "archive.key");
    add_archive(&replication, &format!("encrypt_to = '{key}'"));
    // What somebody carries elsewhere is an archive, too.
    let copy = replication.scratch.path().join("copy");
    let config = fs::read_to_string(&replication.replay.config).unwrap();
    let config = config.replace("COPY", copy.to_str().unwrap());
    let config = config.replace("IDENTITY", file.to_str().unwrap());
    fs::write(&replication.replay.config, config).unwrap();
    replication.on_provider(TABLES);
    replication.copy_schema();
    replication.start();
    let replay = &replication.replay;
    replay
        .run(&["add", "--all", "--with-seqs", "--wait", "120"])
        .ok();
    replication.on_provider("insert into u values (1, 'before')");
    replication.sync();
    // The subscriber's tables are changed first.
    replication.on_subscriber("alter table u add column w int");
    replication.subscribers[0].stop(Stop::Fast);
    let rounds = choose(
        "batches of a subscriber that was away",
        vec![(); 200],
        vec![(); 20],
    )
    .len();
    for round in 0..rounds {
        replication.on_provider(&format!(
            "insert into t (v) select md5(i::text) from generate_series(1, 2000) i; delete from t where id % 7 = {round} % 7"
        ));
        if round == 5 {
            replication
                .on_provider("alter table u add column w int; insert into u values (2, 'two', 2)");
        }
        tick(&replication);
    }
    assert_whole(&replication);
    give_away(&replication);

    let late = carry(&replication, &copy);
    replication.on_provider("alter system set log_statement = 'all'");
    replication.provider.reload();
    let logged_before = replication.provider.log().len();
    replication.subscribers[0].start_again();
    replication.wait_log("reading from archive source=file://");
    // SIGKILL at any moment of the feed.
    for _ in 0..choose("kills of a feed", vec![(); 30], vec![(); 3]).len() {
        thread::sleep(Duration::from_millis(rand::rng().random_range(50..400)));
        replay.kill9();
        replay.run(&["start", "-d"]).ok();
    }
    // A daemon that was killed may have logged it, and the session of the next one begins without an error.
    for (args, said) in [
        (&["status", "--json"][..], "no archive has got"),
        (&["status"], "reads from archive file://"),
    ] {
        wait_until(said, SOON, || replay.run(args).ok().stdout.contains(said));
    }
    replication.wait_log("no archive has got what the queue has given away");
    let source = "select source like 'file://%' from trunkline.position";
    wait_until("the source to be shown", SOON, || {
        replication.on_subscriber(source) == "t"
    });
    fs::rename(copy.join("late"), &late).unwrap();
    replication.wait_log("reading from queue again");
    replication
        .on_provider("insert into t (v) values ('behind'); insert into u values (9, 'nine', 9)");
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    replication.wait_log("consumer registered again");
    wait_until("the queue to be shown", SOON, || {
        replication.on_subscriber(source).is_empty()
    });
    let registered = "select count(*) from pgq.get_consumer_info('q1', 'replay1')";
    assert_eq!(replication.on_provider(registered), "1");
    // The tables were not copied again: all that was read are events.
    let log = replication.provider.log();
    let copies = log[logged_before..].lines().filter(|line| {
        let line = line.to_lowercase();
        line.contains("copy (") && !line.contains("trunkline.event_now")
    });
    assert_eq!(copies.collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(
        replication.on_subscriber("select last_value >= (select max(id) from t) from t_id_seq"),
        "t"
    );
    replication.assert_clean(&[
        "subscriber waits",
        "queue",
        "consumer",
        "status",
        "table tasks wait",
        "connect",
    ]);
}

#[test]
fn a_parked_table_whose_changes_the_queue_has_given_away_comes_back_through_the_archive() {
    let replication = Replication::builder()
        .replay_line("archive_sources = [\"backup\"]\nmax_batch_events = 1")
        .make();
    add_archive(&replication, "");
    replication.on_provider(TABLES);
    replication.copy_schema();
    replication.start();
    let replay = &replication.replay;
    replay.run(&["add", "--all", "--wait", "120"]).ok();
    replication.on_subscriber("alter table u drop column v");
    replication.on_provider("insert into u values (1, 'one')");
    replication.wait_parked("public.u", &["no column v"]);
    for id in 2..6 {
        replication.on_provider(&format!(
            "insert into u values ({id}, 'x'); update u set v = 'y' where id = 1; insert into t (v) values ('t')"
        ));
        tick(&replication);
    }
    replication
        .on_provider("insert into t (v) select repeat('x', 100) from generate_series(1, 500)");
    assert_whole(&replication);
    // The queue detaches what holds it for the table, and gives the changes away.
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'retention_bytes', '8 kB'), \
                pgq.set_queue_config('q1', 'retention_action', 'detach')",
    );
    let detached = "select count(*) from pgq.get_holder_info() \
                     where holder_kind = 'detached' and holder_name like 'replay1#parked:%'";
    wait_until("the table's consumer to be detached", SOON, || {
        replication.on_provider("select pgq.maint_retention('q1')");
        replication.on_provider(detached) == "1"
    });
    replication.on_provider("select pgq.set_queue_config('q1', 'retention_action', 'warn')");
    replication.give_away(|number| {
        let id = 3000 + number;
        replication.on_provider(&format!("insert into u values ({id}, 'given away')"));
        tick(&replication);
        assert_whole(&replication);
    });
    replication.on_provider("alter system set log_statement = 'all'");
    replication.provider.reload();
    let logged_before = replication.provider.log().len();
    replication.on_subscriber("alter table u add column v text");
    replication.wait_log("table reads from archive table=public.u source=backup");
    replication.wait_log("table reads from queue again table=public.u");
    let ok = "select count(*) from trunkline.table_state where state = 'ok'";
    wait_until("both tables to be in sync", SOON, || {
        replication.on_subscriber(ok) == "2"
    });
    replication.on_provider("insert into u values (9, 'behind'); delete from u where id = 2");
    replay.run(&["wait", "--timeout", "120"]).ok();
    replication.assert_same();
    replication.assert_no_conflicts();
    let log = replication.provider.log();
    let copies = log[logged_before..].lines().filter(|line| {
        let line = line.to_lowercase();
        line.contains("copy (") && !line.contains("event_data") && line.contains(" public.u")
    });
    assert_eq!(copies.collect::<Vec<_>>(), Vec::<&str>::new());
}
