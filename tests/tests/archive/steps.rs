//! SIGKILL at each step of a base, of what expires, and of a restore: what was there counts, and the next call goes on.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tests::{Replication, Server, pid_alive, same, wait_until, wait_value};

use super::{
    SOON, assert_whole,
    base::newest,
    made,
    restore::{database, with_damaged},
    root, running, segments,
};

/// What gives a file its name.
const NAMES: &str = "link,linkat,rename,renameat,renameat2";

/// What gives a file its name, or takes it.
const CHANGES: &str = "link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir";

/// Kills whoever enters one of these calls, the n-th time that a thread of it does.
fn killer(calls: &str, n: u32) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:signal=SIGKILL:when={n}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    strace
}

/// Runs a command that is killed at the n-th of these calls; false: it has not come so far, and has ended well.
fn is_killed(replication: &Replication, args: &[&str], calls: &str, n: u32) -> bool {
    let command = replication.replay.command(args);
    let mut strace = killer(calls, n);
    strace.arg(command.get_program()).args(command.get_args());
    let ended = strace.status().unwrap();
    assert!(
        ended.success() || ended.signal() == Some(9),
        "{args:?}: {ended}"
    );
    !ended.success()
}

/// The directories of bases.
fn bases(replication: &Replication) -> Vec<PathBuf> {
    let listed = fs::read_dir(root(replication).join("bases")).unwrap();
    listed.map(|base| base.unwrap().path()).collect()
}

/// The base that is not whole.
fn unfinished(replication: &Replication) -> Option<PathBuf> {
    let bases = bases(replication).into_iter();
    bases
        .into_iter()
        .find(|base| !base.join("manifest.json").exists())
}

#[test]
fn a_kill_at_each_step_of_base_expire_and_restore_leaves_a_whole_archive_and_a_restore_goes_on() {
    let replication = made(
        &Server::debian15(),
        "max_batch_events = 1",
        "segment_every = 0.5",
    );
    running(
        &replication,
        "create table t (id bigserial primary key, v text); create table u (id int primary key, n int); \
         insert into u values (1, 0); insert into t (v) select md5(i::text) from generate_series(1, 500) i",
    );
    replication.replay.run(&["base"]).ok();
    kills_of_a_base(&replication);
    kills_of_expire(&replication);
    kills_of_a_restore(&replication);
    replication.assert_clean(&[]);
}

fn kills_of_a_base(replication: &Replication) {
    let replay = &replication.replay;
    let first = newest(replication)["base"].clone();
    // At its objects. Threads write them, and each counts for itself.
    let mut n = 1;
    while is_killed(replication, &["base"], NAMES, n) {
        replay.run(&["archive", "verify"]).ok();
        assert_eq!(newest(replication)["base"], first);
        n += 1;
        assert!(n < 20, "it is killed for ever");
    }
    assert!(n > 1, "it was never killed");
    let second = newest(replication)["base"].clone();
    // At its manifest: all else is there, and the archive has come to its tick.
    replay.run(&["stop"]).ok();
    replication.on_provider("update u set n = n + 1");
    let mut child: Child = replay
        .command(&["base"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the rows of a base", SOON, || {
        let files = |base: PathBuf| {
            let mut found = Command::new("find");
            found
                .arg(base)
                .args(["-name", "*.copy", "-not", "-name", ".*"]);
            let said = found.output().unwrap().stdout;
            String::from_utf8_lossy(&said).lines().count()
        };
        unfinished(replication).map(files) == Some(2)
    });
    let pid: i32 = child.id().try_into().unwrap();
    let mut strace = killer(NAMES, 1)
        .args(["-p", &pid.to_string()])
        .spawn()
        .unwrap();
    wait_until("the base to be traced", SOON, || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.into_iter().all(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status"));
            status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        })
    });
    replay.run(&["start", "-d"]).ok();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    strace.wait().unwrap();
    assert!(unfinished(replication).is_some());
    assert_eq!(newest(replication)["base"], second);
    assert_whole(replication);
    // The next one sweeps what is left.
    replay.run(&["base"]).ok();
    assert_eq!(unfinished(replication), None);
    assert_eq!(bases(replication).len(), 3);
}

