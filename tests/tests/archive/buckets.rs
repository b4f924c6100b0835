//! An archive in a bucket of an object store: all that one in a directory does, whatever is lost on the way to it.

use std::{fs, process::Command};

use serde_json::Value;
use tests::{Bucket, Cluster, Fault, Output, Replication, Server, run, same, wait_until};

use super::{SOON, add_archive_at, assert_whole, frames_up_to, kill::assert_all_in, running};

/// The store answers anybody.
const OPEN: &str = ", skip_signature = true";

/// A provider whose archive lies in the bucket, and a database beside it if one is wanted. Nothing is installed.
fn made(bucket: &Bucket, beside: bool, replay_lines: &str, archive_lines: &str) -> Replication {
    let builder = Replication::builder()
        .provider(Cluster::builder(&Server::debian15()))
        .replay_line(replay_lines);
    let replication = match beside {
        true => builder.make(),
        false => builder.subscribers(Vec::new()).make(),
    };
    add_archive_at(&replication, &bucket.lines("x/db1", OPEN), archive_lines);
    replication
}

/// The paths of the segments in the bucket, in order.
fn segments(bucket: &Bucket) -> Vec<String> {
    let mut names = bucket.names();
    names.retain(|name| name.starts_with("x/db1/frames/") && name.ends_with(".seg"));
    names
}

/// Checks that the chain is whole and has each event of the queue once.
#[track_caller]
fn assert_all_once(replication: &Replication, bucket: &Bucket) {
    assert_whole(replication);
    let frames = frames_up_to(replication, segments(bucket).len());
    assert_all_in(replication, &frames);
}

fn lists(replication: &Replication) -> Value {
    let said = replication.replay.run(&["archive", "list", "--json"]).ok();
    serde_json::from_str(&said.stdout).unwrap()
}

