//! Copies under load: of the table that is copied, of other tables, of another subscriber, with
//! transactions that stay open (SY-01, SY-08, SY-11, SY-12, SY-13).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tests::{Cluster, Replication, Server, Session, Writes, full, peak_rss_kb, wait_until};

use crate::SOON;

/// Changes of rows 1 to `rows` of one of the tables: updates, key changes and back, deletes.
fn writes(tables: &'static [&'static str], rows: i32) -> Writes {
    Arc::new(move |random: &mut rand::rngs::StdRng, number: u64| {
        let table = tables[random.random_range(0..tables.len())];
        // A row with an odd key changes its key alone, so that no key comes twice.
        let flips = number % 4 == 3;
        let id = random.random_range(1..rows / 2) * 2 + i32::from(flips);
        match number % 4 {
            0 | 1 => format!("update {table} set n = n + 1 where id = {id}"),
            2 => format!(
                "delete from {table} where id = {id}; insert into {table} values ({id}, 'again', 1)"
            ),
            _ => format!("update {table} set id = -id where id in ({id}, -{id})"),
        }
    })
}

#[test]
fn sy_01_tables_that_are_written_300_times_a_second_are_copied_and_caught_up_with() {
    let replication = Replication::builder().make();
    let rows = if full() { 200_000 } else { 40_000 };
    let tables = ["a", "b", "c", "d"];
    for table in tables {
        replication.on_provider(&format!(
            "create table {table} (id int primary key, v text, n int); create index on {table} (n); \
             insert into {table} select i, repeat('v', 80), 0 from generate_series(1, {rows}) i"
        ));
    }
    replication.copy_schema();
    replication.start();
    // Half of the load is on one table.
    let load = replication.load(
        4,
        Duration::from_millis(10),
        &writes(&["a", "a", "a", "b", "c", "d"], 40_000),
    );
    load.wait_for_more(50);
    let (started, before) = (Instant::now(), load.committed());
    replication.replay.run(&["add", "--all"]).ok();
    replication.wait_ok();
    let seconds = started.elapsed().as_secs_f64();
    let rate = (load.committed() - before) as f64 / seconds;
    println!("in sync after {seconds:.1} s under {rate:.0} transactions/s");
    // Level, and not only once.
    load.wait_for_more(200);
    replication.sync();
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();
}

#[test]
fn sy_08_a_large_copy_takes_little_memory_and_the_other_tables_go_on() {
    let replication =
        Replication::running("create table other (id int primary key, at timestamptz)");
    let rows = if full() { 1_000_000 } else { 100_000 };
    replication.everywhere("create table big (id int primary key, v text)");
    replication.on_provider(&format!(
        "alter table big alter v set storage external; \
         insert into big select i, repeat(md5(i::text), 32) from generate_series(1, {rows}) i"
    ));
    let started = Instant::now();
    // A part of the copy waits until three rows of the other table have come: no row waits for the copy, however slow
    // the machine is.
    let mut held = Some(Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 'big', 0)",
    ));
    replication.replay.run(&["add", "big"]).ok();
    wait_until("the held part", SOON, || {
        replication.on_subscriber(
            "select count(*) > 0 from pg_stat_activity where application_name like 'trunkline copy-in%' and wait_event_type = 'Lock'",
        ) == "t"
    });
    // Sessions that stay: a program's start is no lag.
    let writer = Session::new(&replication.provider, replication.db());
    let reader = Session::new(&replication.subscribers[0], replication.db());
    let (mut longest, mut all) = (Duration::ZERO, Duration::ZERO);
    let mut number = 0_u32;
    while replication.state("public.big") != "ok" {
        number += 1;
        let sent = Instant::now();
        writer.ask(&format!("insert into other values ({number}, now())"));
        wait_until("the other table's row", SOON, || {
            reader.ask(&format!("select count(*) from other where id = {number}")) == "1"
        });
        longest = longest.max(sent.elapsed());
        all += sent.elapsed();
        if number == 3 {
            held = None;
        }
    }
    assert!(held.is_none());
    let seconds = started.elapsed().as_secs_f64();
    let peak = peak_rss_kb(replication.replay.running()).unwrap() / 1024;
    println!(
        "{} MB/s, replay's memory {peak} MB, {number} rows of the other table, after {:?} in the mean, the slowest after {longest:?}",
        (f64::from(rows) / 1024.0 / seconds).round(),
        all / number.max(1)
    );
    assert!(number > 2, "none while the copy was held");
    assert!(peak < 100, "{peak} MB");
    replication.assert_followed(&[]);
}

