//! What batches leave in the subscriber's catalog: nothing.

use std::time::Duration;

use tests::{Replication, full, wait_until};

use crate::synced_and_clean;

const SOON: Duration = Duration::from_secs(300);

#[test]
fn batches_leave_nothing_in_the_catalog_of_the_subscriber() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); \
         insert into t select g, 'first' from generate_series(1, 1000) g",
    );
    let batch = |n: i32| {
        replication.on_provider(&format!(
            "update t set v = 'round {n}' where id <= 500; \
             delete from t where id > 800; \
             insert into t select g, 'new' from generate_series(801, 1000) g"
        ));
        replication.sync();
    };
    // A TRUNCATE of a staging table would give it a new row here.
    let catalog = || {
        replication.on_subscriber(
            "select string_agg(concat_ws(' ', relname, ctid, xmin, relfilenode), ',' order by relname) \
               from pg_class where relname like 'trunkline\\_rows\\_%' or relname like 'trunkline\\_keys\\_%'",
        )
    };
    batch(0);
    let before = catalog();
    assert!(before.contains("trunkline_rows_"), "{before}");
    for n in 1..=5 {
        batch(n);
    }
    assert_eq!(catalog(), before);
    synced_and_clean(&replication);
}

/// Rows that the catalog of temporary tables, columns and types has got and lost. Autovacuum is off.
const CHURN: &str = "select sum(pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) \
        + pg_stat_get_tuples_deleted(c.oid)), sum(pg_stat_get_dead_tuples(c.oid)) \
     from pg_class c where c.oid in ('pg_class'::regclass, 'pg_attribute'::regclass, 'pg_type'::regclass, \
        'pg_depend'::regclass, 'pg_statistic'::regclass, 'pg_shdepend'::regclass)";

#[test]
fn thousands_of_small_batches_write_nothing_into_the_catalog() {
    let (one, two) = (
        crate::version(15),
        crate::version(15).set("autovacuum", "off"),
    );
    let replication = Replication::builder()
        .provider(one)
        .subscribers(vec![two])
        .running(
            "create table t (id int primary key, v text); \
             insert into t select g, 'first' from generate_series(1, 300) g",
        );
    replication.everywhere("create table keyless (v text)");
    replication
        .replay
        .run(&["add", "keyless", "--identity", "full"])
        .ok();
    replication.wait_ok();
    // Every path once: rows one by one, staged rows and keys, rows of which nothing is known, sums.
    // One batch each: statements that come in one batch may go another way.
    let every_path = || {
        for statement in [
            "update t set v = v || '.' where id = 1",
            "update t set v = v || '+'",
            "delete from t where id > 150",
            "insert into t select g, 'put' from generate_series(100, 300) g on conflict (id) do update set v = 'put'",
            "insert into keyless select 'x' from generate_series(1, 200)",
            "delete from keyless",
        ] {
            replication.on_provider(statement);
            replication.sync();
        }
    };
    every_path();
    let batches = || -> i64 {
        let moves = replication
            .on_subscriber("select pg_stat_get_tuples_updated('trunkline.position'::regclass)");
        moves.parse().unwrap()
    };
    let writer = tests::Session::new(&replication.provider, replication.db());
    let mut n = 0;
    let mut small_batch = || {
        n += 1;
        writer.ask(&format!("update t set v = '{n}' where id = 1 + {n} % 100"));
    };
    // What a session has counted it tells all at once, and some time later.
    let mut told = |until: i64| {
        wait_until("replay's session to tell its counts", SOON, || {
            small_batch();
            std::thread::sleep(Duration::from_millis(5));
            batches() > until
        });
    };
    told(batches());
    let (before, first) = (replication.on_subscriber(CHURN), batches());
    told(first + if full() { 20_000 } else { 300 });
    every_path();
    told(batches());
    println!(
        "{} batches, rows written to the catalog and dead before: {before}",
        batches() - first
    );
    assert_eq!(replication.on_subscriber(CHURN), before);
    synced_and_clean(&replication);
}
