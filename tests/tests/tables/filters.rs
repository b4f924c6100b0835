//! `replay add --where`: the subscriber has the rows of `select ... where EXPR` on the provider, whatever is done to
//! them there, and however they came.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tests::{Cluster, Replication, Server, choose, wait_until};

pub(super) const SOON: Duration = Duration::from_secs(120);

/// A subscriber's query gives the rows of the provider's.
#[track_caller]
pub(super) fn equal_on(r: &Replication, subscriber: &Cluster, there: &str, here: &str) {
    let ask = |cluster: &Cluster, query: &str| {
        cluster.psql(
            r.db(),
            &format!(
                "select quote_literal(row(q.*)::text) from ({query}) q order by row(q.*)::text collate \"C\""
            ),
        )
    };
    let (wanted, found) = (ask(&r.provider, there), ask(subscriber, here));
    if wanted == found {
        return;
    }
    let lines = |text: &str, other: &str| -> Vec<String> {
        let others: Vec<&str> = other.lines().collect();
        let missing = text.lines().filter(|line| !others.contains(line)).take(10);
        missing.map(str::to_owned).collect()
    };
    panic!(
        "`{here}` is not `{there}`: {} rows, not {}\nmissing: {:#?}\ntoo many: {:#?}",
        found.lines().count(),
        wanted.lines().count(),
        lines(&wanted, &found),
        lines(&found, &wanted)
    );
}

/// The first subscriber's table is what a filter takes of the provider's.
#[track_caller]
pub(super) fn filtered(r: &Replication, table: &str, filter: &str) {
    equal_on(
        r,
        &r.subscribers[0],
        &format!("select * from {table} where {filter}"),
        &format!("select * from {table}"),
    );
}

const TABLES: &str = "create table t (id int primary key, k int, v text);
    create table big (id int primary key, doc text, n int); alter table big alter doc set storage external;
    create table f (a int, v text); create table num (id numeric primary key, k int);
    create table other (id int primary key, k int);
    insert into t select i, nullif(i % 20, 7), 'v' || i from generate_series(1, 3000) i;
    insert into big select i, repeat(chr(97 + i % 3), 9000), i from generate_series(1, 60) i;
    insert into f select i % 10, 'v' || i % 3 from generate_series(1, 300) i;
    insert into num select i, i % 4 from generate_series(1, 200) i; insert into other values (1, 1)";

/// Table, filter, further arguments of `add`.
const FILTERS: [(&str, &str, &[&str]); 4] = [
    ("t", "k > 10", &[]),
    ("big", "left(doc, 1) = 'a' and n is not null", &[]),
    ("f", "v <> 'v1' or a is null", &["--identity", "full"]),
    ("num", "k in (1, 2)", &[]),
];

/// What is done to the rows, a transaction a line.
const CHANGES: &str = r"
insert into t values (9001, 11, 'in'), (9002, 1, 'out'), (9003, null, 'null')
insert into t select i, i % 20, 'bulk' from generate_series(10000, 10999) i
update t set v = v || '!' where id = 9001
update t set v = v || '!' where id = 9002
update t set k = 1 where id = 9001
update t set k = 11 where id = 9002
update t set k = null where id = 9002
update t set k = 12 where id = 9003
update t set k = null where id = 9001
update t set k = 15 where id = 9001
update t set k = 20 - k where id % 3 = 0
update t set k = k + 1
update t set id = id + 100000 where id in (11, 12, 19, 20)
update t set id = id + 200000, k = 20 - k where id between 21 and 60
begin; update t set id = -1 where id = 111; update t set id = 111 where id = 105; update t set id = 105 where id = -1; commit
delete from t where v = 'v70'
delete from t where v in ('v71', 'v90', 'v91') or k is null and id % 2 = 0
delete from t where k > 10 and id % 5 = 0
begin; update t set k = 1 where id = 200; update t set k = 13 where id = 200; commit
begin; update t set k = 13 where id = 201; update t set k = 2 where id = 201; commit
begin; delete from t where id = 202; insert into t values (202, 19, 'again'); commit
begin; delete from t where id = 219; insert into t values (219, 1, 'again'); commit
begin; insert into t values (20000, 19, 'gone'); delete from t where id = 20000; commit
begin; savepoint s; update t set k = 20 - k; rollback to s; update t set v = 'kept' where id = 203; commit
insert into t select i, 20 - i % 20, 'conflict' from generate_series(300, 900) i on conflict (id) do update set k = excluded.k
insert into t values (204, 19, 'x') on conflict do nothing
with d as (delete from t where id between 1000 and 1100 returning *) insert into t select id + 50000, 20 - k, v from d
with u as (update t set k = 20 - k where id between 1200 and 1250 returning *) delete from t using u where t.id = u.id + 100
update big set n = n + 100
update big set n = null where id in (3, 6, 7)
update big set n = 1 where id in (3, 7)
update big set doc = 'b' || doc where id = 9
update big set doc = 'a' || doc where id = 10
update big set id = id + 1000 where id > 50
delete from big where n = 112
delete from big where id % 5 = 0
insert into f values (1, 'v1'), (1, 'v2'), (null, 'v1'), (null, null), (1, 'v2')
update f set v = 'v1' where a = 1
update f set v = 'v9', a = null where a = 2
delete from f where ctid in (select min(ctid) from f group by a, v)
begin; update f set v = 'v1' where a = 3; update f set v = 'v2' where a = 3 and v = 'v1'; commit
update num set k = 3 - k
update num set id = id + 0.00 where k = 1
update num set id = id + 1000.0, k = 2 where id % 7 = 0
begin; delete from num where id = 5; insert into num values (5.00, 1); commit
delete from num where k = 2 and id < 50
begin; truncate big; insert into big values (1, repeat('a', 9000), 1), (2, 'b', 1); commit
update other set k = 2";

