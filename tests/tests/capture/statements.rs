//! What each form of statement logs.

use crate::provider::{Provider, said};

const TABLE: &str = "create table t (id int primary key, v text)";

#[tokio::test]
async fn each_statement_is_one_event_that_says_what_it_did() {
    let mut p = Provider::start().await;
    p.run(TABLE).await;
    p.add("t").await;
    assert_eq!(p.events().await, said(&[("shape", "")]));
    for (statement, events) in [
        ("insert into t values (1, 'a')", &[("insert", "(1,a)")][..]),
        (
            "insert into t values (2, 'b'), (3, null)",
            &[("insert", "(2,b)\n(3,)")],
        ),
        (
            "update t set v = '' where id = 1",
            &[("update", "(1,\"\")")],
        ),
        (
            "update t set v = 'x' where id > 1",
            &[("update", "(2,x)\n(3,x)")],
        ),
        (
            "update t set id = 4 where id = 1",
            &[("delete", "(1)"), ("insert", "(4,\"\")")],
        ),
        ("update t set v = v where id < 0", &[]),
        ("delete from t where id < 0", &[]),
        ("insert into t select 1 where false", &[]),
        (
            "insert into t values (4, 'c') on conflict (id) do update set v = excluded.v",
            &[("update", "(4,c)")],
        ),
        ("insert into t values (4, 'c') on conflict do nothing", &[]),
        (
            "insert into t values (4, 'd'), (5, 'e') on conflict (id) do update set v = excluded.v",
            &[("update", "(4,d)"), ("live", "(5,e)")],
        ),
        ("delete from t where id = 5", &[("delete", "(5)")]),
        (
            "delete from t where id in (2, 4)",
            &[("delete", "(2)\n(4)")],
        ),
        ("begin; insert into t values (9, 'x'); rollback", &[]),
        (
            "begin; insert into t values (9, 'x'); savepoint s; delete from t where id = 9; rollback to s; commit",
            // One message of several statements is one client statement.
            &[("insert", "(9,x)")],
        ),
        ("truncate t", &[("truncate", "")]),
    ] {
        p.run(statement).await;
        assert_eq!(p.events().await, said(events), "{statement}");
        p.check(statement).await;
    }
}

#[tokio::test]
async fn keys_that_move_in_sets_are_told_apart_from_rows_that_stay() {
    let mut p = Provider::start().await;
    p.run("create table t (a int, b text, v int, primary key (b, a))")
        .await;
    p.run("create table swap (id int, v text); create unique index on swap (id); alter table swap alter id set not null").await;
    p.add("t").await;
    p.add("swap").await;
    p.run("insert into t select i, 'x', i from generate_series(1, 5) i")
        .await;
    p.run("update t set a = a - 1, v = v + 1").await;
    p.check("keys that follow each other").await;
    p.run("update t set a = a - 2 where a % 2 = 0").await;
    p.check("keys in a chain").await;
    p.run("update t set b = b || 'y', a = a * 2 where a < 4")
        .await;
    p.check("keys that leave the set").await;
    p.run("insert into swap values (1, 'a'), (2, 'b')").await;
    p.run("begin; update swap set id = 0 where id = 1; update swap set id = 1 where id = 2; update swap set id = 2 where id = 0; commit")
        .await;
    p.check("a swap over a third key").await;
}

#[tokio::test]
async fn blocks_are_cut_by_rows_and_by_bytes() {
    let mut p = Provider::start().await;
    p.run(TABLE).await;
    p.add("t").await;
    p.events().await;
    p.run("insert into t select i, 'v' from generate_series(1, 1000) i")
        .await;
    let events = p.events().await;
    assert!((5..8).contains(&events.len()), "{} events", events.len());
    p.run("insert into t select i, repeat(md5(i::text), 3000) from generate_series(1001, 1020) i")
        .await;
    let events = p.events().await;
    assert!((7..=10).contains(&events.len()), "{} events", events.len());
    assert!(events.iter().all(|(_, rows)| rows.len() < 400_000));
    p.run("update t set id = id + 5000").await;
    p.run("delete from t where id % 3 = 0").await;
    p.check("bulk").await;
}

#[tokio::test]
async fn a_function_planned_for_one_row_serves_many_and_the_other_way_round() {
    let mut p = Provider::start().await;
    p.run(
        "create table t (id int primary key, v text); create table u (id int primary key, v text)",
    )
    .await;
    p.add("t").await;
    p.add("u").await;
    p.run("insert into t values (0, 'one'); insert into u select i, 'many' from generate_series(1, 50000) i").await;
    p.run("update u set id = -id; update u set v = 'x'; update t set v = 'x'")
        .await;
    let started = std::time::Instant::now();
    p.run("insert into t select i, 'many' from generate_series(1, 50000) i")
        .await;
    p.run("update t set id = -id, v = 'y' where id <> 0").await;
    p.run("delete from t where id <> 0").await;
    for i in 0..200 {
        p.run(&format!("update u set v = 'z' where id = -{i}"))
            .await;
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    p.check("after all").await;
}

#[tokio::test]
async fn writing_ctes_merge_and_copy_are_captured_once() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v text); create table arch (like t including all)")
        .await;
    p.add("t").await;
    p.add("arch").await;
    p.run("insert into t select i, 'v' from generate_series(1, 10) i")
        .await;
    p.run("with d as (delete from t where id < 4 returning *) insert into arch select * from d")
        .await;
    p.check("a writing CTE").await;
    p.run("with a as (insert into t values (20, 'a') returning id), b as (update t set v = 'b' where id = 5 returning id)
           delete from t where id = 6")
        .await;
    p.check("three parts").await;
    if p.cluster.version() >= 15 {
        p.run(
            "merge into t using (values (5, 'm'), (30, 'n'), (7, null)) s (id, v) on t.id = s.id
           when matched and s.v is null then delete when matched then update set v = s.v
           when not matched then insert values (s.id, s.v)",
        )
        .await;
        p.check("merge").await;
    }
    p.run("copy arch to '/dev/null'; copy t (id, v) from program 'seq 100 1200 | sed ''s/$/\\tcopied/'''").await;
    p.check("copy").await;
    // MERGE puts one row in and takes one out.
    assert_eq!(p.mirrored("t").len(), 7 + 1101);
}

#[tokio::test]
async fn prepared_transactions_show_when_they_commit() {
    let mut p = Provider::start().await;
    p.run(TABLE).await;
    p.add("t").await;
    p.events().await;
    p.run("begin; insert into t values (1, 'a'); prepare transaction 'x'")
        .await;
    p.run("begin; insert into t values (2, 'b'); prepare transaction 'y'")
        .await;
    assert_eq!(p.events().await, []);
    p.run("rollback prepared 'y'").await;
    p.run("commit prepared 'x'").await;
    assert_eq!(p.events().await, said(&[("insert", "(1,a)")]));
}
