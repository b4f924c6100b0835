//! What is wrong with the files, or with the place for them, is told by name, and nothing is lost meanwhile.

use std::fs;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use tests::{Server, wait_until};

use super::{SOON, assert_whole, frames, made, root, running, segments};

#[test]
fn an_archive_that_cannot_be_written_is_told_and_goes_on_when_it_can() {
    let replication = made(
        &Server::debian15(),
        "retry_delay = 0.5",
        "segment_every = 0.1",
    );
    running(&replication, "create table t (id int primary key, v text)");
    replication.on_provider("insert into t values (1, 'a')");
    assert_whole(&replication);
    // A file in the directory's place: rights would not stop root.
    let (frames_at, away) = (
        root(&replication).join("frames"),
        root(&replication).join("away"),
    );
    fs::write(&away, "").unwrap();
    let exchange = || {
        let flags = RenameFlags::RENAME_EXCHANGE;
        renameat2(AT_FDCWD, &frames_at, AT_FDCWD, &away, flags).unwrap();
    };
    exchange();
    replication.on_provider("insert into t values (2, 'b')");
    replication.wait_log("the archive cannot be written");
    wait_until("status to say so", SOON, || {
        let status = replication.replay.run(&["status"]).stdout;
        status.contains("its daemon does not write it now") && status.contains("subscriber backup")
    });
    exchange();
    replication.on_provider("insert into t values (3, 'c')");
    assert_whole(&replication);
    let events: usize = frames(&replication)
        .iter()
        .map(|frame| frame.events.len())
        .sum();
    assert_eq!(events, 4, "the shape and three rows");
    replication.assert_clean(&["archive waits", "archive stopped"]);
}

#[test]
fn damage_is_named_by_check_or_verify_and_nothing_is_written_behind_it() {
    let replication = made(&Server::debian15(), "", "");
    running(&replication, "create table t (id int primary key, v text)");
    for id in 1..=3 {
        replication.on_provider(&format!("insert into t values ({id}, 'a')"));
        assert_whole(&replication);
    }
    let replay = &replication.replay;
    replay.run(&["stop"]).ok();
    let segments = segments(&replication);
    let name = |at: usize| {
        segments[at]
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let good = fs::read(&segments[1]).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&segments[1], bad).unwrap();
    replay.run(&["archive", "check"]).code(0);
    let said = replay.run(&["archive", "verify"]).code(1).stderr;
    assert!(said.contains(&name(1)) && said.contains("hash"), "{said}");
    fs::remove_file(&segments[1]).unwrap();
    for command in ["check", "list"] {
        let said = replay.run(&["archive", command]).code(1);
        let said = said.stdout + &said.stderr;
        assert!(said.contains("segment 2 before it is missing"), "{said}");
    }
    fs::write(&segments[1], good).unwrap();
    let newest = segments.last().unwrap();
    let good = fs::read(newest).unwrap();
    fs::write(newest, &good[..10]).unwrap();
    replay.run(&["start", "-d"]);
    replication.wait_log("archive damaged");
    fs::write(newest, good).unwrap();
    replication.on_provider("insert into t values (9, 'a')");
    assert_whole(&replication);
    // All segments are gone, and the queue has what they had.
    replay.run(&["stop"]).ok();
    fs::remove_dir_all(root(&replication).join("frames")).unwrap();
    let said = replay.run(&["archive", "check"]).code(1).stderr;
    assert!(said.contains("it holds what follows tick"), "{said}");
    replay.run(&["start", "-d"]).ok();
    assert_whole(&replication);
    let events: usize = frames(&replication)
        .iter()
        .map(|frame| frame.events.len())
        .sum();
    assert_eq!(events, 5, "the shape and four rows");
}

#[test]
fn a_directory_that_is_not_the_job_s_archive_is_refused() {
    let replication = made(&Server::debian15(), "", "");
    replication.ticker.run(&["install"]).ok();
    replication.ticker.run(&["start", "-d"]).ok();
    let replay = &replication.replay;
    replay.run(&["archive", "check"]).code(1);
    replay.run(&["install"]).ok();
    let said = replay.run(&["install"]).ok().stdout;
    assert!(
        said.contains("archive backup: consumer replay1/backup is there"),
        "{said}"
    );
    let identity = root(&replication).join("archive.json");
    let text = fs::read_to_string(&identity).unwrap();
    fs::write(&identity, text.replace("replay1", "replay2")).unwrap();
    replay
        .run(&["install"])
        .code(3)
        .says(&["the archive of job replay2"]);
    fs::remove_file(&identity).unwrap();
    // An archive that is not mounted is not begun anew.
    let moved = root(&replication).with_file_name("elsewhere");
    fs::rename(root(&replication), moved).unwrap();
    replay.run(&["start", "-d"]);
    replication.wait_log("has no archive.json");
    assert!(!root(&replication).exists());
}
