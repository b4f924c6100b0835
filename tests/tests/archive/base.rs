//! Bases: what is in one, what is not and is named, and that one which is not whole counts for nothing.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::StdRng};
use serde_json::Value;
use tests::{Replication, Server, Session, Writes, choose, wait_until};

use super::{SOON, add_archive, root, running};

/// A job with a database and an archive, which has two tables in both, one of them with a type of the user's.
fn with_database(server: &Server) -> Replication {
    let replication = Replication::builder()
        .provider(tests::Cluster::builder(server))
        .subscribers(vec![tests::Cluster::builder(server)])
        .make();
    add_archive(&replication, "");
    replication.everywhere(
        "create type mood as enum ('sad', 'glad'); \
         create table t (id serial primary key, v text, m mood); \
         create table u (id int primary key, sum int not null)",
    );
    replication.on_provider("insert into u values (1, 0), (2, 0)");
    replication.start();
    replication
        .replay
        .run(&["add", "--all", "--with-seqs", "--wait", "120"])
        .ok();
    replication
}

/// Rows of both tables in one transaction, so that they agree at each tick.
pub(super) fn writes() -> Writes {
    Arc::new(|random: &mut StdRng, _| {
        let amount = random.random_range(1..100);
        format!(
            "with o as (insert into t (v, m) select md5(i::text), 'glad' from generate_series(1, {amount}) i) \
             update u set sum = sum + {amount} where id = 1"
        )
    })
}

/// The manifest of the newest base that is made.
pub(super) fn newest(replication: &Replication) -> Value {
    let list = replication.replay.run(&["archive", "list", "--json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let bases = list["bases"].as_array().unwrap();
    // Of two that were begun in one second the names do not say which came first.
    let tick = |base: &&Value| base["at"][1].as_str().unwrap().parse::<i64>().unwrap();
    let made = bases.iter().filter(|base| base["at"].is_array());
    let made = made.max_by_key(tick);
    let name = made.expect("a base")["base"].as_str().unwrap();
    let shown = replication
        .replay
        .run(&["archive", "show", name, "--json"])
        .ok();
    serde_json::from_str(&shown.stdout).unwrap()
}

fn table<'a>(manifest: &'a Value, name: &str) -> &'a Value {
    let tables = manifest["tables"].as_array().unwrap();
    tables.iter().find(|one| one["name"] == name).unwrap()
}

/// The rows of a table that is not in binary form, as COPY text.
fn rows(replication: &Replication, manifest: &Value, name: &str) -> Vec<String> {
    let base = root(replication)
        .join("bases")
        .join(manifest["base"].as_str().unwrap());
    let table = table(manifest, name);
    assert_eq!(table["binary"], false);
    let mut lines = Vec::new();
    for part in table["parts"].as_array().unwrap() {
        let file = fs::File::open(base.join(part["path"].as_str().unwrap())).unwrap();
        let text = zstd::stream::decode_all(file).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.len() as u64, part["raw_bytes"].as_u64().unwrap());
        lines.extend(text.lines().map(str::to_owned));
    }
    assert_eq!(lines.len() as u64, table["rows"].as_u64().unwrap());
    lines
}

/// Each base made while the load runs has the rows of one moment: as many rows of `t` as the sum in `u` says.
fn is_of_one_moment(replication: &Replication, from: &str, bases: u32) {
    let load = replication.load(2, Duration::from_millis(2), &writes());
    load.wait_for_more(20);
    for _ in 0..bases {
        replication
            .replay
            .run(&["base", "--from", from, "-j", "2"])
            .ok();
        let manifest = newest(replication);
        let lines = rows(replication, &manifest, "t");
        assert_eq!(manifest["source"], from);
        assert_eq!(table(&manifest, "u")["binary"], true);
        assert_eq!(table(&manifest, "u")["rows"], 2);
        assert_eq!(lines.len() as u64, sum_of_u(replication, &manifest));
        load.wait_for_more(5);
    }
    assert_eq!(load.stop().errors, Vec::<String>::new());
}

/// The sum in the row 1 of `u`, in the binary part: the last field of the row with that key.
fn sum_of_u(replication: &Replication, manifest: &Value) -> u64 {
    let base = root(replication)
        .join("bases")
        .join(manifest["base"].as_str().unwrap());
    let path = table(manifest, "u")["parts"][0]["path"].as_str().unwrap();
    let bytes = zstd::stream::decode_all(fs::File::open(base.join(path)).unwrap()).unwrap();
    // A header of 19 bytes, then per row: 2 fields, each of 4 bytes with its length before it; an end of 2 bytes.
    let rows = bytes[19..bytes.len() - 2].chunks(18);
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap());
    let mut rows = rows.map(|row| (number(&row[6..10]), number(&row[14..18])));
    let row = rows.find(|(id, _)| *id == 1).unwrap();
    u64::try_from(row.1).unwrap()
}