/// Another line in the config; the daemon is not told.
fn change(replication: &Replication, from: &str, to: &str) {
    let config = replication.scratch.path().join("etc/replay.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&config, text.replace(from, to)).unwrap();
}

#[test]
fn bases_restores_proofs_and_what_expires_are_in_a_bucket_as_in_a_directory() {
    let bucket = Bucket::start();
    let replication = made(&bucket, true, "", "segment_every = 3600");
    let replay = &replication.replay;
    // Nine megabytes that cannot be packed to less than six: a part of a base that goes in pieces.
    replication.on_provider(
        "create table t (id int primary key, v text); \
         insert into t select i, (select string_agg(md5(i::text || j), '') from generate_series(1, 300) j) \
           from generate_series(1, 1500) i",
    );
    replication.copy_schema();
    replication.start();
    replay.run(&["add", "--all", "--wait", "120"]).ok();
    let insert = |id: u32| replication.on_provider(&format!("insert into t values ({id}, 'x')"));
    insert(10_000);
    assert_whole(&replication);
    let said = replay.run(&["archive", "check"]).ok().stdout;
    assert!(said.contains("archive: OK, s3://bucket1/x/db1\n"), "{said}");
    replay.run(&["base"]).ok();
    let parts = |bucket: &Bucket| {
        bucket
            .seen()
            .iter()
            .filter(|one| one.contains("uploadId"))
            .count()
    };
    assert!(parts(&bucket) > 2, "no part of the base went in pieces");
    insert(10_001);
    assert_whole(&replication);
    // All of it, in a database that is made of the bucket alone.
    replication.provider.create_db("restored");
    let into = replication.provider.socket_conninfo("restored");
    replay.run(&["restore", "--into", &into, "-j", "2"]).ok();
    let (provider, restored) = (
        (&replication.provider, replication.db()),
        (&replication.provider, "restored"),
    );
    same(provider, restored, "public.t");
    // A database that is behind is brought up by the bucket alone.
    replay.run(&["pause"]).ok();
    insert(10_002);
    assert_whole(&replication);
    replay.run(&["stop"]).ok();
    replay.run(&["resume"]).ok();
    replay.run(&["archive", "feed"]).ok();
    assert_eq!(
        replication.on_subscriber("select count(*) from t where id = 10002"),
        "1"
    );
    replay.run(&["start", "-d"]).ok();
    expired(&replication, &bucket);
    damaged(&replication, &bucket);
}

/// What the policy does not keep goes, one process at a time.
fn expired(replication: &Replication, bucket: &Bucket) {
    let replay = &replication.replay;
    let base =
        |list: &Value, number: usize| list["bases"][number]["base"].as_str().unwrap().to_owned();
    replay.run(&["base", "--from", "provider"]).ok();
    change(
        replication,
        "segment_every = 3600",
        "retention = \"REDUNDANCY 1\"\nminimum_redundancy = 1",
    );
    let first = base(&lists(replication), 0);
    replay.run(&["archive", "keep", &first]).ok();
    let pin = format!("x/db1/bases/{first}/keep-full");
    assert!(bucket.names().contains(&pin));
    let said = replay.run(&["archive", "expire"]).ok().stdout;
    assert!(!said.contains("bases/"), "{said}");
    replay.run(&["archive", "keep", "--release", &first]).ok();
    assert!(!bucket.names().contains(&pin));
    // What lies beside it in the bucket is another archive's.
    bucket.put("x/db10/turns/other", b"{}");
    bucket.put("x/db10/frames/strange", b"");
    bucket.put("x/db10/bases/strange/manifest.json", b"");
    // Of a process on another host it is not known whether it lives.
    let other = br#"{"boot":"x","namespace":"x","pid":1,"started":"1"}"#;
    bucket.put("x/db1/turns/other", other);
    replay.run(&["archive", "expire"]).code(5);
    bucket.delete("x/db1/turns/other");
    // One of this host that is gone has left this.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let gone = serde_json::json!({
        "boot": boot.trim(), "namespace": namespace.to_str().unwrap(), "pid": 1, "started": "never"
    });
    bucket.put("x/db1/turns/gone", gone.to_string().as_bytes());
    let said = replay.run(&["archive", "expire"]).ok().stdout;
    assert!(said.contains(&format!("bases/{first} ")), "{said}");
    let names = bucket.names();
    assert!(
        !names
            .iter()
            .any(|name| name.contains(&first) || name.contains("x/db1/turns/")),
        "{names:?}"
    );
    assert_eq!(lists(replication)["bases"].as_array().unwrap().len(), 1);
    replay.run(&["archive", "verify"]).ok();
}

/// What is not as it was written has a name.
fn damaged(replication: &Replication, bucket: &Bucket) {
    let name = segments(bucket).pop().unwrap();
    let whole = bucket.get(&name);
    let verify = || replication.replay.run(&["archive", "verify"]);
    let short = name.strip_prefix("x/db1/").unwrap();
    bucket.put(&name, &whole[..whole.len() - 1]);
    verify().code(1).says(&[short, "bytes in place of"]);
    bucket.put(&name, b"");
    verify().code(1).says(&[short]);
    bucket.put(&name, &whole);
    verify().ok();
}