#[test]
fn sy_11_one_subscriber_streams_while_another_copies() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&server), Cluster::builder(&server)])
        .make();
    replication.on_provider(
        "create table t (id int primary key, v text, n int); \
         insert into t select i, repeat('v', 80), 0 from generate_series(1, 100000) i",
    );
    replication.copy_schema();
    replication.start();
    let to = |subscriber: &str| {
        let add = ["add", "t", "--subscriber", subscriber];
        replication.replay.run(&add).ok();
    };
    let ok = |subscriber: &str| {
        let tables = replication.tables();
        let of = |table: &tests::TableState| table.subscriber.as_deref() == Some(subscriber);
        tables.iter().any(|table| of(table) && table.state == "ok")
    };
    to("s1");
    wait_until("s1 to be in sync", SOON, || ok("s1"));
    let load = replication.load(2, Duration::from_millis(5), &writes(&["t"], 2000));
    let behind = "select count(*) from t where v = 'mark'";
    // Held until some rows have come to the other one.
    let mut held = Some(Session::holding(
        &replication.subscribers[1],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1/s2', 'public', 't', 0)",
    ));
    to("s2");
    let mut marks = 0;
    while !ok("s2") {
        marks += 1;
        if marks > 3 {
            held = None;
        }
        replication.on_provider(&format!(
            "insert into t values ({}, 'mark', 0)",
            1_000_000 + marks
        ));
        // The streaming one does not wait for the other's copy.
        wait_until("s1 to go on", SOON, || {
            replication.subscribers[0].psql(replication.db(), behind) == marks.to_string()
        });
    }
    assert!(held.is_none());
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();
}

#[test]
fn sy_12_from_the_moment_both_are_ok_no_child_is_without_its_parent() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table parent (id int primary key, v text); create index on parent (v); \
         create table child (id int primary key, parent int not null references parent on delete cascade); \
         insert into parent select i, repeat('p', 60) from generate_series(1, 60000) i; \
         insert into child select i, i from generate_series(1, 20000) i",
    );
    replication.copy_schema();
    replication.start();
    let load = replication.load(
        4,
        Duration::from_millis(5),
        &(Arc::new(|random: &mut rand::rngs::StdRng, number: u64| {
            let id = random.random_range(1_000_000..2_000_000);
            let old = random.random_range(1..=20_000);
            match number % 3 {
                0 => format!(
                    "insert into parent values ({id}, 'new') on conflict do nothing; \
                     insert into child values ({id}, {id}) on conflict do nothing"
                ),
                1 => format!("delete from parent where id = {old}"),
                _ => format!(
                    "update child set parent = (select min(id) from parent where id > {old}) where id = {old} + 1"
                ),
            }
        }) as Writes),
    );
    load.wait_for_more(50);
    replication.replay.run(&["add", "--all"]).ok();
    // States and rows of one snapshot.
    let reader = Session::new(&replication.subscribers[0], replication.db());
    let orphans = || {
        reader.ask(
            "select case when count(*) filter (where state = 'ok') < 2 then 'copying' \
                    else (select count(*) from child c where not exists \
                              (select from parent p where p.id = c.parent))::text end \
             from trunkline.table_state",
        )
    };
    let mut looks = 0;
    wait_until("both to be ok, and a while after", SOON, || {
        let found = orphans();
        if found == "copying" {
            return false;
        }
        assert_eq!(found, "0", "orphans at look {looks} after both were ok");
        looks += 1;
        looks >= 100
    });
    assert_eq!(load.stop().errors, Vec::<String>::new());
    wait_until("the foreign key to be validated", SOON, || {
        replication.on_subscriber(
            "select bool_and(convalidated) from pg_constraint where conname = 'child_parent_fkey'",
        ) == "t"
    });
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();
}

#[test]
fn sy_13_rows_of_a_transaction_that_was_open_before_the_copy_come_once() {
    let replication = Replication::running("create table other (id int primary key)");
    // Without a key that could tell a second coming.
    replication.everywhere("create table t (id int, v text)");
    replication.on_provider("insert into t select i, 'before' from generate_series(1, 1000) i");
    // It holds no lock that `add` waits for, only a transaction number and a snapshot ...
    let early = Session::holding(
        &replication.provider,
        replication.db(),
        "insert into other values (1)",
    );
    replication
        .replay
        .run(&["add", "t", "--identity", "full"])
        .ok();
    // ... writes while the copy is made, and commits after it.
    early.ask("insert into t select i, 'early' from generate_series(1, 100) i");
    replication.wait_ok();
    replication.on_provider("insert into t values (0, 'between')");
    early.ask("insert into t values (101, 'early'); commit");
    replication.sync();
    let counts = "select count(*) || ' ' || count(*) filter (where v = 'early') from t";
    assert_eq!(replication.on_subscriber(counts), "1102 101");
    // One that has written to the table already keeps `add` waiting, and none of its rows is lost.
    replication.everywhere("create table late (id int, v text)");
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "insert into late values (1, 'open')",
    );
    let mut adding = replication
        .replay
        .command(&["add", "late", "--identity", "full"])
        .spawn()
        .unwrap();
    wait_until("add to wait for the table", SOON, || {
        replication.on_provider(
            "select count(*) > 0 from pg_stat_activity \
             where application_name like 'trunkline admin%' and wait_event_type = 'Lock'",
        ) == "t"
    });
    writer.ask("insert into late values (2, 'open'); commit");
    assert!(adding.wait().unwrap().success());
    replication.wait_ok();
    replication.assert_followed(&[]);
}
