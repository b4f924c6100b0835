//! An encrypted archive: the daemon writes it without an identity, and nobody reads a row without one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tests::{Replication, Server, same, wait_until};

use super::{SOON, assert_whole, made, root, running, segments};

/// An identity of age's own program: its file, and its public key.
pub(crate) fn identity(replication: &Replication, name: &str) -> (PathBuf, String) {
    let file = replication.scratch.path().join(name);
    let mut make = Command::new("age-keygen");
    tests::run(make.arg("-o").arg(&file)).ok();
    let mut public = Command::new("age-keygen");
    let said = tests::run(public.arg("-y").arg(&file)).ok();
    (file, said.stdout.trim().to_owned())
}

/// Has the archive encrypted to others.
fn encrypt_to(replication: &Replication, was: &str, now: &[&str]) -> String {
    let config = fs::read_to_string(&replication.replay.config).unwrap();
    let now = format!("encrypt_to = {now:?}");
    assert!(config.contains(was), "{config}");
    fs::write(&replication.replay.config, config.replace(was, &now)).unwrap();
    now
}

/// The segment's line.
fn line(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
    serde_json::from_str(text.rsplit_once(' ').unwrap().0).unwrap()
}

/// The first segment that is encrypted to one key alone, and has a row with a word.
fn body(replication: &Replication, key: &str) -> Option<PathBuf> {
    let is_of = |path: &PathBuf| line(path)["sealed"] == serde_json::json!([key]);
    segments(replication)
        .into_iter()
        .rfind(|path| is_of(path) && line(path)["events"] != 0)
}

/// All files of the archive.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

fn bases(replication: &Replication) -> Vec<String> {
    let said = replication.replay.run(&["archive", "list", "--json"]).ok();
    let list: Value = serde_json::from_str(&said.stdout).unwrap();
    let names = list["bases"].as_array().unwrap().iter();
    names
        .map(|base| base["base"].as_str().unwrap().to_owned())
        .collect()
}

/// Writes a row with a word, until a segment that is encrypted to one key has it.
fn row(replication: &Replication, id: u32, key: &str) {
    let mut number = id;
    wait_until("a segment for another key", SOON, || {
        replication.on_provider(&format!(
            "insert into orders_of_x values ({number}, 'a word that nobody reads {number}')"
        ));
        number += 1;
        replication.replay.run(&["archive", "switch"]).ok();
        body(replication, key).is_some()
    });
}

