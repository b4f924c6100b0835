//! Replay's memory is bounded by its settings, whatever the size of a
//! transaction or a table. Measured as the peak of resident memory.

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

/// No limit on a statement's time counts, and what a kill leaves is nothing or all.
#[test]
fn tx_12_peak_memory_of_one_huge_transaction_is_bounded_and_a_kill_in_its_middle_leaves_no_half() {
    let replication = wide_enough();
    replication.everywhere("alter role postgres set statement_timeout = '2s'");
    replication.add_all();
    let rows = if full() { 10_000_000 } else { 1_000_000 };
    for (sql, is_whole) in [
        (
            format!(
                "insert into big select i, i % 1000, 'value ' || i from generate_series(1, {rows}) i"
            ),
            format!("count(*) in (0, {rows})"),
        ),
        (
            "update big set a = a + 1".into(),
            "max(a) - min(a) = 999".into(),
        ),
        (
            "delete from big where id % 2 = 0".into(),
            format!("count(*) in ({rows}, {rows} / 2)"),
        ),
    ] {
        replication.on_provider(&format!("set statement_timeout = 0; {sql}"));
        let started = Instant::now();
        wait_until(
            "the transaction to be applied",
            Duration::from_secs(300),
            || {
                let writing = "select count(*) from pg_stat_activity \
                 where application_name like 'trunkline apply%' and backend_xid is not null";
                replication.on_subscriber(writing) == "1"
            },
        );
        replication.replay.kill9();
        let whole = replication.on_subscriber(&format!(
            "set statement_timeout = 0; select {is_whole} from big"
        ));
        assert_eq!(whole, "t", "after a kill in: {sql}");
        replication.replay.run(&["start", "-d"]).ok();
        replication.sync();
        println!("{:?} with a kill for: {sql}", started.elapsed());
        assert_peak(&replication);
    }
    let sums =
        "set statement_timeout = 0; select count(*), sum(id), sum(a), sum(length(v)) from big";
    assert_eq!(
        replication.on_provider(sums),
        replication.on_subscriber(sums)
    );
    replication.assert_no_conflicts();
    replication.assert_clean(&["subscriber waits"]);
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

/// A row is held whole: one is read, one waits, one is written, each with what it is made into. docs/operate.md: 5
/// times its text and 100 MB.
#[test]
fn to_03_peak_memory_of_rows_of_a_hundred_megabytes_is_bounded() {
    let r = Replication::running(
        "create table small (id int primary key, v int); insert into small values (1, 0);
         create table large (id int primary key, t text, b bytea, j jsonb, n int)",
    );
    let of = if full() { 100 } else { 10 } * 1_048_576;
    let jsonb = of / 5 * 3;
    // Text as it comes and as quotes and backslashes, and bytes; the last two are twice as long as they are stored.
    let rows = [
        format!(
            "(1, (select string_agg(md5(i::text), '') from generate_series(1, {of} / 32) i), null, null, 0)"
        ),
        format!("(2, repeat('\"\\', {of} / 2), null, null, 0)"),
        format!(
            "(3, null, decode((select string_agg(md5(i::text), '') from generate_series(1, {of} / 16) i), 'hex'), null, 0)"
        ),
        format!("(4, null, null, to_jsonb(repeat('a\"\\ ', {jsonb} / 4)), 0)"),
    ];
    for row in &rows {
        r.on_provider(&format!("insert into large values {row}"));
        r.sync();
    }
    let begin = Instant::now();
    r.on_provider(
        "update large set n = n + 1 where id = 1; update large set n = n + 1 where id > 1",
    );
    r.sync();
    println!("four rows updated and applied in {:?}", begin.elapsed());
    let digest = "select md5(string_agg(concat_ws(' ', id, n, md5(t), md5(b), md5(j::text)), '|' order by id)) from large";
    assert_eq!(r.on_provider(digest), r.on_subscriber(digest));
    // The same by a copy.
    r.replay.run(&["resync", "large"]).ok();
    r.wait_ok();
    r.sync();
    assert_eq!(r.on_provider(digest), r.on_subscriber(digest));
    // Afterwards a small change is as quick as ever.
    let begin = Instant::now();
    r.on_provider("update small set v = 1");
    wait_until("a small change", Duration::from_secs(120), || {
        r.on_subscriber("select v from small") == "1"
    });
    println!("a small change took {:?}", begin.elapsed());
    let peak = peak_rss_kb(r.replay.running()).unwrap();
    let longest = 2 * of / 1024;
    println!(
        "peak resident memory of replay: {} MB, the longest row is {} MB",
        peak / 1024,
        longest / 1024
    );
    assert!(peak < 5 * longest + 100 * 1024, "{} MB", peak / 1024);
    r.assert_clean(&[]);
}
