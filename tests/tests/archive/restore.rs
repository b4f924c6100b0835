//! What was archived comes back: all of it, or a table, at any tick, whoever is killed meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::RngExt as _;
use serde_json::Value;
use tests::{Cluster, Output, Replication, Server, choose, same};

use super::{
    assert_whole,
    base::{newest, writes},
    in_no_base, made, root, running, segments,
};

/// Tables with all that a schema can have around them, and a role.
const SCHEMA: &str = "create type mood as enum ('sad', 'glad'); \
     create table u (id int primary key, sum int not null); insert into u values (1, 0), (2, 0); \
     create table t (id serial primary key, v text default 'x', m mood, u int references u default 1, \
                     at timestamptz not null default clock_timestamp()); \
     create index t_v on t (v); create view seen as select id, v from t where m = 'glad'; \
     create materialized view counted as select count(*) from t; \
     create materialized view by_key as select id, v from t group by id; create unique index on by_key (id); \
     create function note() returns trigger language plpgsql as $$ begin return new; end $$; \
     create trigger note before insert on t for each row execute procedure note(); \
     grant select on t to app; alter table u owner to app; comment on table t is 'the rows'";

/// A provider with an archive, a base in the middle of a load, and what followed it.
pub(super) fn archived(server: &Server) -> Replication {
    let replication = made(server, "", "segment_every = 0.5");
    replication.on_provider("create role app");
    running(&replication, SCHEMA);
    replication.on_provider("create table log (id int)");
    let load = replication.load(2, Duration::from_millis(2), &writes());
    load.wait_for_more(30);
    replication.replay.run(&["base", "-j", "2"]).ok();
    load.wait_for_more(30);
    // A restore follows the tables' columns.
    replication.on_provider(
        "alter table t add column extra int not null default 7; alter table u alter sum type bigint",
    );
    load.wait_for_more(30);
    assert_eq!(load.stop().errors, Vec::<String>::new());
    assert_whole(&replication);
    replication
}

/// Makes a database to restore into.
pub(super) fn database(cluster: &Cluster, name: &str) -> String {
    cluster.create_db(name);
    cluster.socket_conninfo(name)
}