#[test]
fn answers_that_are_lost_cut_or_refused_lose_nothing_and_publish_nothing_twice() {
    let bucket = Bucket::start();
    let replication = made(&bucket, false, "", "segment_every = 3600");
    let replay = &replication.replay;
    // A store that makes what is there already is no store for an archive.
    replication.on_provider("create table t (id serial primary key, v text)");
    replication.ticker.run(&["install"]).ok();
    bucket.fault("PUT", "archive.json", Fault::IgnoresCondition, 9);
    replay.run(&["install"]).code(3).says(&[
        "s3://bucket1/x/db1",
        "makes an object that is there already",
    ]);
    bucket.heal();
    replication.start();
    replay.run(&["add", "--all", "--with-seqs"]).ok();
    let faults: [(&str, &str, Fault, usize); 6] = [
        ("PUT", ".seg", Fault::Answers(503), 2),
        ("PUT", ".seg", Fault::Answers(500), 1),
        ("PUT", ".seg", Fault::LosesAnswer, 1),
        ("PUT", ".seg", Fault::Closes, 1),
        ("GET", ".seg", Fault::CutsBody, 2),
        ("GET", "list-type", Fault::Answers(503), 1),
    ];
    for (method, path, fault, times) in faults {
        replication.on_provider(&format!("insert into t (v) values ('{fault:?}')"));
        bucket.fault(method, path, fault, times);
        assert_whole(&replication);
        assert_eq!(bucket.faults_left(), 0, "{fault:?} did not happen");
    }
    assert_all_once(&replication, &bucket);
    let log = replay.log();
    assert!(
        !log.contains("another writer") && !log.contains("archive waits"),
        "{log}"
    );
    // What is denied is told, and goes on by itself.
    bucket.fault("PUT", ".seg", Fault::Answers(403), 1000);
    replication.on_provider("insert into t (v) values ('denied')");
    replay.run(&["archive", "switch", "--timeout", "1"]).code(4);
    replication.wait_log("archive waits");
    replication.wait_log("the store denies it");
    bucket.heal();
    assert_all_once(&replication, &bucket);
    outages(&replication, &bucket);
    // The daemon asks, too, whether the store is one for an archive.
    replay.run(&["stop"]).ok();
    bucket.fault("PUT", "archive.json", Fault::IgnoresCondition, 1);
    replay.run(&["start", "-d"]).ok();
    replication.wait_log("makes an object that is there already");
    assert_all_once(&replication, &bucket);
}

/// What cannot be read for the moment is not called damaged.
fn outages(replication: &Replication, bucket: &Bucket) {
    let replay = &replication.replay;
    // A segment that comes in several pieces, of which the first one comes.
    replication.on_provider(
        "insert into t (v) select string_agg(md5(random()::text), '') from generate_series(1, 400000)",
    );
    assert_whole(replication);
    let denied = Fault::Repeats(403, "AccessDenied");
    bucket.fault("GET", "bytes=4194304-", denied, 1000);
    let failed = replay.run(&["archive", "verify"]).code(3);
    let failed = failed.says(&["the store denies it (AccessDenied: No)"]);
    assert!(!failed.stderr.contains("hash"), "{}", failed.stderr);
    bucket.heal();
    replay.run(&["archive", "verify"]).ok();
    // A daemon that cannot read the newest line when it starts waits for it.
    replay.run(&["stop"]).ok();
    let skewed = Fault::Repeats(403, "RequestTimeTooSkewed");
    bucket.fault("GET", ".seg", skewed, 1000);
    replay.run(&["start", "-d"]).ok();
    replication.wait_log("the store denies it (RequestTimeTooSkewed: No)");
    assert!(
        !replay.log().contains("archive damaged"),
        "{}",
        replay.log()
    );
    bucket.heal();
    replication.on_provider("insert into t (v) values ('after')");
    assert_all_once(replication, bucket);
    // A bucket that is not there is no archive that nobody has made.
    change(replication, "s3://bucket1/", "s3://bucket9/");
    let gone = replay.run(&["archive", "check"]).code(1);
    gone.says(&["the bucket is not there (NoSuchBucket"]);
    change(replication, "s3://bucket9/", "s3://bucket1/");
}

#[test]
fn a_kill_while_a_segment_is_sent_and_a_second_archiver_leave_one_chain() {
    let bucket = Bucket::start();
    let replication = made(&bucket, false, "", "segment_every = 0.1");
    let replay = &replication.replay;
    running(
        &replication,
        "create table t (id serial primary key, v text)",
    );
    let insert = |v: &str| replication.on_provider(&format!("insert into t (v) values ('{v}')"));
    // Before the store knows of it, and after that.
    for (fault, is_held) in [(Fault::Holds, true), (Fault::LosesAnswer, false)] {
        assert_whole(&replication);
        bucket.fault("PUT", ".seg", fault, 1);
        insert("killed");
        match is_held {
            true => bucket.wait_held(),
            false => wait_until("the fault", SOON, || bucket.faults_left() == 0),
        }
        replay.kill9();
        bucket.release();
        replay.run(&["start", "-d"]).ok();
        assert_all_once(&replication, &bucket);
    }
    // The archive's session breaks while a segment is on its way, and the standby takes over: both write.
    let standby = standby(&replication);
    assert_whole(&replication);
    bucket.fault("PUT", ".seg", Fault::Holds, 1);
    insert("by two");
    bucket.wait_held();
    let before = segments(&bucket).len();
    replication.on_provider(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%archive%' \
            and pid in (select pid from pg_locks where locktype = 'advisory' and granted)",
    );
    wait_until("the standby to write", SOON, || {
        segments(&bucket).len() > before
    });
    bucket.release();
    replication.wait_log("another writer writes the archive");
    for number in 0..3 {
        insert(&format!("after {number}"));
    }
    assert_all_once(&replication, &bucket);
    run(&mut command(&standby, &["stop"])).ok();
    assert_all_once(&replication, &bucket);
}

