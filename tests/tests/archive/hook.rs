//! What happens to an archive is told to the operator's command, and the archive verifies itself.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use tests::{Replication, Server, wait_until};

use super::{SOON, made, root, running, segments};

/// A command that fails the first time for each event, and always for `stuck`; then it notes what it was told.
const COMMAND: &str = r#"#!/bin/sh
if [ "$1" = stuck ] || [ ! -e "$0.$1" ]; then
    : > "$0.$1"
    echo "not now: $3"
    exit 1
fi
printf '%s|%s|%s|%s|%s|%s|\n' "$1" "$2" "$#" "$TRUNKLINE_SUCCESS" "$TRUNKLINE_BASE" "$3" >> "$0.told"
"#;

/// Makes the command, and names it in the config.
fn hook(replication: &Replication) -> PathBuf {
    let command = replication.scratch.path().join("tell");
    fs::write(&command, COMMAND).unwrap();
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    let config = fs::read_to_string(&replication.replay.config).unwrap();
    let config = config.replace("HOOK", command.to_str().unwrap());
    fs::write(&replication.replay.config, config).unwrap();
    command.with_extension("told")
}

#[test]
fn the_hook_is_told_what_happens_and_the_archive_verifies_itself() {
    let replication = made(
        &Server::debian15(),
        "",
        "segment_every = 0.3\nbase_every = 20\nretention = 'REDUNDANCY 1'\nminimum_redundancy = 1\n\
         verify_every = 2\nverify_restore = false\nhook = 'HOOK %e %u %d'",
    );
    let told = hook(&replication);
    let replay = &replication.replay;
    let is_told = |line: &str| {
        wait_until(&format!("{line} in {}", told.display()), SOON, || {
            let told = fs::read_to_string(&told).unwrap_or_default();
            told.lines().any(|one| one.starts_with(line))
        });
    };
    running(&replication, "create table t (id int primary key, v text)");
    replication.on_provider("insert into t values (1, 'x')");
    replay.run(&["archive", "switch"]).ok();
    // Each of them has failed once, and was told again.
    is_told("base_done|backup|3|1|20");
    is_told("verified|backup|3|1||all was read, and nothing restored|");
    let said = replay.run(&["archive", "check"]).ok().stdout;
    assert!(said.contains("verified: OK, at 20"), "{said}");
    let checked = |code| {
        let config = replay.config.to_str().unwrap();
        let path = tests::Programs::get().path("trunkline");
        let mut command = Command::new(path);
        command.args(["-c", config, "check", "archive", "--timeout", "120"]);
        let text = tests::run(&mut command).code(code).stdout;
        command.args(["--output", "prometheus"]);
        (text, tests::run(&mut command).code(code).stdout)
    };
    let (text, gauges) = checked(0);
    assert!(text.starts_with("TRUNKLINE OK - "), "{text}");
    assert!(
        text.contains("archive replay1/backup: ") && text.contains("verified: at 20"),
        "{text}"
    );
    for gauge in [
        "trunkline_check_status{check=\"archive\",of=\"replay1/backup\"} 0",
        "trunkline_archive_end_age_seconds{of=\"replay1/backup\"} ",
        "trunkline_archive_base_age_seconds{of=",
        "trunkline_archive_verified_age_seconds{of=",
        "trunkline_archive_window_seconds{of=",
        "trunkline_archive_holes{of=\"replay1/backup\"} 0",
        "trunkline_archive_bytes{of=",
    ] {
        assert!(gauges.contains(gauge), "{gauge} is not in {gauges}");
    }
    // What lines do not tell: a byte of a body.
    let path = segments(&replication).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, &flipped).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    is_told(&format!("verify_failed|backup|3|0||frames/0000/{name}: "));
    // The proof may come behind the hook.
    wait_until("a proof that failed", SOON, || {
        let said = replay.run(&["archive", "check"]);
        let failed = "verified: it failed at 20";
        said.code == 1
            && said.stdout.contains("chain: OK")
            && said.stderr.contains(failed)
            && said.stderr.contains("its hash is another one")
    });
    let (text, gauges) = checked(2);
    assert!(
        text.starts_with("TRUNKLINE CRITICAL - ") && text.contains("verified: it failed"),
        "{text}"
    );
    assert!(
        !gauges.contains("trunkline_archive_verified_age_seconds"),
        "{gauges}"
    );
    fs::write(&path, &bytes).unwrap();
    wait_until("a verification without a fault", SOON, || {
        replay.run(&["archive", "check"]).code == 0
    });
    for _ in 0..2 {
        // The daemon may be making one.
        wait_until("a base", SOON, || replay.run(&["base"]).code == 0);
    }
    replay.run(&["restart"]).ok();
    is_told("expired|backup|3|1||");
    // With a restore: a server refuses root, which is told as any other reason.
    let config = fs::read_to_string(&replay.config).unwrap();
    let config = config.replace("verify_restore = false", "verify_restore = true");
    fs::write(&replay.config, config).unwrap();
    replay.run(&["reload"]).ok();
    let restored = match tests::is_root() {
        true => "cannot be run as root",
        false => "all was read, and the newest complete base restored",
    };
    wait_until("a verification with a restore", SOON, || {
        fs::read_to_string(&told).unwrap().contains(restored)
    });

    // A daemon that is off verifies nothing, and who checks is told when that is late.
    replay.run(&["stop"]).ok();
    let proofs = root(&replication).join("proofs");
    for entry in fs::read_dir(&proofs).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let old = r#"{"trunkline":"proof/1","what":"all was read"}"#;
    fs::write(proofs.join("20200101T000000Z-ok"), old).unwrap();
    let said = replay.run(&["archive", "check"]).code(1);
    let late = "verified: late: the last time was 2020-01-01";
    assert!(said.stderr.contains(late), "{}", said.stderr);
    // A command that goes on failing is told in the log, with what it says, and holds nothing up.
    let identity = root(&replication).join("archive.json");
    let away = replication.scratch.path().join("archive.json");
    fs::rename(&identity, &away).unwrap();
    replay.run(&["start", "-d"]);
    replication.wait_log("hook failed");
    let log = replay.log();
    let line = log
        .lines()
        .find(|line| line.contains("hook failed"))
        .unwrap();
    assert!(
        line.contains("event=\"stuck\"") || line.contains("event=stuck"),
        "{line}"
    );
    assert!(line.contains("not now: "), "{line}");
    fs::rename(&away, &identity).unwrap();
    replay.run(&["archive", "switch", "--timeout", "120"]).ok();
}
