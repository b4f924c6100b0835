//! `replay add --columns` and `--as`: which columns a subscriber has, and in which of its tables; several subscribers
//! with filters of their own.

use tests::{Cluster, Replication, Server, same, wait_until};

use crate::filters::{SOON, equal_on};

#[test]
fn fl_03_dd_05_dd_06_only_the_listed_columns_are_replicated_and_others_keep_their_values() {
    let r = Replication::builder().make();
    r.on_provider(
        "create table t (id int primary key, \"a'\" text, \"B, c\" int, secret text, g int generated always as (id * 2) stored,
                         twice int generated always as (id + 1) stored);
         create table f (a int, b int, c int);
         insert into t select i, 'a' || i, i, 'secret' from generate_series(1, 400) i;
         insert into f select i % 4, i % 3, i from generate_series(1, 120) i",
    );
    // Fewer columns, another order, one of its own, one that is generated here alone and one on both sides.
    r.on_subscriber(
        "create table t (own text default 'mine', \"B, c\" bigint, \"a'\" text, id int primary key,
                         here int generated always as (id + 7) stored, twice int generated always as (id + 1) stored);
         create table f (b int, a int, own int)",
    );
    r.start();
    for (columns, says) in [
        ("\"a'\",\"B, c\"", "leaves out id"),
        (
            "id,nothing,\"No, thing\"",
            "has no column nothing, \"No, thing\"",
        ),
        (
            "id,g",
            "has no column g on the provider, or only a generated one",
        ),
        ("id,secret", "has no column secret on the subscriber"),
    ] {
        let add = ["add", "t", "--columns", columns];
        r.replay.run(&add).code(3).says(&[says]);
    }
    r.replay.run(&["add", "t", "--columns", "id,"]).code(2);
    r.on_subscriber("alter table t add must int not null");
    let add = ["add", "t", "--columns", "id,\"B, c\""];
    let says = "gets no value for must on the subscriber";
    r.replay.run(&add).code(3).says(&[says]);
    r.on_subscriber("alter table t drop must");
    r.replay
        .run(&["add", "t"])
        .code(3)
        .says(&["has no column secret"]);
    assert_eq!(
        r.on_provider("select count(*) from trunkline.captured"),
        "0"
    );
    let add = [
        "add",
        "t",
        "--columns",
        "\"B, c\", id,\"a'\"",
        "--where",
        "secret <> 'hidden'",
    ];
    r.replay.run(&add).ok();
    let add = ["add", "f", "--columns", "a,b", "--identity", "full"];
    r.replay.run(&add).ok();
    r.wait_ok();
    let check = |r: &Replication| {
        r.sync();
        let columns = "id, \"a'\", \"B, c\"::bigint as n, twice";
        equal_on(
            r,
            &r.subscribers[0],
            &format!("select {columns} from t where secret <> 'hidden'"),
            &format!("select {columns} from t"),
        );
        equal_on(
            r,
            &r.subscribers[0],
            "select a, b from f",
            "select a, b from f",
        );
    };
    check(&r);
    r.on_subscriber("update t set own = 'kept' where id <= 200");
    for change in [
        "update t set \"a'\" = \"a'\" || '!', secret = 'other' where id % 2 = 0",
        "update t set secret = 'hidden' where id % 10 = 0",
        "update t set secret = '' where id % 20 = 0",
        "insert into t (id, \"a'\", \"B, c\", secret) select i, 'n', i, 's' from generate_series(1001, 1300) i",
        "update t set id = id + 5000 where id % 7 = 0; delete from t where \"B, c\" % 13 = 0",
        "update f set c = c + 1; update f set a = a + 1 where c % 2 = 0; delete from f where c % 5 = 0; insert into f values (1, 1, 1), (1, 1, 2)",
        // Columns that come, go and are renamed: those that are not listed are nobody's concern.
        "alter table t add new float8 default random(); alter table t add k int default 5; update t set new = 1",
        "alter table t drop k; alter table f drop c; update f set b = b + 1 where a = 2",
    ] {
        r.on_provider(change);
        check(&r);
    }
    assert_eq!(
        r.on_subscriber(
            "select own, count(*) > 50 from t where id <= 200 and id % 20 <> 0 group by own"
        ),
        "kept|t"
    );
    r.on_provider("alter table t rename \"B, c\" to d; update t set d = 1 where id = 1");
    wait_until("the renamed column to park the table", SOON, || {
        r.state("public.t") == "parked"
    });
    r.on_subscriber("alter table t rename \"B, c\" to d");
    r.wait_ok();
    r.sync();
    let columns = "id, d::bigint, \"a'\"";
    equal_on(
        &r,
        &r.subscribers[0],
        &format!("select {columns} from t where secret <> 'hidden'"),
        &format!("select {columns} from t"),
    );
    let json = r.replay.run(&["tables", "--json"]).ok().stdout;
    assert!(
        json.contains("\"columns\": [\n") || json.contains("\"columns\":["),
        "{json}"
    );
    r.assert_no_conflicts();
    r.assert_clean(&["table parked"]);
}

