//! A base is proven by a restore into a server of its own, which is gone afterwards, however that ends.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Replication, Server, wait_value};

use super::{SOON, base::newest, restore::archived};

#[test]
fn a_base_is_proven_by_restoring_it_into_a_server_of_its_own() {
    let replication = archived(&Server::debian15());
    let replay = &replication.replay;
    let first = newest(&replication)["base"].as_str().unwrap().to_owned();
    // The index of the second base waits where a restore for a proof builds it.
    replication.on_provider(
        "create function slow(i int) returns int language plpgsql immutable as $$ begin \
           if current_database() = 'restored' then perform pg_sleep(600); end if; return i; end $$; \
         create index on t (slow(id))",
    );
    replay.run(&["base"]).ok();
    let verifying = |args: &[&str]| {
        let all = [&["archive", "verify", "--restore"], args].concat();
        let program = replay.command(&all);
        if !tests::is_root() {
            return program;
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program.get_program())
            .args(program.get_args())
            .env("HOME", "/")
            .current_dir("/");
        command
    };
    let verified = || {
        if tests::is_root() {
            // A server refuses root, and the archive is its owner's alone.
            replay
                .run(&["archive", "verify", "--restore"])
                .code(3)
                .says(&["initdb failed: initdb: error: cannot be run as root"]);
            tests::run(
                Command::new("chown")
                    .args(["-R", "postgres:"])
                    .arg(replication.scratch.path()),
            )
            .ok();
        }
        tests::run(&mut verifying(&["--base", &first]))
    };
    let list = replay.run(&["archive", "list"]).ok().stdout;
    assert!(list.contains("never"), "{list}");
    replay.run(&["stop"]).ok();
    let said = verified().ok().stdout;
    assert!(said.contains("is proven: it was restored"), "{said}");
    let proven = in_list(&replication, &first)["verified"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        proven.starts_with("20") && proven.ends_with('Z'),
        "{proven}"
    );
    ends_its_server(&replication, verifying(&[]));
}

/// A proof that is told to end leaves neither a server nor its files.
fn ends_its_server(replication: &Replication, mut verifying: Command) {
    let rooms = replication.scratch.path().join("rooms");
    fs::create_dir(&rooms).unwrap();
    fs::set_permissions(&rooms, fs::Permissions::from_mode(0o777)).unwrap();
    let said = fs::File::create(rooms.join("said")).unwrap();
    verifying
        .env("TMPDIR", &rooms)
        .stdout(Stdio::null())
        .stderr(said);
    let mut child = verifying.spawn().unwrap();
    let made = || {
        let rooms = fs::read_dir(&rooms)
            .unwrap()
            .map(|room| room.unwrap().path());
        rooms.into_iter().find(|room| room.is_dir())
    };
    let waits = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    let server = wait_value("the restore to build its index", SOON, || {
        let room = made()?;
        let pid = fs::read_to_string(room.join("data/postmaster.pid")).ok()?;
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-h"])
            .arg(&room)
            .args(["-U", "trunkline", "postgres", "-c", waits]);
        let said = psql.stderr(Stdio::null()).output().unwrap().stdout;
        (said.trim_ascii() == b"1").then(|| pid.lines().next().unwrap().parse().unwrap())
    });
    assert!(tests::signal(
        child.id().try_into().unwrap(),
        Signal::SIGTERM
    ));
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!tests::pid_alive(server), "the server is left");
    assert_eq!(made(), None, "its files are left");
    let said = fs::read_to_string(rooms.join("said")).unwrap();
    assert!(
        said.contains("is not proven: the command was told to end"),
        "{said}"
    );
}

/// A base in the list.
fn in_list(replication: &Replication, base: &str) -> Value {
    let list = replication.replay.run(&["archive", "list", "--json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let mut bases = list["bases"].as_array().unwrap().iter();
    bases.find(|one| one["base"] == base).unwrap().clone()
}
