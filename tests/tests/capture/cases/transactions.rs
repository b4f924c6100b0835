//! TX, TR: transactions of every kind and TRUNCATE, on every version.

use std::time::{Duration, Instant};

use crate::provider::{Provider, said};

crate::cases::cases! {
    tx_02_savepoints_that_are_released_and_rolled_back_out_of_order
    tx_02_tx_08_more_subtransactions_than_a_snapshot_lists
    tx_04_commits_in_another_order_than_their_events_are_numbered
    tx_07_serializable_writers_of_one_table_fail_no_more_often_than_uncaptured
    tx_08_tx_09_prepared_transactions_that_commit_and_roll_back_in_another_session
    tx_10_a_prepared_transaction_over_a_crash
    tx_12_an_insert_an_update_and_a_delete_of_many_rows_in_one_transaction
    tx_16_rolled_back_transactions_leave_nothing
    tx_18_bulk_over_many_tables_in_one_transaction
    tr_01_tr_04_truncate_then_insert_and_one_that_is_rolled_back
    tr_02_tr_07_truncate_of_several_tables_by_name_and_by_cascade
    tr_03_truncate_that_restarts_a_sequence
    tr_09_sessions_with_triggers_off_are_not_captured
}

const TABLE: &str = "create table t (id int primary key, v text)";