#[test]
fn fl_01_rows_enter_and_leave_a_filter_by_every_kind_of_change() {
    let pairs = choose(
        "pairs",
        vec![(15, 15), (10, 18), (18, 10), (10, 15), (15, 18)],
        vec![(15, 15), (10, 18)],
    );
    for (here, there) in pairs {
        every_kind_of_change(here, there);
    }
}

fn every_kind_of_change(here: u32, there: u32) {
    let r = Replication::builder()
        .provider(Cluster::builder(&Server::version(here)))
        .subscribers(vec![Cluster::builder(&Server::version(there))])
        .make();
    // Not by pg_dump, which reads no server newer than itself.
    let (tables, rows) = TABLES.split_at(TABLES.find("insert").unwrap());
    r.everywhere(&format!(
        "{tables} create table nest (id int primary key, k int)"
    ));
    r.on_provider(rows);
    // A statement within a statement: the inner one puts rows out that the outer one has put in.
    r.on_provider(
        "create function nested() returns trigger language plpgsql as $f$ begin
             if pg_trigger_depth() < 2 and new.k = 99 then update nest set k = new.id % 2 where id = new.id; end if; return null; end $f$;
         create trigger nested after insert or update on nest for each row execute procedure nested();
         insert into nest values (1, 1), (2, 2)",
    );
    r.start();
    for (table, filter, more) in FILTERS {
        let mut add = vec!["add", table, "--where", filter];
        add.extend(more);
        r.replay.run(&add).ok();
    }
    r.replay.run(&["add", "nest", "--where", "k >= 1"]).ok();
    r.replay.run(&["add", "other"]).ok();
    r.wait_ok();
    let all = |r: &Replication| {
        for (table, filter, _) in FILTERS {
            filtered(r, table, filter);
        }
        filtered(r, "nest", "k >= 1");
    };
    r.sync();
    all(&r);
    for (n, change) in CHANGES.trim().lines().enumerate() {
        r.on_provider(change);
        if n % 12 == 0 {
            r.sync();
            all(&r);
        }
    }
    r.on_provider("update nest set k = 99; insert into nest values (3, 99), (4, 99), (5, 99)");
    r.sync();
    all(&r);
    // All in one batch, too, applied in sets.
    r.replay.run(&["stop"]).ok();
    r.on_provider("truncate t, f, num, nest, other; truncate big");
    r.on_provider(rows);
    for change in CHANGES.trim().lines() {
        r.on_provider(change);
    }
    r.on_provider("insert into nest select i, 99 from generate_series(1, 300) i; update nest set k = 99 where id % 3 = 0");
    r.replay.run(&["start", "-d"]).ok();
    r.sync();
    all(&r);
    r.assert_no_conflicts();
    r.assert_clean(&[]);
}