#[test]
fn pt_01_a_table_goes_to_one_of_another_name_partitioned_or_not() {
    let pairs = tests::choose("pairs", vec![(15, 15), (10, 18), (18, 15)], vec![(15, 15)]);
    for (here, there) in pairs {
        other_names(here, there);
    }
}

/// The provider's table, and where it goes.
const TARGETS: [(&str, &str); 4] = [
    ("flat", "archive.flat"),
    ("apart", "archive.\"In Parts\""),
    ("together", "archive.whole"),
    ("swap_a", "swap_b"),
];

fn other_names(here: u32, there: u32) {
    let r = Replication::builder()
        .provider(Cluster::builder(&Server::version(here)))
        .subscribers(vec![Cluster::builder(&Server::version(there))])
        .make();
    // Before PostgreSQL 11 a partitioned table has no key.
    let (key, leaf) = if here < 11 {
        ("", " (primary key (id, d))")
    } else {
        (", primary key (id, d)", "")
    };
    r.on_provider(&format!(
        "create table flat (id int primary key, v text); create table apart (id int, d int, v text, primary key (id, d));
         create table together (id int not null, d int not null, v text{key}) partition by range (d);
         create table together_1 partition of together{leaf} for values from (0) to (10);
         create table together_2 partition of together{leaf} for values from (10) to (1000);
         create table swap_a (id int primary key, v text); create table swap_b (id int primary key, v text);
         insert into flat select i, repeat('f', 300) from generate_series(1, 20000) i;
         insert into apart select i, i % 30, 'a' from generate_series(1, 2000) i;
         insert into together select i, i % 30, 't' from generate_series(1, 2000) i;
         insert into swap_a select i, 'a' from generate_series(1, 50) i; insert into swap_b select i, 'b' from generate_series(1, 60) i",
    ));
    r.on_subscriber(
        "create schema archive; create table archive.flat (id int primary key, v text, at timestamptz default now()); create index flat_v on archive.flat (v);
         create table archive.child (id int references archive.flat);
         create table archive.\"In Parts\" (id int, d int, v text, primary key (id, d)) partition by range (d);
         create table archive.p1 partition of archive.\"In Parts\" for values from (0) to (10);
         create table archive.p2 partition of archive.\"In Parts\" for values from (10) to (1000);
         create table archive.whole (id int, d int, v text, primary key (id, d)); create table taken (id int primary key, v text);
         create table swap_a (id int primary key, v text); create table swap_b (id int primary key, v text);
         create table flat (id int primary key, v text)",
    );
    r.start();
    r.replay
        .run(&["add", "flat", "apart", "--as", "archive.flat"])
        .code(2);
    r.replay
        .run(&["add", "--all", "--as", "archive.flat"])
        .code(2);
    r.replay
        .run(&["add", "flat", "--as", "archive.nothing"])
        .code(3)
        .says(&["its table archive.nothing does not exist on the subscriber"]);
    for (table, target) in TARGETS {
        let mut add = vec!["add", table, "--as", target];
        if table == "together" && here < 11 {
            add.extend(["--identity", "id,d"]);
        }
        r.replay.run(&add).ok();
    }
    // Two tables do not go into one, by whichever name.
    r.replay
        .run(&["add", "swap_b"])
        .code(3)
        .says(&["public.swap_a is written to table public.swap_b on the subscriber already"]);
    r.replay
        .run(&["add", "swap_b", "--as", "archive.flat"])
        .code(3)
        .says(&["public.flat is written to table archive.flat"]);
    r.replay.run(&["add", "swap_b", "--as", "swap_a"]).ok();
    r.replay
        .run(&["add", "flat"])
        .code(3)
        .says(&["as archive.flat"]);
    r.wait_ok();
    let check = |r: &Replication| {
        r.sync();
        for (table, target) in TARGETS.iter().chain(&[("swap_b", "swap_a")]) {
            let columns = if *table == "flat" { "id, v" } else { "*" };
            equal_on(
                r,
                &r.subscribers[0],
                &format!("select {columns} from {table}"),
                &format!("select {columns} from {target}"),
            );
        }
    };
    check(&r);
    assert_eq!(r.on_subscriber("select count(*) from flat"), "0");
    r.on_subscriber("insert into archive.child select id from archive.flat where id < 10");
    for change in [
        "update apart set v = v || '!', id = id + 10000 where id % 3 = 0; delete from apart where id % 5 = 0",
        "insert into apart select i, i % 30, 'n' from generate_series(50001, 50300) i; update apart set d = (d + 10) % 30 where id % 7 = 0",
        "update together set v = 'x' where id % 3 = 0; delete from together where id % 5 = 0; insert into together_2 values (90001, 12, 'leaf')",
        "truncate together_1; insert into together values (90002, 1, 'again')",
        "truncate swap_a; insert into swap_a values (1, 'again'); update swap_b set v = 'c', id = id + 100",
        "truncate apart; insert into apart values (1, 1, 'a'), (2, 11, 'b')",
        "update flat set v = v || id where id % 2 = 0; delete from flat where id between 100 and 15000",
        "alter table together detach partition together_2; drop table together_2",
    ] {
        r.on_provider(change);
        check(&r);
    }
    // Copied again, in each way; what stood on the table is back.
    let indexes = "select string_agg(indexname, ' ' order by indexname) from pg_indexes where schemaname = 'archive' and tablename = 'flat'";
    let before = r.on_subscriber(indexes);
    r.on_provider("insert into flat select i, repeat('f', 300) from generate_series(100, 15000) i");
    check(&r);
    for again in [
        &["resync", "--all"][..],
        &["resync", "flat", "apart", "swap_a", "--swap"],
    ] {
        r.replay.run(again).ok();
        r.wait_ok();
        check(&r);
        assert_eq!(r.on_subscriber(indexes), before);
    }
    let foreign = "select count(*) from pg_constraint where contype = 'f' and convalidated and confrelid = 'archive.flat'::regclass";
    wait_until("the foreign key to be validated", SOON, || {
        r.on_subscriber(foreign) == "1"
    });
    // Names in the output are the provider's; the target is told in JSON.
    let json = r.replay.run(&["tables", "--json"]).ok().stdout;
    for word in ["public.flat", "archive.flat", "archive.\\\"In Parts\\\""].map(|w| w.to_owned()) {
        assert!(
            json.contains(&word) || json.contains("U&"),
            "{word}: {json}"
        );
    }
    assert!(r.tables().iter().all(|one| !one.table.contains("archive")));
    assert_eq!(r.replay.run(&["missing"]).ok().stdout, "");
    r.replay.run(&["remove", "flat"]).ok();
    assert_eq!(r.replay.run(&["missing"]).ok().stdout, "public.flat\n");
    r.replay
        .run(&["add", "flat", "--as", "archive.flat", "--keep-rows"])
        .ok();
    r.wait_ok();
    check(&r);
    r.assert_no_conflicts();
    r.assert_clean(&[]);
}