async fn tx_02_savepoints_that_are_released_and_rolled_back_out_of_order(mut p: Provider) {
    p.run(TABLE).await;
    p.add("t").await;
    // What the first round leaves, the second one meets under keys of its own.
    for (ending, first) in [("commit", 10), ("rollback", 60)] {
        for statement in [
            "begin".to_owned(),
            format!("insert into t values ({first}, 'a'), ({first} + 1, 'a')"),
            "savepoint s1".to_owned(),
            format!("insert into t values ({first} + 10, 'b'), ({first} + 11, 'b')"),
            "savepoint s2".to_owned(),
            format!("insert into t values ({first} + 20, 'c'); update t set v = 'gone'"),
            "savepoint s3".to_owned(),
            "delete from t".to_owned(),
            "rollback to s2".to_owned(),
            format!("insert into t values ({first} + 30, 'd'), ({first} + 31, 'd')"),
            "release s1".to_owned(),
            ending.to_owned(),
        ] {
            p.run(&statement).await;
        }
        p.check(ending).await;
        assert_eq!(p.mirrored("t").len(), 6, "{ending}");
    }
    p.steps(&["do $$ begin insert into t values (1, 'kept'); begin update t set v = 'gone'; delete from t; perform 1 / 0;
         exception when division_by_zero then update t set v = 'handled' where id = 1; end; end $$"])
        .await;
}

/// A snapshot lists 64 subtransactions of a session and looks the others up elsewhere; each here changes rows that
/// others have changed.
async fn tx_02_tx_08_more_subtransactions_than_a_snapshot_lists(mut p: Provider) {
    p.run(TABLE).await;
    p.run("create table f (id int, v text)").await;
    p.add("t").await;
    p.add_by("f", "full", None).await;
    let rounds = if tests::full() { 5000 } else { 400 };
    let mut open = Vec::new();
    for (session, level) in ["read committed", "repeatable read", "serializable"]
        .into_iter()
        .enumerate()
    {
        let writer = p.another().await;
        let first = session * 1000;
        writer
            .batch_execute(&format!("begin isolation level {level}; insert into t values ({first}, 's'); insert into f values ({first}, 's')"))
            .await
            .unwrap();
        for savepoint in 0..70 {
            let id = first + 1 + savepoint;
            writer
                .batch_execute(&format!(
                    "savepoint s; insert into t values ({id}, 's'); update t set v = v || 'u' where id between {first} and {first} + 999; insert into f values ({id}, 'f')"
                ))
                .await
                .unwrap();
            if savepoint % 3 == 0 {
                writer.batch_execute("rollback to s").await.unwrap();
            }
        }
        writer
            .batch_execute(&format!(
                "do $$ begin for i in 1..{rounds} loop begin
                    update t set v = 'l' || i where id = {first} + i % 70; insert into t values ({first} + 500 + i % 40, 'n');
                    delete from f where id = {first} + i % 50;
                    if i % 5 = 0 then raise exception 'undone'; end if;
                 exception when others then null; end; end loop; end $$"
            ))
            .await
            .unwrap();
        open.push(writer);
    }
    // Others look and write while all of them are open.
    assert!(p.events().await.iter().all(|(kind, _)| kind == "shape"));
    p.run("insert into t values (9000, 'between'); update t set v = 'again' where id = 9000")
        .await;
    p.check("while they are open").await;
    for (writer, end) in open
        .iter()
        .zip(["commit", "prepare transaction 'many'", "commit"])
    {
        writer.batch_execute(end).await.unwrap();
        p.check(end).await;
    }
    p.run("commit prepared 'many'").await;
    p.check("all").await;
    assert!(p.mirrored("t").len() > 150);
}

async fn tx_04_commits_in_another_order_than_their_events_are_numbered(mut p: Provider) {
    p.run(TABLE).await;
    p.add("t").await;
    let (first, second) = (p.another().await, p.another().await);
    first
        .batch_execute("begin; insert into t values (1, 'first')")
        .await
        .unwrap();
    second
        .batch_execute("insert into t values (2, 'second')")
        .await
        .unwrap();
    assert_eq!(
        p.events().await.last(),
        said(&[("insert", "(2,second)")]).last()
    );
    first.batch_execute("commit").await.unwrap();
    assert_eq!(p.events().await, said(&[("insert", "(1,first)")]));
    p.check("both").await;
}

/// Four sessions that each add rows and change rows of their own, in SERIALIZABLE: the errors 40001, of how many.
async fn serializable(p: &Provider) -> usize {
    p.run("truncate t; insert into t select i, 'v' from generate_series(1, 4000) i")
        .await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let client = p.another().await;
        writers.spawn(async move {
            client
                .batch_execute("set default_transaction_isolation = serializable")
                .await
                .unwrap();
            let mut failed = 0;
            for round in 0..100 {
                let (old, new) = (writer * 1000 + round + 1, 10_000 * (writer + 1) + round);
                for sql in [
                    format!("insert into t values ({new}, 'n')"),
                    format!("update t set v = 'u' where id = {old}"),
                    format!("delete from t where id = {new} - 1"),
                ] {
                    if let Err(error) = client.batch_execute(&sql).await {
                        assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
                        failed += 1;
                    }
                }
            }
            failed
        });
    }
    writers.join_all().await.into_iter().sum()
}

async fn tx_07_serializable_writers_of_one_table_fail_no_more_often_than_uncaptured(
    mut p: Provider,
) {
    p.run(TABLE).await;
    let without = serializable(&p).await;
    p.add("t").await;
    let with = serializable(&p).await;
    println!("of 1,200 statements {without} failed uncaptured, {with} captured");
    // Writers of neighbouring rows of one page can fail each other by themselves; capture adds none in a hundred.
    assert!(with <= without + 12, "{with} against {without}");
    p.check_claims = false;
    p.check("what did not fail").await;
}

async fn tx_08_tx_09_prepared_transactions_that_commit_and_roll_back_in_another_session(
    mut p: Provider,
) {
    p.run(TABLE).await;
    p.add("t").await;
    p.run("insert into t values (0, 'before')").await;
    p.check("before").await;
    p.run("begin; insert into t values (1, 'a'); savepoint s; update t set v = 'b' where id = 1; delete from t where id = 0; prepare transaction 'x'").await;
    p.run("begin; insert into t values (2, 'never'); prepare transaction 'y'")
        .await;
    p.run("insert into t values (3, 'between')").await;
    assert_eq!(p.events().await, said(&[("insert", "(3,between)")]));
    p.check("nothing of them").await;
    let other = p.another().await;
    other.batch_execute("rollback prepared 'y'").await.unwrap();
    assert_eq!(p.events().await, []);
    other.batch_execute("commit prepared 'x'").await.unwrap();
    let events = p.events().await;
    assert!(events.len() >= 2, "all of it at once: {events:?}");
    p.check("after").await;
    assert_eq!(p.mirrored("t").len(), 2);
}

async fn tx_10_a_prepared_transaction_over_a_crash(p: Provider) {
    // A cluster of its own: it crashes.
    let server = match p.version() {
        15 => tests::Server::debian15(),
        other => tests::Server::version(other),
    };
    drop(p);
    let cluster = std::sync::Arc::new(tests::Cluster::builder(&server).durable().start());
    let p = Provider::in_db(&cluster, "p").await;
    p.run(TABLE).await;
    p.add("t").await;
    p.run("begin; insert into t values (1, 'a'), (2, 'b'); prepare transaction 'x'")
        .await;
    drop(p);
    cluster.kill9();
    cluster.start_again();
    let mut p = Provider::of_copy(&cluster, "p").await;
    p.check("nothing of it yet").await;
    p.run("commit prepared 'x'").await;
    p.check("after the crash").await;
    assert_eq!(p.mirrored("t").len(), 2);
}

async fn tx_12_an_insert_an_update_and_a_delete_of_many_rows_in_one_transaction(mut p: Provider) {
    p.run(TABLE).await;
    p.add("t").await;
    let rows = if tests::full() { 1_000_000 } else { 30_000 };
    p.run("set statement_timeout = '300s'").await;
    for statement in [
        "begin",
        &format!("insert into t select i, 'v' from generate_series(1, {rows}) i"),
        "update t set v = v || 'u'",
        "delete from t where id % 2 = 0",
        "commit",
    ] {
        p.run(statement).await;
    }
    p.check("one transaction").await;
    assert_eq!(p.mirrored("t").len(), rows / 2);
}

async fn tx_16_rolled_back_transactions_leave_nothing(mut p: Provider) {
    p.run(TABLE).await;
    p.add("t").await;
    p.events().await;
    for round in 0..100 {
        p.run(&format!(
            "begin; insert into t select i, 'r' from generate_series(1, 10) i; update t set v = '{round}'"
        ))
        .await;
        p.run("rollback").await;
    }
    p.run("insert into t values (1, 'kept')").await;
    // No write of the session was committed before: its capture has no mark to trust, and the rows that were rolled
    // back may have been nested.
    assert_eq!(p.events().await, said(&[("live", "(1,kept)")]));
}

async fn tx_18_bulk_over_many_tables_in_one_transaction(mut p: Provider) {
    p.run("do $$ begin for i in 1..50 loop execute format('create table bulk%s (id int primary key, v int)', i); end loop; end $$")
        .await;
    for number in 1..=50 {
        p.add(&format!("bulk{number}")).await;
    }
    let rows = if tests::full() { 20_000 } else { 300 };
    p.steps(&[&format!(
        "do $$ begin for i in 1..50 loop
            execute format('insert into bulk%s select g, g from generate_series(1, {rows}) g', i);
            execute format('update bulk%s set v = -v where id %% 2 = 0', i); end loop; end $$"
    )])
    .await;
    assert_eq!(p.mirrored("bulk50").len(), rows);
}

async fn tr_01_tr_04_truncate_then_insert_and_one_that_is_rolled_back(mut p: Provider) {
    p.run(TABLE).await;
    p.add("t").await;
    p.steps(&[
        "insert into t values (1, 'a'), (2, 'b')",
        "begin; truncate t; insert into t values (1, 'after'); commit",
        "begin; insert into t values (3, 'c'); truncate t; rollback",
        "begin; insert into t values (4, 'd'); savepoint s; truncate t; rollback to s; insert into t values (5, 'e'); commit",
        "truncate t",
        "truncate t",
    ])
    .await;
}

async fn tr_02_tr_07_truncate_of_several_tables_by_name_and_by_cascade(mut p: Provider) {
    p.run(
        "create table a (id int primary key); create table b (id int primary key, a int references a);
         create table c (id int primary key, b int references b); create table alone (id int primary key, b int references b)",
    )
    .await;
    // One of the tables that the cascade reaches is not captured.
    for table in ["a", "b", "c"] {
        p.add(table).await;
    }
    let fill = "insert into a values (1); insert into b values (1, 1); insert into c values (1, 1)";
    for truncate in [
        "truncate a, b, c, alone",
        "truncate a cascade",
        "truncate b cascade",
        "truncate c",
    ] {
        p.run("truncate a cascade").await;
        p.run(fill).await;
        p.check(fill).await;
        p.run(truncate).await;
        let emptied = p.events().await;
        let wanted = match truncate {
            "truncate b cascade" => 2,
            "truncate c" => 1,
            _ => 3,
        };
        assert_eq!(emptied.len(), wanted, "{truncate}: {emptied:?}");
        p.check(truncate).await;
    }
}

async fn tr_03_truncate_that_restarts_a_sequence(mut p: Provider) {
    p.run("create table numbered (id serial primary key, v text)")
        .await;
    p.add("numbered").await;
    p.steps(&[
        "insert into numbered (v) values ('a'), ('b')",
        "truncate numbered restart identity",
        "insert into numbered (v) values ('again')",
    ])
    .await;
    assert_eq!(p.mirrored("numbered").keys().next().unwrap(), b"1");
}

async fn tr_09_sessions_with_triggers_off_are_not_captured(mut p: Provider) {
    p.run(TABLE).await;
    p.add("t").await;
    p.events().await;
    p.run("set session_replication_role = replica").await;
    p.run("insert into t values (1, 'unseen'); truncate t")
        .await;
    p.run("set session_replication_role = local").await;
    p.run("insert into t values (2, 'seen')").await;
    assert_eq!(p.events().await, said(&[("insert", "(2,seen)")]));
    // Triggers that are taken away from a table are told as a problem of it, once it is looked at.
    p.run("alter table t disable trigger all").await;
    let begin = Instant::now();
    while p
        .ask("select problem is null from trunkline.captured")
        .await
        == "t"
    {
        p.upkeep().await;
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