#[test]
fn a_base_has_the_rows_of_one_tick_wherever_it_is_read() {
    let bases = u32::try_from(choose("bases", vec![(); 20], vec![(); 1]).len()).unwrap();
    let replication = with_database(&Server::debian15());
    is_of_one_moment(&replication, "subscriber", bases);
    is_of_one_moment(&replication, "provider", bases);
    replication.replay.run(&["archive", "verify"]).ok();
    replication.replay.run(&["archive", "check"]).ok();
    // Rows of a tick before a change of the columns do not go with the schema after it.
    replication.replay.run(&["stop"]).ok();
    replication.on_provider("alter table u add column w int");
    wait_until("the shape", SOON, || {
        let has = "select count(*) from trunkline.shape where definition::text like '%\"w\"%'";
        replication.on_provider(has) != "0"
    });
    replication
        .replay
        .run(&["base", "--from", "subscriber"])
        .code(3)
        .says(&["the columns or the name of public.u have changed since"]);
    replication.on_subscriber("alter table u add column w int");
    replication.replay.run(&["start", "-d"]).ok();
    replication.replay.run(&["wait", "--timeout", "120"]).ok();
    replication
        .replay
        .run(&["base", "--from", "subscriber"])
        .ok();
    replication.assert_clean(&[]);
}

#[test]
fn what_a_base_has_not_is_named_and_it_is_incomplete() {
    let replication = with_database(&Server::debian15());
    let replay = &replication.replay;
    replication.on_provider(
        "create table elsewhere (id int); select lo_create(0); create role app; grant select on t to app",
    );
    replication.on_subscriber("alter table u drop column sum");
    replication.on_provider("update u set sum = 1");
    replication.wait_parked("public.u", &[]);
    // Off the subscriber that was named: without the table that is parked there.
    let said = replay.run(&["base", "--from", "subscriber"]).code(1);
    assert!(
        said.stderr
            .contains("not in the base: public.u: it is parked on the subscriber"),
        "{}",
        said.stderr
    );
    let manifest = newest(&replication);
    assert_eq!(manifest["missing"][0]["name"], "u");
    assert_eq!(manifest["roles"], serde_json::json!(["app", "postgres"]));
    let name = manifest["base"].as_str().unwrap().to_owned();
    let shown = replay.run(&["archive", "show", &name]).ok().stdout;
    for words in [
        "state: incomplete",
        "missing: public.u: it is parked",
        "left out: table public.elsewhere: the archive does not keep it",
        "left out: 1 large objects",
        "left out: passwords of roles",
    ] {
        assert!(shown.contains(words), "no {words} in {shown}");
    }
    // By itself it takes the provider, which has all.
    replay.run(&["base", "--label", "all of it"]).ok();
    let manifest = newest(&replication);
    assert_eq!(
        (&manifest["source"], &manifest["label"]),
        (&"provider".into(), &"all of it".into())
    );
    assert_eq!(manifest["missing"], serde_json::json!([]));
    // What it cannot do is refused by name.
    replay
        .run(&["base", "--table", "public.other"])
        .code(2)
        .says(&["does not keep public.other"]);
    replay
        .run(&["base", "--from", "host9"])
        .code(2)
        .says(&["no database is named host9"]);
    replay
        .run(&["archive", "show", "x"])
        .code(3)
        .says(&["has no base x"]);
}

#[test]
fn a_base_that_is_not_whole_counts_for_nothing_and_one_is_made_at_a_time() {
    let replication = super::made(&Server::debian15(), "", "segment_every = 3600");
    running(
        &replication,
        "create table t (id int primary key, v text); insert into t values (1, 'a')",
    );
    let replay = &replication.replay;
    replay.run(&["base"]).ok();
    let first = newest(&replication);
    // The second one cannot read its table, and is killed there.
    let holder = Session::holding(
        &replication.provider,
        replication.db(),
        "lock table t in access exclusive mode",
    );
    let mut second = replay.command(&["base"]).spawn().unwrap();
    let waits = "select count(*) from pg_stat_activity \
                  where application_name like 'trunkline base%' and wait_event_type = 'Lock'";
    wait_until("the second base to wait", SOON, || {
        replication.on_provider(waits) == "1"
    });
    replay
        .run(&["base"])
        .code(5)
        .says(&["another base of it is being made"]);
    second.kill().unwrap();
    second.wait().unwrap();
    holder.ask("rollback");
    // What a kill leaves of one that has begun to write.
    let left = root(&replication).join("bases/20261128T020711Z-48212-p/data/1");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("00000.copy"), "half").unwrap();
    let list = replay.run(&["archive", "list"]).ok().stdout;
    assert!(list.contains("20261128T020711Z-48212-p"), "{list}");
    assert!(list.contains("unfinished"), "{list}");
    replay.run(&["archive", "verify"]).ok();
    assert_eq!(newest(&replication)["base"], first["base"]);
    replay
        .run(&["archive", "show", "20261128T020711Z-48212-p"])
        .code(3)
        .says(&["unfinished"]);
    // The archive does not come to the base's tick: the base is not made.
    replay.run(&["stop"]).ok();
    replication.on_provider("insert into t values (2, 'b')");
    replay
        .run(&["base", "--timeout", "1"])
        .code(4)
        .says(&["is not made"]);
    assert_eq!(newest(&replication)["base"], first["base"]);
    // Nothing is left of it, nor of the one that was killed.
    let left = fs::read_dir(root(&replication).join("bases")).unwrap();
    assert_eq!(left.count(), 1);
}

