//! TO: values that are stored apart, rows of many columns, and rows of any size, on every version.

use std::time::Instant;

use crate::provider::Provider;

crate::cases::cases! {
    to_01_large_values_that_do_not_change_of_every_storage
    to_02_keys_that_are_stored_apart
    to_06_columns_of_nulls_and_rows_of_empty_strings_cost_what_they_weigh
}

async fn to_01_large_values_that_do_not_change_of_every_storage(mut p: Provider) {
    p.run("create table t (id int primary key, a text, b bytea, c text, n int)")
        .await;
    p.run("alter table t alter a set storage external, alter b set storage extended, alter c set storage plain")
        .await;
    p.add("t").await;
    p.steps(&[
        "insert into t values (1, repeat('é\"', 250000), decode(repeat('00ff5c22', 100000), 'hex'), repeat('p', 3000), 0),
            (2, (select string_agg(md5(i::text), '') from generate_series(1, 16000) i), '', '', 0)",
        "update t set n = n + 1",
        "update t set n = n + 1 where id = 1",
        "do $$ begin update t set n = 7 where id = 1; update t set n = 8; end $$",
        "update t set a = a || 'x' where id = 1",
        "update t set b = b || '\\x5c' where id = 2",
        "update t set id = id + 10",
        "alter table t alter a set storage main, alter b set storage external; update t set n = 9",
    ])
    .await;
    if p.version() >= 14 {
        p.steps(&[
            "alter table t alter a set compression pglz",
            "update t set a = a || 'y', c = c || 'y'",
            "update t set n = 10",
        ])
        .await;
    }
}

async fn to_02_keys_that_are_stored_apart(mut p: Provider) {
    p.run("create table t (k text primary key, v int); alter table t alter k set storage external")
        .await;
    p.add("t").await;
    p.steps(&[
        // As long as an index takes, too long for the row.
        "insert into t select (select left(string_agg(md5(g || ' ' || i), ''), 2300) from generate_series(1, 80) i) || g, g
            from generate_series(1, 20) g",
        "update t set v = -v",
        "update t set k = k || '!' where v > -10",
        "do $$ begin update t set v = 5 where v = -11; update t set k = k || '?' where v = 5; end $$",
        "delete from t where v < -15",
    ])
    .await;
}

async fn to_06_columns_of_nulls_and_rows_of_empty_strings_cost_what_they_weigh(mut p: Provider) {
    let columns: Vec<String> = (1..=500).map(|n| format!("c{n} text")).collect();
    p.run(&format!(
        "create table nulls (id int primary key, {}); create table empty (id int primary key, v text)",
        columns.join(", ")
    ))
    .await;
    p.add("nulls").await;
    p.add("empty").await;
    p.steps(&[
        "insert into nulls (id) select generate_series(1, 300)",
        "update nulls set c500 = '' where id % 2 = 0",
    ])
    .await;
    // Ten times the rows may not take a hundred times the time; a machine that stops for a moment has further tries.
    let most = if tests::full() { 1_000_000 } else { 40_000 };
    let mut all = Vec::new();
    for _ in 0..5 {
        let mut times = Vec::new();
        for rows in [most / 10, most] {
            let begin = Instant::now();
            p.run(&format!(
                "insert into empty select i, '' from generate_series(1, {rows}) i"
            ))
            .await;
            times.push(begin.elapsed());
            p.check("empty strings").await;
            p.run("truncate empty").await;
        }
        let is_in_proportion = times[1] < times[0] * 60;
        all.push(times);
        if is_in_proportion {
            return;
        }
    }
    panic!("{all:?}");
}