/// A second daemon of the same job; the path of its config.
fn standby(replication: &Replication) -> std::path::PathBuf {
    let etc = replication.scratch.path().join("etc");
    let text = fs::read_to_string(etc.join("replay.toml")).unwrap();
    let text = text
        .replace("%(job_name)s.pid", "standby.pid")
        .replace("%(job_name)s.log", "standby.log");
    let config = etc.join("standby.toml");
    fs::write(&config, text).unwrap();
    run(&mut command(&config, &["start", "-d"])).ok();
    config
}

fn command(config: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(tests::Programs::get().path("replay"));
    command.arg("-c").arg(config).args(args);
    command
}

#[test]
fn keys_of_a_store_come_from_the_environment_and_are_said_nowhere() {
    let bucket = Bucket::start();
    let replication = Replication::builder()
        .provider(Cluster::builder(&Server::debian15()))
        .subscribers(Vec::new())
        .make();
    let lines = bucket.lines("x/db1", "");
    add_archive_at(&replication, &lines, "segment_every = 0.1");
    replication.on_provider("create table t (id serial primary key, v text)");
    replication.ticker.run(&["install"]).ok();
    replication.ticker.run(&["start", "-d"]).ok();
    let mut said = Vec::new();
    let mut keyed = |args: &[&str]| {
        let mut command = replication.replay.command(args);
        command
            .env("AWS_ACCESS_KEY_ID", "MARKERKEY")
            .env("AWS_SECRET_ACCESS_KEY", "MARKERSECRET")
            .env("AWS_SESSION_TOKEN", "MARKERTOKEN");
        let output: Output = run(&mut command);
        said.push(format!("{}{}", output.stdout, output.stderr));
        output
    };
    keyed(&["install"]).ok();
    keyed(&["start", "-d", "-v", "-v"]).ok();
    keyed(&["add", "--all"]).ok();
    replication.on_provider("insert into t (v) values ('a')");
    keyed(&["archive", "switch", "--timeout", "120"]).ok();
    keyed(&["archive", "list", "--json"]).ok();
    keyed(&["archive", "verify"]).ok();
    bucket.fault("PUT", ".seg", Fault::Answers(401), 1000);
    bucket.fault("GET", "archive.json", Fault::Answers(400), 1);
    keyed(&["archive", "check"]).code(1);
    bucket.fault(
        "GET",
        "archive.json",
        Fault::Repeats(400, "ExpiredToken"),
        1,
    );
    keyed(&["archive", "check"])
        .code(1)
        .says(&["(ExpiredToken: No)"]);
    replication.on_provider("insert into t (v) values ('b')");
    replication.wait_log("does not accept the keys");
    keyed(&["status", "--json"]);
    keyed(&["stop"]);
    let mut all = said.concat();
    all += &replication.replay.log();
    for name in bucket.names() {
        all += &String::from_utf8_lossy(&bucket.get(&name));
    }
    for marker in ["MARKERKEY", "MARKERSECRET", "MARKERTOKEN"] {
        assert!(!all.contains(marker), "{marker} is said: {all}");
    }
    // A key in the config is refused, and not said.
    change(
        &replication,
        "region = \"us-east-1\"",
        "secret_access_key = \"MARKERSECRET\"",
    );
    let refused = replication
        .replay
        .run(&["archive", "check"])
        .code(2)
        .says(&["environment"]);
    assert!(!refused.stderr.contains("MARKER"), "{}", refused.stderr);
}