#[test]
fn damage_of_each_object_of_a_base_is_named() {
    let replication = super::made(&Server::debian15(), "", "");
    running(
        &replication,
        "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b')",
    );
    let replay = &replication.replay;
    replay.run(&["base"]).ok();
    let manifest = newest(&replication);
    let base = format!("bases/{}", manifest["base"].as_str().unwrap());
    let part = manifest["tables"][0]["parts"][0]["path"].as_str().unwrap();
    let objects: BTreeSet<String> = ["schema.dump", part, "manifest.json"]
        .iter()
        .map(|object| format!("{base}/{object}"))
        .collect();
    for object in &objects {
        let path = root(&replication).join(object);
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for damaged in [flipped, bytes[..bytes.len() - 1].to_vec(), Vec::new()] {
            fs::write(&path, damaged).unwrap();
            replay
                .run(&["archive", "verify"])
                .code(1)
                .says(&[object.as_str()]);
        }
        if !object.ends_with("manifest.json") {
            fs::remove_file(&path).unwrap();
            replay
                .run(&["archive", "verify"])
                .code(1)
                .says(&[&format!("{object}: it is missing")]);
        }
        fs::write(&path, &bytes).unwrap();
        replay.run(&["archive", "verify"]).ok();
    }
    fs::write(root(&replication).join("bases/other"), "").unwrap();
    replay
        .run(&["archive", "check"])
        .code(1)
        .says(&["bases/other: it is no base"]);
}

#[test]
fn the_daemon_makes_a_base_when_one_is_due() {
    let replication = super::made(
        &Server::debian15(),
        "",
        "segment_every = 0.2\nbase_every = \"2 s\"",
    );
    running(
        &replication,
        "create table t (id bigserial primary key, v text)",
    );
    let bases = || {
        let list = replication.replay.run(&["archive", "list", "--json"]);
        let list: Value = serde_json::from_str(&list.stdout).unwrap();
        let bases = list["bases"].as_array().unwrap().clone();
        let made = bases.into_iter().filter(|base| base["state"] == "complete");
        made.collect::<Vec<Value>>()
    };
    replication.on_provider("insert into t (v) values ('a')");
    wait_until("the first base", SOON, || !bases().is_empty());
    // The time of ticks counts: without any there is no further one.
    wait_until("a base of later rows", SOON, || {
        replication.on_provider("insert into t (v) values ('b')");
        bases().len() >= 2
    });
    let rows = |base: &Value| base["rows"].as_u64().unwrap();
    let bases = bases();
    assert!(rows(&bases[1]) > rows(&bases[0]), "{bases:?}");
    replication.wait_log("base due consumer=replay1/backup why=\"the newest one is old\"");
    is_made_after_ddl(&replication);
    replication.assert_clean(&[]);
}

/// A base is made when the tables have outgrown the newest one, whatever its age.
fn is_made_after_ddl(replication: &Replication) {
    let config = replication.scratch.path().join("etc/replay.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"2 s\"", "\"10 s\"")).unwrap();
    replication.replay.run(&["restart"]).ok();
    let tables = |manifest: &Value| -> (usize, usize) {
        let tables = manifest["tables"].as_array().unwrap();
        let columns = |one: &Value| one["columns"].as_array().unwrap().len();
        (tables.len(), tables.iter().map(columns).sum())
    };
    let mut number = 0;
    for (why, ddl) in [
        (
            "the columns or the name of a table have changed",
            "alter table t add column w",
        ),
        ("a table has come", "create table later"),
    ] {
        let mut before = None;
        wait_until("a base after DDL", SOON, || {
            let log = replication.replay.log();
            if log.contains(&format!("why=\"{why} since the newest one\"")) {
                return true;
            }
            // On a slow machine the newest one may have grown old in between.
            let now = tables(&newest(replication));
            if before.is_none_or(|before| before != now) {
                before = Some(now);
                number += 1;
                let columns = if ddl.starts_with("create") {
                    "(id int primary key)"
                } else {
                    " int"
                };
                replication.on_provider(&format!("{ddl}{number}{columns}"));
                replication.replay.run(&["add", "--all"]).ok();
            }
            false
        });
    }
    wait_until("a base with all of it", SOON, || {
        let (tables, columns) = tables(&newest(replication));
        tables >= 2 && columns >= 4
    });
}