/// A transaction of one to four random statements on `t (id, k, v)`.
fn random_transaction(random: &mut StdRng) -> String {
    let mut sql = String::from("begin;");
    for _ in 0..random.random_range(1..5) {
        let (a, b) = (random.random_range(0..400), random.random_range(1..40));
        let k = ["null", "k + 1", "-k", "3", "4", "id % 5"][random.random_range(0..6)];
        sql.push_str(&match random.random_range(0..8) {
            0 => format!("insert into t select i, nullif(i % {b}, 2), 'n' from generate_series({a}, {a} + {b}) i on conflict do nothing;"),
            1 => format!("insert into t select i, i % {b}, 'c' from generate_series({a}, {a} + {b}) i on conflict (id) do update set k = excluded.k, v = t.v || 'c';"),
            2 => format!("update t set k = {k} where id % {b} = 1;"),
            3 => format!("update t set k = {k}, v = v || 'u' where id between {a} and {a} + {b};"),
            4 => format!("update t set id = -1 - id, k = {k} where id between {a} and {a} + {b}; update t set id = -1 - id where id < 0;"),
            5 => format!("update t set id = id + 1000 where id = {a} and not exists (select from t x where x.id = {a} + 1000);"),
            6 => format!("delete from t where id between {a} and {a} + {b} and (k is null or k <> {b});"),
            _ => format!("savepoint s; update t set k = {k}; {} savepoint s;", if b % 2 == 0 { "rollback to" } else { "release" }),
        });
    }
    sql.push_str(if random.random_range(0..8) == 0 {
        "rollback"
    } else {
        "commit"
    });
    sql
}

#[test]
fn random_writes_and_kills_leave_what_the_filter_takes() {
    let seed = std::env::var("TRUNKLINE_SEED").map_or_else(
        |_| rand::rng().random_range(0..1_000_000),
        |seed| seed.parse().unwrap(),
    );
    println!("TRUNKLINE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let r = Replication::builder().make();
    r.on_provider("create table t (id int primary key, k int, v text); insert into t select i, i % 7, '' from generate_series(0, 200) i");
    r.copy_schema();
    r.start();
    r.replay.run(&["add", "t", "--where", "k % 3 = 0"]).ok();
    let rounds = if tests::full() { 40 } else { 6 };
    for round in 0..rounds {
        let many: Vec<String> = (0..60).map(|_| random_transaction(&mut random)).collect();
        let half = many.len() / 2;
        r.on_provider(&many[..half].join(";\n"));
        r.replay.kill9();
        r.on_provider(&many[half..].join(";\n"));
        r.replay.run(&["start", "-d"]).ok();
        if round == 2 {
            r.replay.run(&["resync", "t"]).ok();
        }
        r.wait_ok();
        r.sync();
        filtered(&r, "t", "k % 3 = 0");
    }
    r.assert_no_conflicts();
}

#[test]
fn a_filtered_copy_under_load_catches_up_with_what_the_filter_takes_also_after_kills() {
    let r = Replication::builder()
        .replay_line("parallel_copies = 3")
        .make();
    r.on_provider(
        "create table t (id int primary key, k int, v text); create index on t (k);
         insert into t select i, i % 10, repeat('x', 200) from generate_series(1, 120000) i; analyze t",
    );
    r.copy_schema();
    r.start();
    let writer = {
        let conninfo = r.provider.conninfo(r.db());
        std::thread::spawn(move || {
            let sql = "do $$ begin for i in 1..250 loop
                update t set k = (k + 1) % 10 where id % 500 = i % 500; update t set id = id + 1000000 where id = i * 7;
                delete from t where id = i * 11; insert into t values (2000000 + i, i % 10, 'new');
                commit; perform pg_sleep(0.01); end loop; end $$";
            let done = std::process::Command::new("psql")
                .args(["-qX", "-v", "ON_ERROR_STOP=1", "-d", &conninfo, "-c", sql])
                .status()
                .unwrap();
            assert!(done.success());
        })
    };
    r.replay
        .run(&["add", "t", "--where", "k between 3 and 6"])
        .ok();
    for state in ["in-copy", "catching-up"] {
        wait_until("the table's state to be reached", SOON, || {
            [state, "wanna-sync", "ok"].contains(&r.state("public.t").as_str())
        });
        r.replay.kill9();
        r.replay.run(&["start", "-d"]).ok();
    }
    writer.join().unwrap();
    r.wait_ok();
    r.sync();
    filtered(&r, "t", "k between 3 and 6");
    r.assert_no_conflicts();
    // Again, seen by readers all the time, and by emptying it.
    for again in [&["resync", "t", "--swap"][..], &["resync", "t"]] {
        r.on_provider("update t set k = (k + 3) % 10 where id % 3 = 0");
        r.replay.run(again).ok();
        r.on_provider(
            "update t set k = (k + 5) % 10 where id % 4 = 0; delete from t where id % 1000 = 1",
        );
        r.wait_ok();
        r.sync();
        filtered(&r, "t", "k between 3 and 6");
    }
    assert_eq!(
        r.on_subscriber("select count(*) from pg_index where indrelid = 't'::regclass"),
        "2",
        "indexes are back"
    );
}
