//! `replay compare`: what differs is found, all of it and nothing else, whatever is written meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tests::{Cluster, Replication, Server};

/// Runs a comparison that must find differences, and gives what it names, in order.
#[track_caller]
fn named(r: &Replication, args: &[&str]) -> Vec<String> {
    let found = r.replay.run(&[&["-q", "compare"], args].concat()).code(1);
    let mut lines: Vec<String> = found.stderr.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Tables of every kind, each with rows that are easy to take for equal or for different.
const TABLES: &str = "
    create table t (id int primary key, f float8, n numeric, v text, c char(5), own int generated always as (id + 1) stored);
    insert into t select i, i / 3.0, i, 'v' || i, 'c' from generate_series(1, 300) i;
    insert into t values (1001, 'NaN', 'NaN', '', ''), (1002, '-0', 1.0, 'a', 'a'), (1003, null, 1.00, null, null);
    create table pair (b text collate \"C\", a int, v text, primary key (a, b));
    insert into pair select E'x\\\\ \" ''' || i, i % 10, 'v' from generate_series(1, 100) i;
    create table words (w text primary key, v int);
    insert into words select 'w' || i, i from generate_series(1, 200) i;
    create collation spelled (provider = icu, locale = 'und', deterministic = false);
    create table icu (w text collate spelled primary key, v int);
    insert into icu values (U&'\\00e9', 1), ('b', 2);
    create table num (n numeric primary key, v int);
    insert into num values (1.0, 1), (2, 2);
    create table parts (id int primary key, v text) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (100);
    create table parts_2 partition of parts for values from (100) to (1000);
    insert into parts select i, 'v' from generate_series(1, 300) i;
    create table heap (a int, b text);
    insert into heap select i % 10, 'x' from generate_series(1, 50) i;
    create table few (id int primary key, k int, v text, secret text);
    insert into few select i, i % 3, 'v', 's' || i from generate_series(1, 100) i;
    create table odd (id int primary key, i int, s text, ts timestamp, n numeric, f real, j json);
    insert into odd select i, i, 's ', '2026-01-02 03:04:05', i / 3.0, i / 3.0, '{\"a\" :1}' from generate_series(1, 20) i;
    create domain dom as int; create table doms (id dom primary key, v text); insert into doms values (1, 'a'), (2, 'b');
    create role alice; grant usage on schema public to alice; alter table words owner to alice;";

/// The subscriber's own forms of some of them; some belong to another role, and are read as that role.
const THERE: &str = "
    create table t (v text, c char(5), id int primary key, n numeric, f float8, extra int default 7, own int);
    create table pair (b text collate \"C\", a int, v text, primary key (a, b));
    create table words (w text collate \"C\" primary key, v int);
    create collation spelled (provider = icu, locale = 'und', deterministic = false);
    create table icu (w text collate spelled primary key, v int);
    create table num (n numeric primary key, v int);
    create table parts (id int primary key, v text);
    create table heap (a int, b text);
    create table doms (id int unique, v text);
    create table there (id int primary key, k int, v text);
    create table odd (id bigint primary key, i int8, s varchar, ts timestamptz, n numeric(10,2), f float8, j jsonb);
    create role alice; grant usage on schema public to alice; alter table words owner to alice;
    alter table pair owner to alice; alter table heap owner to alice;";

#[test]
fn op_07_planted_differences_are_all_found_and_none_is_invented() {
    let r = Replication::builder().make();
    r.on_provider(TABLES);
    r.on_subscriber(THERE);
    r.start();
    let add = |args: &[&str]| r.replay.run(&[&["add"], args].concat()).ok();
    add(&["t", "pair", "words", "icu", "num", "parts", "odd", "doms"]);
    add(&["heap", "--identity", "full"]);
    let some = [
        "few",
        "--as",
        "there",
        "--where",
        "k > 0",
        "--columns",
        "id,k,v",
    ];
    add(&some);
    r.wait_ok();

    let same = r.replay.run(&["compare"]).ok();
    assert_eq!(
        (same.stdout.lines().count(), same.stderr.as_str()),
        (10, ""),
        "{}",
        same.stdout
    );
    assert!(
        same.stdout.contains("public.t: 303 rows, the same ("),
        "{}",
        same.stdout
    );
    assert!(
        same.stdout.contains("public.few: 67 rows, the same ("),
        "{}",
        same.stdout
    );

    r.on_subscriber(
        "delete from t where id = 7; insert into t (id, v) values (5000, 'extra'), (0, 'first');
         update doms set v = 'c' where id = 2; insert into doms values (null, 'z');
         update t set v = v || ' ' where id = 9; update t set extra = 8 where id = 10;
         update t set f = 0, n = 0 where id = 1001; update t set f = 0, v = null where id = 1002;
         update t set n = 1.000, v = '' where id = 1003; update t set f = f + 1e-13 where id = 3;
         update t set c = 'd', v = 'x' where id = 300;
         update pair set v = 'w' where a = 3 and b like '%\" ''13';
         update words set v = -1 where w = 'w77'; delete from words where w = 'w78'; insert into words values ('W1', 1);
         update icu set w = U&'e\\0301' where v = 1;
         update num set n = 1.00 where v = 1;
         delete from parts where id = 150;
         delete from heap where ctid = (select ctid from heap where a = 4 limit 1); insert into heap values (5, 'x'), (6, 'y');
         update there set v = 'w' where id = 4; insert into there values (3, 0, 'v');
         update odd set ts = ts + '1 hour', j = '{\"a\": 2}' where id = 5; update odd set n = n + 0.01 where id = 6",
    );
    // No comparison runs the check of a key's type, which is code of its owner.
    r.on_provider("alter domain dom add constraint never check (value < 0) not valid");
    let at = "the subscriber";
    let mut expected = vec![
        format!("public.doms: id = 2: differs on {at} in v"),
        format!("public.doms: id = null: only on {at}"),
        format!("public.t: id = 7: missing on {at}"),
        format!("public.t: id = 5000: only on {at}"),
        format!("public.t: id = 0: only on {at}"),
        format!("public.t: id = 9: differs on {at} in v"),
        format!("public.t: id = 1001: differs on {at} in f, n"),
        format!("public.t: id = 1002: differs on {at} in f, v"),
        format!("public.t: id = 1003: differs on {at} in n, v"),
        format!("public.t: id = 3: differs on {at} in f"),
        format!("public.t: id = 300: differs on {at} in v, c"),
        format!("public.pair: a = 3, b = x\\ \" '13: differs on {at} in v"),
        format!("public.words: w = w77: differs on {at} in v"),
        format!("public.words: w = w78: missing on {at}"),
        format!("public.words: w = W1: only on {at}"),
        format!("public.icu: w = \u{e9}: differs on {at} in w"),
        format!("public.num: n = 1.0: differs on {at} in n"),
        format!("public.parts: id = 150: missing on {at}"),
        format!("public.few: id = 3: only on {at}"),
        format!("public.few: id = 4: differs on {at} in v"),
        format!("public.odd: id = 5: differs on {at} in ts, j"),
        format!("public.odd: id = 6: differs on {at} in n"),
    ];
    expected.sort();
    let mut found = named(&r, &[]);
    let of_heap: Vec<String> = found
        .extract_if(.., |line| line.starts_with("public.heap: "))
        .collect();
    assert_eq!(found, expected);
    // Rows without a key have no name but their hash: (4,x) is there once less, (5,x) once more, (6,y) only there.
    let md5 = |row: &str| r.on_provider(&format!("select md5(row({row})::text)"));
    let mut of_rows = [
        format!(
            "public.heap: md5 = {}: missing on {at}",
            md5("4, 'x'::text")
        ),
        format!("public.heap: md5 = {}: only on {at}", md5("5, 'x'::text")),
        format!("public.heap: md5 = {}: only on {at}", md5("6, 'y'::text")),
    ];
    of_rows.sort();
    assert_eq!(of_heap, of_rows);

    let told = r.replay.run(&["compare", "words", "num", "--json"]).code(1);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let one = told
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["table"] == "public.num")
        .unwrap();
    assert_eq!(
        (one["equal"].as_bool(), one["rows"].as_u64()),
        (Some(false), Some(2))
    );
    assert_eq!(
        one["differing"],
        serde_json::json!([{"key": {"n": "1.0"}, "kind": "changed", "columns": ["n"], "count": 1}])
    );

    // A comparison is cut after some rows, begins after a key, and says what it cannot compare.
    let cut = r.replay.run(&["compare", "t", "--most", "1"]).code(1);
    assert!(cut.stdout.contains("differ: "), "{}", cut.stdout);
    let after = named(&r, &["t", "--after", "(300)"]);
    assert_eq!(after.len(), 4, "{after:?}");
    let after = r
        .replay
        .run(&["compare", "t", "--after", "(300)", "--json"])
        .code(1);
    assert!(
        after.stdout.contains("\"complete\": false"),
        "{}",
        after.stdout
    );
    // A sample is never empty where the table has rows.
    for table in ["t", "words"] {
        named(&r, &[table, "--sample", "0.001"]);
    }
    r.replay
        .run(&["repair", "doms"])
        .code(3)
        .says(&["has no value in its key"]);
    for (args, code, says) in [
        (&["words", "--after", "(w1)"][..], 3, "leave out --after"),
        (
            &["t", "nothing"],
            1,
            "not compared: public.nothing: is not replicated",
        ),
        (&["t", "--sample", "0"], 2, "not a number above 0"),
        (&["--after", "(1)"], 2, "--after takes one table"),
    ] {
        r.replay
            .run(&[&["compare"], args].concat())
            .code(code)
            .says(&[says]);
    }
    // The daemon may be in the middle of a batch when it is told to pause.
    r.replay.run(&["pause"]).ok();
    tests::wait_until("the pause to be felt", Duration::from_secs(120), || {
        r.on_provider("update t set v = v || 'late' where id = 1");
        let late = r.replay.run(&["compare", "t", "--timeout", "0.5"]);
        late.code == 4 && late.stderr.contains("the job is paused")
    });
}

/// Plants differences in tables that have a key.
const PLANTED: &str = "
    delete from t where id in (7, 8); insert into t (id, v) values (5000, 'extra');
    update t set v = E'it''s \\\\ ', f = 0.1, n = 1.000 where id in (9, 1001); update t set extra = 9 where id = 9;
    update pair set v = 'w' where a = 3; delete from pair where a = 4;
    delete from parts where id = 150; update parts set v = null where id = 5;
    update there set v = 'w' where id = 4; delete from there where id = 5; insert into there values (3, 0, 'v');";

/// Its part that needs a column which only the subscriber has.
const OWN: &str = "update t set extra = 9 where id = 9;";

#[test]
fn op_07_rows_that_differ_are_made_equal_by_statements_or_by_the_daemon() {
    let r = Replication::builder().make();
    r.on_provider(TABLES);
    r.on_subscriber(THERE);
    r.start();
    let add = |args: &[&str]| r.replay.run(&[&["add"], args].concat()).ok();
    add(&["t", "pair", "num", "parts"]);
    add(&["heap", "--identity", "full"]);
    add(&[
        "few",
        "--as",
        "there",
        "--where",
        "k > 0",
        "--columns",
        "id,k,v",
    ]);
    r.wait_ok();
    let keyed = ["t", "pair", "parts", "few"];
    let compare = |more: &[&str]| r.replay.run(&[&["-q", "compare"], more].concat());
    let repair = |more: &[&str]| r.replay.run(&[&["-q", "repair"], more].concat());
    assert_eq!(repair(&keyed).ok().stdout, "");

    // The statements do what they say, and change nothing until they are run.
    r.on_subscriber(PLANTED);
    r.on_subscriber("update num set n = 1.00 where v = 1");
    let statements = repair(&[&keyed[..], &["num"]].concat()).code(1).stdout;
    assert!(
        statements.contains("\ndelete from public.there where id = '3';\n"),
        "{statements}"
    );
    compare(&keyed).code(1);
    let file = r.scratch.file("repair.sql", &statements);
    r.subscribers[0].psql_file(r.db(), &file).ok();
    compare(&[&keyed[..], &["num"]].concat()).ok();

    // A row is deleted and fetched anew, which would take the values of columns that only the subscriber has.
    r.on_subscriber(PLANTED);
    repair(&["t", "--apply"]).code(3).says(&[
        "columns that only the subscriber has",
        "resync public.t --swap",
    ]);
    assert_eq!(r.on_subscriber("select extra from t where id = 9"), "9");
    r.on_subscriber("alter table t drop column extra, drop column own");

    // The daemon does it while the same rows are written.
    let load = r.load(
        1,
        Duration::from_millis(5),
        &(Arc::new(|_: &mut rand::rngs::StdRng, n: u64| {
            let id = n % 300 + 1;
            format!(
                "update t set v = 'new{n}' where id = {id}; update parts set v = 'x{n}' where id in ({id}, 151);
                 delete from few where id = {other}; insert into few values ({other}, 2, 'v{n}', 's')",
                other = n % 50 + 51
            )
        }) as tests::Writes),
    );
    let repaired = r
        .replay
        .run(&[&["repair", "--apply"], &keyed[..]].concat())
        .ok();
    assert!(
        repaired
            .stdout
            .contains("public.pair: 20 rows repaired on the subscriber"),
        "{}",
        repaired.stdout
    );
    let _ = load.stop();
    r.sync();
    compare(&keyed).ok();
    let left = "select count(*) from trunkline.repair_key";
    assert_eq!(r.on_subscriber(left), "0");

    // A repair that was asked for is done as soon as the daemon is there.
    r.on_subscriber(&PLANTED.replace(OWN, ""));
    r.sync();
    r.replay.run(&["stop"]).ok();
    repair(&["parts", "--apply", "--timeout", "0.5"])
        .code(4)
        .says(&["does replay run?"]);
    r.on_subscriber(
        "insert into trunkline.repair_key select consumer, 'public', 'parts', k, '{id}'
           from trunkline.position, unnest(array['150', '5']) k",
    );
    r.replay.run(&["start", "-d"]).ok();
    tests::wait_until("the rows to be there", Duration::from_secs(120), || {
        r.on_subscriber("select count(*) from trunkline.repair_key") == "0"
    });
    r.sync();
    compare(&["parts"]).ok();
    compare(&["pair"]).code(1);

    // What keys do not tell is not touched; rows without a key are counted.
    r.on_subscriber("insert into heap values (1, 'z'); update num set n = 1.00 where v = 1");
    repair(&["heap", "--apply"]).ok();
    repair(&["num", "--apply"])
        .code(3)
        .says(&["can have different texts"]);
    repair(&["t", "--apply", "--most", "1"])
        .code(3)
        .says(&["the rest was not compared"]);
    assert_eq!(r.on_subscriber("select count(*) from heap"), "50");

    // A resync with --repair leaves what is the same, fetches few rows, and copies what keys do not tell.
    r.on_subscriber("delete from parts where id = 1; insert into heap values (1, 'z')");
    let again = r
        .replay
        .run(&[
            "resync", "parts", "heap", "num", "few", "--repair", "--wait",
        ])
        .ok();
    for says in [
        "public.parts: 1 rows repaired",
        "public.heap: 1 rows repaired",
        "public.num is copied again",
        "public.few: 3 rows repaired",
    ] {
        assert!(again.stdout.contains(says), "{says}: {}", again.stdout);
    }
    assert!(
        !again.stdout.contains("public.parts is copied again"),
        "{}",
        again.stdout
    );
    compare(&["parts", "heap", "num", "few"]).ok();
    let same = r.replay.run(&["resync", "parts", "--repair"]).ok();
    assert!(!same.stdout.contains("copied again"), "{}", same.stdout);

    // A table that the provider cannot be asked about is copied, which its copy then cannot either: it is parked.
    r.on_provider(
        "create function theirs(int) returns int language sql immutable as 'select 1'; create index on few (theirs(id));
         alter function theirs owner to alice",
    );
    let again = r.replay.run(&["resync", "few", "--repair"]).ok();
    again.says(&["not compared: ", "belongs to another role"]);
    tests::wait_until("the copy to be refused", Duration::from_secs(120), || {
        r.on_subscriber("select state from trunkline.table_state where table_name = 'few'")
            == "parked"
    });
}

#[test]
fn op_07_a_comparison_under_load_names_what_differs_and_nothing_else() {
    let r = Replication::running(
        "create table hot (id int primary key, n int); insert into hot values (1, 0);
         create table big (id int primary key, n int, v text);
         insert into big select i, 0, 'v' from generate_series(1, 60001) i;
         create table hash (id text primary key, n int);
         insert into hash select 'k' || i, 0 from generate_series(1, 2000) i;
         create table few (id int primary key); insert into few values (1), (2), (3)",
    );
    // At the borders of stretches, and beside the last row.
    r.on_subscriber(
        "delete from big where id in (50000, 60001); update big set v = 'w' where id = 50001;
         insert into big values (-5, 0, 'v'), (200000, 0, 'v'); delete from few where id = 2",
    );
    let load = r.load(
        2,
        Duration::from_millis(5),
        &(Arc::new(|rng: &mut rand::rngs::StdRng, n: u64| {
            use rand::RngExt as _;
            let (id, other) = (rng.random_range(1..=40_000), rng.random_range(52_000..=60_000));
            format!(
                "update hot set n = n + 1; update big set n = n + 1 where id = {id};
                 delete from big where id = {other}; insert into big values ({other}, {n}, 'new');
                 update hash set n = n + 1 where id = 'k{}';
                 insert into hash values ('new{n}', 1) on conflict do nothing; delete from hash where id = 'new{}'",
                id % 2000 + 1,
                n / 2
            )
        }) as tests::Writes),
    );
    for run in 0..20 {
        let small = named(&r, &["hot", "hash", "few"]);
        assert_eq!(small, ["public.few: id = 2: missing on the subscriber"]);
        if run % 10 == 0 {
            assert_eq!(
                named(&r, &["big"]),
                [
                    "public.big: id = -5: only on the subscriber",
                    "public.big: id = 200000: only on the subscriber",
                    "public.big: id = 50000: missing on the subscriber",
                    "public.big: id = 50001: differs on the subscriber in v",
                    "public.big: id = 60001: missing on the subscriber",
                ]
            );
        }
    }
    load.wait_for_more(100);
    let totals = load.stop();
    assert!(totals.errors.is_empty(), "{totals:?}");

    // A stretch in which the subscriber has far more rows is listed by parts.
    r.on_subscriber("insert into big select i, 0, 'v' from generate_series(300000, 410000) i");
    let many = r.replay.run(&["compare", "big", "--most", "10"]).code(1);
    assert!(
        many.stdout.contains("the rest was not compared"),
        "{}",
        many.stdout
    );
}

#[test]
fn floats_are_compared_to_the_last_bit_between_servers_that_write_them_differently() {
    let cluster = |version| Cluster::builder(&Server::version(version));
    let r = Replication::builder()
        .provider(cluster(10))
        .subscribers(vec![cluster(18)])
        .running(
            "create table f (id int primary key, d float8, r real, a float8[], t text);
             insert into f select i, i / 7.0, i / 7.0, array[i / 8.0], 'x' from generate_series(1, 50) i;
             create table keyed (d float8 primary key, v text);
             insert into keyed select i / 7.0, 'v' from generate_series(1, 50) i;
             insert into f values (0, 'NaN', '-0', '{NaN}', 'y'), (-1, '-0', 'NaN', null, null),
                 (-2, '1e-300', '1e-30', '{-0}', ''), (-3, 'infinity', '-infinity', '{1e300}', '')",
        );
    r.replay.run(&["compare"]).ok();
    r.on_subscriber(
        "update f set d = d + 2e-16 where id = 1; update f set d = '0' where id = -1;
         update f set r = float4 '0.42857146' where id = 3; update keyed set v = 'w' where d = float8 '0.42857142857142855'",
    );
    assert_eq!(
        named(&r, &[]),
        [
            "public.f: id = -1: differs on the subscriber in d",
            "public.f: id = 1: differs on the subscriber in d",
            "public.f: id = 3: differs on the subscriber in r",
            "public.keyed: d = 4.2857142857142855e-1: differs on the subscriber in v",
        ]
    );
}
