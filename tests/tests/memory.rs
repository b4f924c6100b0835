//! Replay's memory is bounded by its settings, whatever the size of a
//! transaction or a table. Measured as the peak of resident memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use tests::{Replication, full, peak_rss_kb, wait_until};

/// 150 MB.
const LIMIT_KB: u64 = 150 * 1024;

fn wide_enough() -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table big (id bigint primary key, a int not null, v text, t timestamptz default now())",
    );
    replication.copy_schema();
    replication.start();
    replication
}

fn assert_peak(replication: &Replication) {
    let peak = peak_rss_kb(replication.replay.running()).unwrap();
    println!("peak resident memory of replay: {} MB", peak / 1024);
    assert!(peak < LIMIT_KB, "{} MB", peak / 1024);
}

#[test]
fn peak_memory_of_one_transaction_of_a_million_rows_is_bounded() {
    let replication = wide_enough();
    replication.add_all();
    for sql in [
        "insert into big select i, i % 1000, 'value ' || i from generate_series(1, 1000000) i",
        "update big set a = a + 1",
        "delete from big where id % 2 = 0",
    ] {
        replication.on_provider(sql);
        let started = Instant::now();
        replication.sync();
        println!("{:?} for: {sql}", started.elapsed());
        assert_peak(&replication);
    }
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn peak_memory_of_a_copy_of_five_million_rows_is_bounded() {
    let replication = wide_enough();
    replication.on_provider(
        "insert into big select i, i % 1000, 'value ' || i from generate_series(1, 5000000) i",
    );
    let started = Instant::now();
    replication.replay.run(&["add", "big"]).ok();
    wait_until("the copy", Duration::from_secs(300), || {
        replication.tables().iter().all(|table| table.state == "ok")
    });
    println!("copied in {:?}", started.elapsed());
    assert_peak(&replication);
    let counts = |sql: &str| (replication.on_provider(sql), replication.on_subscriber(sql));
    let (here, there) = counts("select count(*), sum(id), sum(a), sum(length(v)) from big");
    assert_eq!(here, there);
    if full() {
        replication.assert_same();
    }
    replication.assert_clean(&[]);
}

/// A row is held whole, a few times over, and no more than `chunk_size` and one event of others.
#[test]
fn to_05_peak_memory_of_a_batch_of_rows_of_a_megabyte_is_bounded() {
    let replication = Replication::running("create table large (id int primary key, v text)");
    let rows = if full() { 1000 } else { 150 };
    // Text that does not get smaller; in one statement, so that blocks of rows are cut by their bytes.
    replication.on_provider(&format!(
        "insert into large select i, (select string_agg(md5(i || ' ' || j), '') from generate_series(1, 32768) j) \
         from generate_series(1, {rows}) i"
    ));
    replication.sync();
    assert_peak(&replication);
    replication.assert_same();
    replication.assert_clean(&[]);
}
