//! What an archive does not keep goes; what is left is whole, and says where it begins.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tests::{Replication, Server};

use super::{assert_whole, made, root, running, segments};

/// The lists of `archive list --json`.
fn list(replication: &Replication) -> Value {
    let said = replication.replay.run(&["archive", "list", "--json"]).ok();
    serde_json::from_str(&said.stdout).unwrap()
}

/// The states of the bases, from the oldest on.
fn states(replication: &Replication) -> Vec<String> {
    let list = list(replication);
    let bases = list["bases"].as_array().unwrap();
    bases
        .iter()
        .map(|base| base["retention"].as_str().unwrap_or("").to_owned())
        .collect()
}

fn names(replication: &Replication) -> Vec<String> {
    let list = list(replication);
    let bases = list["bases"].as_array().unwrap();
    bases
        .iter()
        .map(|base| base["base"].as_str().unwrap().to_owned())
        .collect()
}

/// Some segments, a base, and some segments more.
fn base(replication: &Replication, rows: u32) {
    for row in 0..2 {
        let row = rows + row;
        replication.on_provider(&format!("insert into t values ({row}, 'x')"));
        replication.replay.run(&["archive", "switch"]).ok();
    }
    replication.replay.run(&["base"]).ok();
}

/// Another policy in the config. The daemon that runs keeps the one that it has: it would remove what the test is
/// about.
fn policy(replication: &Replication, from: &str, to: &str) {
    let config = replication.scratch.path().join("etc/replay.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(from));
    fs::write(&config, text.replace(from, to)).unwrap();
}

/// All files of the archive, with their bytes.
fn files(replication: &Replication) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut directories = vec![root(replication)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => found.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn bases_and_segments_that_nothing_needs_go_and_a_killed_run_is_finished_by_the_next() {
    let replication = made(&Server::debian15(), "", "segment_every = 3600");
    running(&replication, "create table t (id int primary key, v text)");
    for number in 0..4 {
        base(&replication, 10 * number);
    }
    let expire = |args: &[&str]| {
        let args = [&["archive", "expire"], args].concat();
        replication.replay.run(&args)
    };
    let day =
        "segment_every = 3600\nretention = \"RECOVERY WINDOW OF 1 DAYS\"\nminimum_redundancy = 1";
    policy(&replication, "segment_every = 3600", day);
    // Nothing is older than a day of the provider's, whatever this host's clock says.
    assert_eq!(states(&replication), ["VALID"; 4]);
    let before = files(&replication);
    let mut late = replication.replay.command(&["archive", "expire"]);
    late.env(
        "LD_PRELOAD",
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    )
    .env("FAKETIME", "+400d");
    assert_eq!(tests::run(&mut late).ok().stdout, "");
    assert_eq!(files(&replication), before);

    policy(&replication, "RECOVERY WINDOW OF 1 DAYS", "REDUNDANCY 1");
    let bases = names(&replication);
    replication.replay.run(&["archive", "keep", &bases[1]]).ok();
    replication
        .replay
        .run(&["archive", "keep", &bases[0], "--standalone"])
        .ok();
    let wanted = ["KEEP:STANDALONE", "KEEP:FULL", "OBSOLETE", "VALID"];
    assert_eq!(states(&replication), wanted);
    let plan = expire(&["--dry-run"]).ok().stdout;
    assert!(plan.contains(&format!("bases/{}", bases[2])), "{plan}");
    assert!(
        !plan.contains(&bases[1]) && !plan.contains(&bases[0]),
        "{plan}"
    );

    // A damaged archive loses nothing.
    let first = segments(&replication)[0].clone();
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..bytes.len() - 1]).unwrap();
    let damaged = files(&replication);
    expire(&[])
        .code(3)
        .says(&["nothing expires while the archive is damaged", "00000001"]);
    assert_eq!(files(&replication), damaged);
    fs::write(&first, bytes).unwrap();

    // As if killed between any two steps: the manifest is gone and the rest is not.
    fs::remove_file(
        root(&replication)
            .join("bases")
            .join(&bases[2])
            .join("manifest.json"),
    )
    .unwrap();
    replication
        .replay
        .run(&["archive", "keep", &bases[1], "--release"])
        .ok();
    policy(
        &replication,
        "minimum_redundancy = 1",
        "minimum_redundancy = 2",
    );
    assert_eq!(
        states(&replication),
        ["KEEP:STANDALONE", "VALID", "", "VALID"]
    );
    policy(
        &replication,
        "minimum_redundancy = 2",
        "minimum_redundancy = 1",
    );
    // Something that follows the newest base.
    assert_whole(&replication);
    let old = segments(&replication);
    let gone = expire(&[]).ok().stdout;
    let went = gone
        .lines()
        .filter(|line| line.starts_with("frames/"))
        .count();
    assert!(went > 3, "{gone}");
    let left = segments(&replication);
    assert_eq!(left, old[went..]);
    assert_eq!(states(&replication), ["KEEP:STANDALONE", "", "VALID"]);
    // What stands alone comes back at its own tick, and at no other: that is said before anything is done.
    let tick = bases[0].split('-').nth(1).unwrap();
    replication.provider.create_db("alone");
    let into = replication.provider.socket_conninfo("alone");
    let restore = |to: &str| {
        let args = ["restore", "--into", &into, "--base", &bases[0], "--to", to];
        replication.replay.run(&args)
    };
    restore("latest")
        .code(3)
        .says(&["serves to restore to that tick only"]);
    let said = restore(tick).ok().stdout;
    assert!(said.contains(&format!("restored to tick {tick}")), "{said}");
    // The first segment that is left is no gap, and a second run has nothing to do.
    assert_whole(&replication);
    assert_eq!(expire(&[]).ok().stdout, "");
    // One that goes now is missed.
    let hidden = root(&replication).join("hidden");
    fs::rename(&left[0], &hidden).unwrap();
    let verify = replication.replay.run(&["archive", "verify"]);
    verify.code(1).says(&["before it is missing"]);
    fs::rename(&hidden, &left[0]).unwrap();
    // Segments of before the begin are the rest of a killed run.
    fs::copy(&left[0], &old[0]).unwrap();
    assert_whole(&replication);
    assert!(expire(&[]).ok().stdout.contains("00000001"));
    assert_eq!(segments(&replication)[..left.len()], left);

    // The daemon goes on, and so does one that is started anew.
    base(&replication, 100);
    replication.replay.run(&["restart"]).ok();
    // It expires some seconds after its start: then nothing is looked at that is going.
    replication.wait_log("expired consumer=");
    base(&replication, 110);
    assert_whole(&replication);
    assert_eq!(states(&replication).last().unwrap(), "VALID");
}