#[test]
fn a_table_whose_new_name_is_anothers_target_is_parked_and_the_rows_of_two_never_meet() {
    let r = Replication::builder().make();
    r.on_provider("create table a (id int primary key, v text); create table b (id int primary key, v text); insert into a values (1, 'a'); insert into b values (1, 'b')");
    r.on_subscriber(
        "create table a (id int primary key, v text); create table z (id int primary key, v text)",
    );
    r.start();
    r.replay.run(&["add", "a"]).ok();
    r.replay.run(&["add", "b", "--as", "z"]).ok();
    r.wait_ok();
    r.on_provider("alter table a rename to z; insert into z values (2, 'from a'); insert into b values (3, 'from b')");
    wait_until("the renamed table to be parked", SOON, || {
        r.state("public.a") == "parked"
    });
    r.on_provider("alter table z rename to a; update a set v = 'still a' where id = 2");
    r.replay.run(&["resync", "a"]).ok();
    r.wait_ok();
    r.sync();
    equal_on(&r, &r.subscribers[0], "select * from a", "select * from a");
    equal_on(&r, &r.subscribers[0], "select * from b", "select * from z");
    // A target stays whatever its table is called on the provider.
    r.on_provider("alter table b rename to c; update c set v = 'renamed'");
    r.sync();
    equal_on(&r, &r.subscribers[0], "select * from c", "select * from z");
    r.assert_clean(&["table parked"]);
}

