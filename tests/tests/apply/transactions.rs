//! TX: transactions of every kind, from their commit on the provider to the subscriber.

use std::time::Duration;

use tests::{Replication, Session, Transfers, choose, full, wait_until};

use crate::synced_and_clean;

const TABLE: &str = "create table t (id int primary key, v text)";

#[test]
fn tx_01_four_writers_between_two_tables_and_every_reader_sees_whole_transactions() {
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, replication.db());
    replication.copy_schema();
    replication.start();
    replication.add_all();
    let reader = Transfers::read(&replication.subscribers[0], replication.db());
    let load = replication.load(4, Duration::ZERO, &Transfers::writes());
    load.wait_for_more(if full() { 50_000 } else { 2_000 });
    // Behind, many ticks are one transaction; level, each is one of its own.
    replication.replay.run(&["pause"]).ok();
    load.wait_for_more(1_000);
    replication.replay.run(&["resume"]).ok();
    load.wait_for_more(500);
    let totals = load.stop();
    assert!(totals.errors.is_empty(), "{totals:?}");
    replication.sync();
    // On a fast machine the writers are done before it has looked often.
    wait_until("the reader to read", Duration::from_secs(120), || {
        reader.reads() > 10
    });
    reader.stop().unwrap();
    synced_and_clean(&replication);
}

#[test]
fn tx_04_a_transaction_that_commits_after_a_younger_one_comes_with_the_next_tick_once() {
    let replication = Replication::running(TABLE);
    // Without any key, a row that was applied twice would be seen.
    replication.on_subscriber("alter table t drop constraint t_pkey");
    let first = Session::holding(
        &replication.provider,
        replication.db(),
        "insert into t values (1, 'first')",
    );
    replication.on_provider("insert into t values (2, 'second')");
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select string_agg(v, ' ') from t"),
        "second"
    );
    first.ask("commit");
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select string_agg(v, ' ' order by id) from t"),
        "first second"
    );
    replication.assert_clean(&[]);
}

#[test]
fn tx_05_a_transaction_that_is_open_across_rotations_arrives_once_and_delays_nobody() {
    let replication =
        Replication::running("create table t (id int, v text); alter table t add primary key (id)");
    replication.on_subscriber("alter table t drop constraint t_pkey");
    let long = Session::holding(
        &replication.provider,
        replication.db(),
        "insert into t values (0, 'long')",
    );
    replication.on_provider("select pgq.set_queue_config('q1', 'rotation_period', '1 s')");
    let rotations = "select queue_ntables from pgq.queue where queue_name = 'q1'";
    let tables: i32 = replication.on_provider(rotations).parse().unwrap();
    let mut id = 0;
    // While a transaction is open nothing can be emptied: the queue grows by tables.
    wait_until(
        "three rotations under the open transaction",
        Duration::from_secs(120),
        || {
            id += 1;
            for sql in [
                &format!("insert into t values ({id}, 'short')"),
                "select pgq.maint_rotate_tables_step1('q1')",
                "select pgq.maint_rotate_tables_step2()",
            ] {
                replication.on_provider(sql);
            }
            replication.sync();
            let now: i32 = replication.on_provider(rotations).parse().unwrap();
            now >= tables + 3
        },
    );
    assert_eq!(
        replication.on_subscriber("select count(*), count(*) filter (where v = 'long') from t"),
        format!("{id}|0")
    );
    long.ask("commit");
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select count(*), count(*) filter (where v = 'long') from t"),
        format!("{}|1", id + 1)
    );
    // What holds the queue for longer than a period is told, sooner or later.
    replication.assert_clean(&["queue is held"]);
}

#[test]
fn tx_13_a_hundred_thousand_transactions_of_one_row_arrive_each_once() {
    let replication = Replication::running("create table t (id bigint primary key, v text)");
    replication.on_subscriber("alter table t drop constraint t_pkey");
    let writers = 4;
    let rows = 100_000 / writers;
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (replication, first) = (&replication, writer * rows);
            scope.spawn(move || {
                replication.on_provider(&format!(
                    "do $$ begin for i in {first} + 1 .. {first} + {rows} loop \
                     insert into t values (i, 'tiny'); commit; end loop; end $$"
                ));
            });
        }
    });
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select count(*), count(distinct id), sum(id) from t"),
        "100000|100000|5000050000"
    );
    replication.assert_clean(&[]);
}

#[test]
fn tx_16_a_thousand_rolled_back_transactions_are_neither_a_stall_nor_a_phantom() {
    let replication = Replication::running(TABLE);
    let writer = Session::new(&replication.provider, replication.db());
    for round in 0..1000 {
        writer.ask(&format!(
            "begin; insert into t values ({round}, 'gone'), (-{round} - 1, 'gone'); rollback"
        ));
    }
    replication.on_provider("insert into t values (1, 'real')");
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select string_agg(v, ' ') from t"),
        "real"
    );
    synced_and_clean(&replication);
}

#[test]
fn tx_18_bulk_into_fifty_tables_in_one_transaction_arrives_whole() {
    let rows: i64 = *choose("rows", vec![20_000, 1_000], vec![1_000])
        .first()
        .unwrap();
    let tables: String = (1..=50)
        .map(|n| format!("create table bulk{n} (id int primary key, v int);"))
        .collect();
    let replication = Replication::running(&tables);
    let total = (1..=50)
        .map(|n| format!("select count(*) as n from bulk{n}"))
        .collect::<Vec<_>>()
        .join(" union all ");
    let total = format!("select sum(n) from ({total}) x");
    replication.on_provider(&format!(
        "do $$ begin for i in 1..50 loop execute format( \
           'insert into bulk%s select g, g from generate_series(1, {rows}) g', i); end loop; end $$"
    ));
    let watch = Session::new(&replication.subscribers[0], replication.db());
    // None of it, or all.
    wait_until("the transaction", Duration::from_secs(300), || {
        let seen: i64 = watch.ask(&total).parse().unwrap();
        assert!(seen == 0 || seen == 50 * rows, "{seen}");
        seen > 0
    });
    synced_and_clean(&replication);
}

#[test]
fn to_06_wide_rows_of_nulls_and_many_empty_strings_cost_in_proportion() {
    let columns: Vec<String> = (1..=500).map(|n| format!("c{n} int")).collect();
    let replication = Replication::running(&format!(
        "create table nulls (id int primary key, {}); create table empty (id int primary key, v text)",
        columns.join(", ")
    ));
    let cost = |sql: &str| {
        let before = cpu_seconds(&replication);
        replication.on_provider(sql);
        replication.sync();
        cpu_seconds(&replication) - before
    };
    let rows = if full() { 1_000_000 } else { 40_000 };
    for (table, values, rows) in [("empty", "g, ''", rows), ("nulls", "g", 2_000)] {
        let insert = |from: i64, to: i64| {
            cost(&format!(
                "insert into {table} select {values} from generate_series({from}, {to}) g"
            ))
        };
        insert(-100, -1);
        let few = insert(1, rows / 4);
        let many = insert(rows / 4 + 1, rows / 4 + rows);
        println!(
            "{table}: {} rows {few:.2} s of CPU, {rows} rows {many:.2} s",
            rows / 4
        );
        // Four times the rows; quadratic would be sixteen.
        assert!(
            many < 10.0 * few.max(0.1),
            "{table}: {few} s, then {many} s"
        );
    }
    synced_and_clean(&replication);
}

/// What replay has used.
fn cpu_seconds(replication: &Replication) -> f64 {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", replication.replay.running())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u32 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().unwrap())
        .sum();
    f64::from(ticks) / 100.0
}