#[test]
fn an_encrypted_archive_is_written_without_an_identity_and_nothing_is_read_without_one() {
    let replication = made(
        &Server::debian15(),
        "",
        "segment_every = 0.3\nencrypt_to = 'age1'",
    );
    let replay = &replication.replay;
    let refused = replay.run(&["install"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("no public key of age"),
        "{}",
        refused.stderr
    );
    let (one, to_one) = identity(&replication, "one.key");
    let (other, to_other) = identity(&replication, "other.key");
    let to = encrypt_to(&replication, "encrypt_to = 'age1'", &[&to_one]);
    running(
        &replication,
        "create table orders_of_x (id serial primary key, hush_hush text)",
    );
    row(&replication, 1, &to_one);
    replay.run(&["base"]).ok();
    // In the middle of the chain the recipients change, and the daemon that goes on was killed before: it has got no
    // identity to read what it wrote.
    let to = encrypt_to(&replication, &to, &[&to_other]);
    replay.run(&["reload"]).ok();
    row(&replication, 1000, &to_other);
    replay.kill9();
    replay.run(&["start", "-d"]).ok();
    encrypt_to(&replication, &to, &[&to_one, &to_other]);
    replay.run(&["reload"]).ok();
    replay.run(&["base"]).ok();
    replication.on_provider("insert into orders_of_x values (5000, 'a word at last')");
    assert_whole(&replication);
    let said = replay.run(&["archive", "verify"]).ok();
    assert!(
        said.stdout.contains("segments are encrypted"),
        "{}",
        said.stdout
    );

    // Neither a row nor a column's name is in any file.
    let mut found = Vec::new();
    files(&root(&replication), &mut found);
    assert!(found.len() > 8, "{found:?}");
    for path in &found {
        let bytes = fs::read(path).unwrap();
        for told in ["a word", "hush_hush"] {
            let is_there = bytes.windows(told.len()).any(|at| at == told.as_bytes());
            assert!(!is_there, "{told} is in {}", path.display());
        }
    }
    // What Debian's programs open is what was written.
    let path = body(&replication, &to_other).unwrap();
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let file = replication.scratch.path().join("body.age");
    fs::write(&file, &bytes[end..]).unwrap();
    let opened = Command::new("age")
        .args(["-d", "-i"])
        .args([&other, &file])
        .output()
        .unwrap();
    assert!(opened.status.success(), "{opened:?}");
    let records = zstd::decode_all(opened.stdout.as_slice()).unwrap();
    assert!(String::from_utf8_lossy(&records).contains("a word that nobody reads"));

    let both = replication.scratch.path().join("both.key");
    let keys = [&one, &other].map(|file| fs::read_to_string(file).unwrap());
    fs::write(&both, keys.concat()).unwrap();
    let by = |args: &[&str], file: Option<&Path>| {
        let mut args = args.to_vec();
        args.extend(
            file.map(|file| ["--identity", file.to_str().unwrap()])
                .into_iter()
                .flatten(),
        );
        replay.run(&args)
    };
    let seq = line(&path)["seq"].to_string();
    let cat = ["archive", "cat", seq.as_str()];
    for (file, why) in [
        (None, "no identity is given"),
        (Some(&*one), "no identity that is given opens it"),
    ] {
        let said = by(&cat, file);
        assert_eq!(said.code, 3, "{}", said.stderr);
        assert!(
            said.stderr.contains(why) && said.stderr.contains(&to_other),
            "{}",
            said.stderr
        );
        assert!(!said.stdout.contains("a word"), "{}", said.stdout);
    }
    assert!(by(&cat, Some(&other)).ok().stdout.contains("a word"));
    // Whoever gives an identity is told of what it does not open.
    by(&["archive", "verify"], Some(&both)).ok();
    let said = by(&["archive", "verify"], Some(&one));
    assert_eq!(said.code, 1, "{}", said.stderr);
    let told = said
        .stderr
        .lines()
        .filter(|line| line.contains("no identity that is given opens it"));
    assert_eq!(told.count(), said.stderr.lines().count(), "{}", said.stderr);

    let said = by(&["archive", "verify"], Some(&other)).code(1);
    let closed = format!(
        "bases/{}/detail: it is encrypted to {to_one}",
        bases(&replication)[0]
    );
    assert!(said.stderr.contains(&closed), "{closed}: {}", said.stderr);

    // A restore says before it makes anything that it could not be ended.
    let cluster = &replication.provider;
    cluster.create_db("then");
    let into = cluster.socket_conninfo("then");
    let bases = bases(&replication);
    let first = ["restore", "--into", &into, "--base", &bases[0]];
    for (file, why) in [
        (None, "and no identity is given"),
        (Some(&*other), "no identity that is given opens it"),
        (Some(&*one), ".seg"),
        (Some(Path::new("/nowhere")), "the identities of /nowhere"),
    ] {
        let said = by(&first, file);
        assert_eq!(said.code, 3, "{}", said.stderr);
        assert!(said.stderr.contains("nothing was done"), "{}", said.stderr);
        assert!(said.stderr.contains(why), "{}", said.stderr);
        let there = cluster.psql(
            "then",
            "select count(*) from pg_class where relname = 'orders_of_x'",
        );
        assert_eq!(there, "0", "{}", said.stderr);
    }
    by(&first, Some(&both)).ok();
    same(
        (&replication.provider, replication.db()),
        (cluster, "then"),
        "public.orders_of_x",
    );
    assert_eq!(
        cluster.psql("then", "select last_value from orders_of_x_id_seq"),
        replication.on_provider("select last_value from orders_of_x_id_seq")
    );
    // The base that is for both is restored by each of them; so is a single table.
    let table = "public.orders_of_x=public.beside";
    let second = [
        "restore", "--into", &into, "--base", &bases[1], "--table", table,
    ];
    by(&second, Some(&other)).ok();
    same(
        (&replication.provider, replication.db()),
        (cluster, "then"),
        "public.orders_of_x",
    );
    assert_eq!(
        cluster.psql("then", "select count(*) from beside"),
        replication.on_provider("select count(*) from orders_of_x")
    );

    // Without an identity the daemon verifies what it can, and says what it could not.
    let to = format!("encrypt_to = {:?}", [&to_one, &to_other]);
    let config = fs::read_to_string(&replay.config).unwrap();
    assert!(config.contains(&to), "{config}");
    let config = config.replace(&to, &format!("{to}\nverify_every = 1"));
    fs::write(&replay.config, config).unwrap();
    replay.run(&["reload"]).ok();
    let what = "nothing restored: the base is encrypted, and there is no archive_identity";
    wait_until("a verification without an identity", SOON, || {
        let said = replay.run(&["archive", "check"]);
        said.code == 0 && said.stdout.contains(what)
    });

    // An encryption that ends is told.
    let config = fs::read_to_string(&replay.config).unwrap();
    assert!(!replay.log().contains("archive is not encrypted any more"));
    fs::write(&replay.config, config.replace(&to, "")).unwrap();
    replay.run(&["reload"]).ok();
    replay.wait_log("archive is not encrypted any more");
}