#[test]
fn each_subscriber_has_a_filter_of_its_own() {
    let server = Server::debian15();
    let r = Replication::builder()
        .subscribers(vec![Cluster::builder(&server), Cluster::builder(&server)])
        .make();
    r.on_provider(
        "create table t (id int primary key, tenant int, v text); insert into t select i, i % 3, 'v' from generate_series(1, 1000) i;
         create table whole (id int primary key)",
    );
    r.copy_schema();
    r.subscribers[1].psql(r.db(), "create table mine (id int primary key, tenant int)");
    r.start();
    r.replay.run(&["add", "whole"]).ok();
    let add = ["add", "t", "--subscriber", "s1", "--where", "tenant = 1"];
    r.replay.run(&add).ok();
    let add = [
        "add",
        "t",
        "--subscriber",
        "s2",
        "--where",
        "tenant = 2",
        "--columns",
        "id,tenant",
        "--as",
        "mine",
    ];
    r.replay.run(&add).ok();
    // Told of both subscribers what each of them has.
    let said = r.replay.run(&["add", "t", "--where", "tenant = 2"]).code(3);
    said.says(&[
        "into s1 already (where (tenant = 1))",
        "into s2 already (where (tenant = 2), columns id, tenant, as public.mine)",
    ]);
    r.wait_ok();
    for change in [
        "update t set tenant = (tenant + 1) % 3 where id % 2 = 0",
        "update t set id = id + 10000, tenant = 3 - tenant where tenant > 0 and id % 5 = 0",
        "delete from t where v = 'v' and id % 7 = 0; insert into t values (-1, 1, 'n'), (-2, 2, 'n'), (-3, 0, 'n'); insert into whole values (1)",
    ] {
        r.on_provider(change);
        r.sync();
        equal_on(
            &r,
            &r.subscribers[0],
            "select * from t where tenant = 1",
            "select * from t",
        );
        equal_on(
            &r,
            &r.subscribers[1],
            "select id, tenant from t where tenant = 2",
            "select * from mine",
        );
    }
    for subscriber in &r.subscribers {
        same((&r.provider, r.db()), (subscriber, r.db()), "public.whole");
    }
    // One of them is removed: the other one goes on.
    r.replay.run(&["remove", "t", "--subscriber", "s1"]).ok();
    r.on_provider("update t set tenant = 2 where id < 100");
    r.sync();
    equal_on(
        &r,
        &r.subscribers[1],
        "select id, tenant from t where tenant = 2",
        "select * from mine",
    );
    r.assert_clean(&[]);
}