fn kills_of_expire(replication: &Replication) {
    let replay = &replication.replay;
    let text = fs::read_to_string(&replay.config).unwrap();
    let policy = "segment_every = 0.5\nretention = \"REDUNDANCY 1\"\nminimum_redundancy = 1";
    fs::write(&replay.config, text.replace("segment_every = 0.5", policy)).unwrap();
    let before = segments(replication).len();
    // Each run does one step, and is killed at the next one.
    let mut runs = 0;
    while is_killed(replication, &["archive", "expire"], CHANGES, 2) {
        replay.run(&["archive", "verify"]).ok();
        runs += 1;
        assert!(runs < 200, "it is killed for ever");
    }
    assert!(runs > 4, "it was killed {runs} times");
    assert!(segments(replication).len() < before);
    replay.run(&["archive", "verify"]).ok();
    assert_eq!(replay.run(&["archive", "expire"]).ok().stdout, "");
    fs::write(&replay.config, text).unwrap();
}

/// Has each session of a restore wait at the second of its commits that note a step or move the position.
const HELD: &str = "create function public.hold() returns trigger language plpgsql as $f$ \
     declare n int := coalesce(nullif(current_setting('held.n', true), ''), '0')::int + 1; \
     begin perform set_config('held.n', n::text, false); \
           if n = 2 then perform pg_sleep(600); end if; return null; end $f$; \
     create constraint trigger hold after insert on trunkline.restore \
         deferrable initially deferred for each row execute procedure public.hold(); \
     create constraint trigger hold after update on trunkline.position \
         deferrable initially deferred for each row execute procedure public.hold(); \
     alter table trunkline.restore enable always trigger hold; \
     alter table trunkline.position enable always trigger hold";

fn kills_of_a_restore(replication: &Replication) {
    let (replay, cluster) = (&replication.replay, &replication.provider);
    for _ in 0..4 {
        replication.on_provider("update u set n = n + 1; insert into t (v) values ('later')");
        replay.run(&["archive", "switch", "--timeout", "120"]).ok();
    }
    let into = database(cluster, "steps");
    let restore = ["restore", "--into", &into];
    // Its own tables come with its begin.
    let manifest = newest(replication);
    let base = root(replication)
        .join("bases")
        .join(manifest["base"].as_str().unwrap());
    let part = manifest["tables"][0]["parts"][0]["path"].as_str().unwrap();
    with_damaged(&base.join(part), || {
        replay.run(&restore).code(3);
    });
    cluster.psql("steps", HELD);
    let sleeps =
        "select count(*) from pg_stat_activity where datname = 'steps' and wait_event = 'PgSleep'";
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where datname = 'steps' and pid <> pg_backend_pid()";
    let mut kills = 0;
    loop {
        let mut child = replay
            .command(&restore)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ended = wait_value("the restore to wait or to end", SOON, || {
            match child.try_wait().unwrap() {
                Some(ended) => Some(Some(ended)),
                None => (cluster.psql("postgres", sleeps) != "0").then_some(None),
            }
        });
        if let Some(ended) = ended {
            assert_eq!(ended.code(), Some(0));
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!pid_alive(child.id().try_into().unwrap()));
        wait_until("the sessions to end", SOON, || {
            cluster.psql("postgres", end) == "0"
        });
        kills += 1;
        assert!(kills < 60, "it is killed for ever");
    }
    assert!(kills > 4, "it was killed {kills} times");
    for table in ["public.t", "public.u"] {
        same((cluster, replication.db()), (cluster, "steps"), table);
    }
    assert_eq!(
        cluster.psql("steps", "select to_regnamespace('trunkline') is null"),
        "t"
    );
}