/// The tick that a restore said it reached.
fn tick_of(said: &str) -> i64 {
    let rest = said.split("restored to tick ").nth(1).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Both tables agree, as they did at each tick.
#[track_caller]
fn assert_agrees(cluster: &Cluster, db: &str) {
    let rows = cluster.psql(db, "select count(*) from t");
    assert_eq!(
        rows,
        cluster.psql(db, "select sum from u where id = 1"),
        "{db}"
    );
}

/// All that the schema has is there, and nothing of ours.
#[track_caller]
fn assert_like_the_provider(replication: &Replication, cluster: &Cluster, db: &str) {
    let provider = (&replication.provider, replication.db());
    for table in ["public.t", "public.u"] {
        same(provider, (cluster, db), table);
    }
    let ask = |sql: &str| cluster.psql(db, sql);
    let equal = |sql: &str| assert_eq!(ask(sql), replication.on_provider(sql), "{sql}");
    equal("select count(*) from pg_indexes where schemaname = 'public'");
    equal(
        "select count(*), bool_and(convalidated) from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'",
    );
    equal("select count(*) from seen");
    equal("select last_value from t_id_seq");
    equal("select obj_description('t'::regclass)");
    assert_eq!(
        ask("select string_agg(tgname, ' ') from pg_trigger where not tgisinternal"),
        "note"
    );
    assert_eq!(
        ask("select count(*) from pg_namespace where nspname in ('trunkline', 'pgq')"),
        "0"
    );
    assert_eq!(ask("select count(*) from log"), "0");
}

#[test]
fn a_restore_has_the_state_of_any_tick_and_of_any_time() {
    let replication = archived(&Server::debian15());
    let (replay, cluster) = (&replication.replay, &replication.provider);
    let into = database(cluster, "latest");
    let said = replay.run(&["restore", "--into", &into, "-j", "2"]).ok();
    for words in [
        "not in the archive: table public.log: the archive does not keep it",
        "not filled: materialized view public.counted: refresh it",
    ] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    let last = tick_of(&said.stdout);
    assert_like_the_provider(&replication, cluster, "latest");
    let owner = "select tableowner || ' ' || has_table_privilege('app', 't', 'select') from pg_tables where tablename = 'u'";
    assert_eq!(cluster.psql("latest", owner), "app true");
    // Any tick from the base on, and any time.
    let first = newest(&replication)["at"][1].as_str().unwrap().to_owned();
    let first: i64 = first.parse().unwrap();
    let mut random = rand::rng();
    let rounds = choose("restored ticks and times", vec![(); 25], vec![(); 1]).len();
    for round in 0..rounds {
        let tick = random.random_range(first..=last);
        let db = format!("tick{round}");
        let into = database(cluster, &db);
        let said = replay
            .run(&["restore", "--into", &into, "--to", &tick.to_string()])
            .ok();
        assert_eq!(tick_of(&said.stdout), tick);
        assert_agrees(cluster, &db);
        let row = random.random_range(1..=100);
        let time = replication.on_provider(&format!(
            "select to_char(min(at) + {row} / 100.0 * (max(at) - min(at)), 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF') \
               from t where id > (select count(*) from t) / 2"
        ));
        let time = format!("{time}:00");
        let db = format!("time{round}");
        let into = database(cluster, &db);
        let said = replay
            .run(&["restore", "--into", &into, "--to", &time, "--no-owner"])
            .ok();
        assert_agrees(cluster, &db);
        let later = cluster.psql(&db, &format!("select count(*) from t where at > '{time}'"));
        assert_eq!(later, "0", "{time}: {}", said.stdout);
        // The next tick is a later one than was asked for, and what it shows is missing.
        let next = said.stdout.split(" is of ").nth(1);
        if let Some(next) = next {
            let next = next.split(':').take(3).collect::<Vec<_>>().join(":");
            let next = next.split(", ").next().unwrap().split(": ").next().unwrap();
            let sql = format!("select '{next}'::timestamptz > '{time}'::timestamptz");
            assert_eq!(cluster.psql(&db, &sql), "t", "{next} and {time}");
        }
    }
    replication.assert_clean(&[]);
}

#[test]
fn a_table_comes_back_beside_the_living_one() {
    let replication = archived(&Server::debian15());
    let (replay, cluster) = (&replication.replay, &replication.provider);
    let tick = replication.on_provider("select last_tick_id from pgq.get_queue_info('q1')");
    let rows = "select md5(string_agg(t::text, ',' order by id)) from (select id, v, m, u, at from";
    let before = replication.on_provider(&format!("{rows} t) t"));
    replication.on_provider("delete from t where id % 2 = 0; update t set v = 'wrong'");
    assert_whole(&replication);
    let into = cluster.socket_conninfo(replication.db());
    let restore = [
        "restore",
        "--into",
        &into,
        "--to",
        &tick,
        "--table",
        "public.t=public.t_before",
    ];
    replay.run(&restore).ok();
    assert_eq!(
        replication.on_provider(&format!("{rows} t_before) t")),
        before
    );
    replay
        .run(&restore)
        .code(3)
        .says(&["there already: public.t_before"]);
    // Nothing of the restore is left, and the provider goes on.
    assert_eq!(
        replication.on_provider(
            "select (select count(*) from trunkline.restore) + (select count(*) from trunkline.position)"
        ),
        "0"
    );
    replication.on_provider("insert into t (v) values ('later')");
    assert_whole(&replication);
    replication.assert_clean(&[]);
}

/// Waits for a program at most so long, then kills it; whether it had ended by itself.
fn killed(mut child: std::process::Child, after: Duration) -> bool {
    std::thread::sleep(after);
    if child.try_wait().unwrap().is_some() {
        return true;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[test]
fn a_restore_that_is_killed_anywhere_goes_on_and_is_exact() {
    let replication = archived(&Server::debian15());
    let (replay, cluster) = (&replication.replay, &replication.provider);
    let mut random = rand::rng();
    let rounds = choose("restores that are killed", vec![(); 20], vec![(); 1]).len();
    for round in 0..rounds {
        let db = format!("r{round}");
        let into = database(cluster, &db);
        let args = ["restore", "--into", &into, "-j", "2"];
        let mut ended = false;
        for _ in 0..6 {
            let mut command = replay.command(&args);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            let after = Duration::from_millis(random.random_range(20..900));
            ended = killed(command.spawn().unwrap(), after);
            if ended {
                break;
            }
        }
        if !ended {
            // Another target would not be the same restore.
            let begun = "select count(*) from information_schema.tables where table_name = 'restore' and table_schema = 'trunkline'";
            if cluster.psql(&db, begun) == "1"
                && cluster.psql(&db, "select count(*) from trunkline.restore") != "0"
            {
                replay
                    .run(&["restore", "--into", &into, "--to", "1000000", "-j", "2"])
                    .code(3)
                    .says(&["another restore has begun"]);
            }
            replay.run(&args).ok();
        }
        assert_like_the_provider(&replication, cluster, &db);
    }
}

/// Has an object damaged while something runs.
pub(super) fn with_damaged(path: &Path, run: impl FnOnce()) {
    let bytes = fs::read(path).unwrap();
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(path, flipped).unwrap();
    run();
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_cannot_be_restored_is_refused_by_name() {
    let replication = archived(&Server::debian15());
    let (replay, cluster) = (&replication.replay, &replication.provider);
    let manifest = newest(&replication);
    let base = format!("bases/{}", manifest["base"].as_str().unwrap());
    let at: i64 = manifest["at"][1].as_str().unwrap().parse().unwrap();
    let into = database(cluster, "r");
    let refused = |args: &[&str], code: i32, words: &str| -> Output {
        let all: Vec<&str> = [&["restore", "--into", into.as_str()], args].concat();
        replay.run(&all).code(code).says(&[words])
    };
    refused(&["--to", "100000000"], 3, "the archive ends at tick");
    refused(
        &["--to", "2100-01-01T00:00:00Z"],
        3,
        "the archive ends at tick",
    );
    refused(&["--to", "1"], 3, "the oldest base that serves is of tick");
    refused(
        &["--to", "2001-01-01T00:00:00Z"],
        3,
        "the oldest base that serves",
    );
    refused(&["--to", "yesterday"], 2, "neither a tick's number");
    refused(&["--base", "20261128T020711Z-1-p"], 3, "has no base");
    refused(
        &["--table", "public.other"],
        3,
        "no base at or before that has rows of public.other",
    );
    let plan = replay.run(&["restore", "--into", &into, "--dry-run"]).ok();
    let plan = plan.stdout;
    assert!(
        plan.contains(&format!("of tick {at}")) && plan.contains("segments"),
        "{plan}"
    );
    assert_eq!(
        cluster.psql(
            "r",
            "select count(*) from pg_namespace where nspname = 'trunkline'"
        ),
        "0"
    );
    // Into a database that has the tables; where a role is missing.
    replay
        .run(&[
            "restore",
            "--into",
            &cluster.socket_conninfo(replication.db()),
        ])
        .code(3)
        .says(&["there already", "public.t"]);
    let other = Cluster::builder(&Server::debian15()).start();
    let elsewhere = database(&other, "r");
    replay
        .run(&["restore", "--into", &elsewhere])
        .code(3)
        .says(&["the server lacks roles of the schema: app"]);
    // Damage of each kind of object.
    let part_of = |name: &str| -> &str {
        let mut tables = manifest["tables"].as_array().unwrap().iter();
        let table = tables.find(|one: &&Value| one["name"] == name).unwrap();
        table["parts"][0]["path"].as_str().unwrap()
    };
    let part = part_of("t");
    let segment = segments(&replication).pop().unwrap();
    let in_base = |name: &str| -> PathBuf { root(&replication).join(&base).join(name) };
    for (path, words) in [
        (in_base("manifest.json"), "no complete base"),
        (in_base("schema.dump"), "schema.dump"),
        (in_base(part), part),
        (
            segment.clone(),
            segment.file_name().unwrap().to_str().unwrap(),
        ),
    ] {
        with_damaged(&path, || {
            refused(&[], 3, words);
        });
    }
    // A segment that is missing.
    let all = segments(&replication);
    let gone = &all[all.len() - 2];
    let away = root(&replication).join("away");
    fs::rename(gone, &away).unwrap();
    refused(&[], 3, "before it is missing");
    fs::rename(&away, gone).unwrap();
    // What the refused ones have done is no obstacle, and what somebody else has got there meanwhile stays.
    let other = "insert into trunkline.position (consumer, job, queue, epoch, tick_id, tick_tag, tick_time) \
                 values ('other', 'other', 'q2', 1, 1, 1, now())";
    cluster.psql("r", other);
    replay.run(&["restore", "--into", &into]).ok();
    let positions = "select string_agg(consumer, ' ') from trunkline.position";
    assert_eq!(cluster.psql("r", positions), "other");
    cluster.psql("r", "drop schema trunkline cascade");
    assert_like_the_provider(&replication, cluster, "r");
    // One that is not wanted any more is given up.
    let half = database(cluster, "half");
    let table = [
        "restore",
        "--into",
        &half,
        "--table",
        "public.u=public.again",
    ];
    with_damaged(&in_base(part_of("u")), || {
        replay.run(&table).code(3).says(&[part_of("u")]);
    });
    let again =
        "select to_regclass('public.again') is not null, to_regnamespace('trunkline') is not null";
    assert_eq!(cluster.psql("half", again), "t|t");
    let abandon = ["restore", "--into", &half, "--abandon"];
    replay.run(&abandon).ok();
    assert_eq!(cluster.psql("half", again), "f|f");
    replay
        .run(&abandon)
        .code(3)
        .says(&["no restore in this database waits"]);
    in_no_base::are_told(&replication);
}

#[test]
fn what_an_old_server_had_comes_back_on_a_new_one_and_off_a_subscriber() {
    let replication = Replication::builder()
        .provider(Cluster::builder(&Server::version(10)))
        .subscribers(vec![Cluster::builder(&Server::version(18))])
        .make();
    super::add_archive(&replication, "segment_every = 0.5");
    let subscriber = &replication.subscribers[0];
    replication.on_provider("create role app");
    subscriber.psql("postgres", "create role app");
    replication.everywhere(SCHEMA);
    replication.on_provider("create table log (id int)");
    replication.on_subscriber("delete from u");
    replication.start();
    replication
        .replay
        .run(&[
            "add",
            "public.t",
            "public.u",
            "--with-seqs",
            "--wait",
            "120",
        ])
        .ok();
    let load = replication.load(1, Duration::from_millis(2), &writes());
    load.wait_for_more(10);
    replication
        .replay
        .run(&["base", "--from", "subscriber"])
        .ok();
    load.wait_for_more(20);
    assert_eq!(load.stop().errors, Vec::<String>::new());
    // A table that came after the base is in no base: that is said.
    replication.on_provider("create table later (id int primary key)");
    replication
        .replay
        .run(&["add", "--subscriber", "backup", "public.later"])
        .ok();
    replication.on_provider("insert into later values (1)");
    assert_whole(&replication);
    let into = database(subscriber, "r");
    replication
        .replay
        .run(&["restore", "--into", &into])
        .code(1)
        .says(&["not restored: public.later: the archive keeps it since after the base"]);
    replication.on_provider("drop table later");
    assert_like_the_provider(&replication, subscriber, "r");
    replication.assert_clean(&[]);
}
