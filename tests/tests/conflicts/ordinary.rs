//! Replay as an ordinary session, `session_role = "origin"`: before PostgreSQL 15 the only way
//! for a role that is no superuser. Foreign keys hold, and what would act twice is refused.

use std::time::Duration;

use tests::{Cluster, Replication, Server, Session, choose, wait_until};

use crate::{SOON, parked, roles::by_roles, told};

const TABLES: &str = "create table parent (id int primary key, v text unique); \
    create table child (id int primary key, p int not null references parent); \
    create table grandchild (id int primary key, c int references child); \
    create table tree (id int primary key, up int references tree); \
    create table a (id int primary key, b int); \
    create table b (id int primary key, a int references a deferrable); \
    alter table a add foreign key (b) references b deferrable; \
    create table plain (id int primary key, v text); \
    create table keyless (n int)";

/// A replication of [`TABLES`] between servers of a version, whose roles are no superusers and
/// may not set `session_replication_role`. Tables without a cycle of keys are copied.
fn ordinary(version: u32) -> Replication {
    let cluster = || match version {
        15 => Cluster::builder(&Server::debian15()),
        other => Cluster::builder(&Server::version(other)),
    };
    let replication = Replication::builder()
        .provider(cluster())
        .subscribers(vec![cluster()])
        .replay_line("session_role = \"origin\"")
        .make();
    replication.everywhere(TABLES);
    replication.on_provider(
        "insert into parent select g, 'v' || g from generate_series(1, 500) g; \
         insert into child select g, g from generate_series(1, 400) g; \
         insert into grandchild select g, g from generate_series(1, 300) g; \
         insert into tree select g, nullif(g - 1, 0) from generate_series(1, 300) g; \
         insert into plain select g, 'x' from generate_series(1, 300) g",
    );
    by_roles(&replication);
    if version >= 15 {
        replication.on_subscriber(
            "revoke set on parameter session_replication_role from trunkline_replay",
        );
    }
    replication.ticker.run(&["start", "-d"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    replication
        .replay
        .run(&["add", "a", "b", "--expect-sync"])
        .ok();
    replication
        .replay
        .run(&["add", "keyless", "--identity", "full"])
        .ok();
    replication
        .replay
        .run(&["add", "parent", "child", "grandchild", "tree", "plain"])
        .ok();
    replication.wait_ok();
    replication
}

#[test]
fn se_09_fk_01_in_an_ordinary_session_rows_are_written_in_an_order_that_foreign_keys_allow() {
    for version in choose("versions", vec![10, 12, 14, 15, 18], vec![10, 15]) {
        let replication = ordinary(version);
        for transaction in [
            // Parents, children and their children in one batch, few and many.
            "insert into parent values (1001, 'n'); insert into child values (1001, 1001); \
             insert into grandchild values (1001, 1001)",
            "insert into parent select g, 'm' || g from generate_series(2000, 2999) g; \
             insert into child select g, g from generate_series(2000, 2999) g; \
             insert into grandchild select g, g from generate_series(2000, 2999) g",
            // Gone with all that refers to them.
            "delete from grandchild where id >= 2500; delete from child where id >= 2500; \
             delete from parent where id >= 2500",
            "delete from grandchild where id = 1001; delete from child where id = 1001; \
             delete from parent where id = 1001",
            // Who refers to a row that goes refers to a new one first.
            "insert into parent values (3000, 'new'); update child set p = 3000 where p between 1 and 3; \
             delete from parent where id between 1 and 3",
            "insert into parent select g, 'w' || g from generate_series(4000, 4400) g; \
             update child set p = 4000 + id where id <= 400; delete from parent where id between 4 and 500",
            // A unique value goes over to another row.
            "delete from parent where id = 3000 and not exists (select from child where p = 3000); \
             insert into parent values (3001, 'new2')",
            "update plain set v = 'p' || id; update parent set v = 'renamed' where id = 4001; \
             update parent set v = 'w4001' where id = 4002",
            // Rows that refer to rows of their own table.
            "insert into tree select g, g + 1 from generate_series(1000, 1200) g where false; \
             insert into tree values (5000, null), (5001, 5000), (5002, 5001)",
            "insert into tree select g, case when g > 6000 then g - 1 end from generate_series(6000, 6500) g",
            "delete from tree where id >= 5000",
            "update tree set up = null; delete from tree where id > 150",
            // A cycle, whose keys can be deferred.
            "set constraints all deferred; insert into a values (1, 1), (2, 2); insert into b values (1, 2), (2, 1)",
            "set constraints all deferred; delete from a; delete from b",
            "insert into keyless select g from generate_series(1, 300) g; delete from keyless where n > 100",
            "truncate grandchild, child, parent; insert into parent values (1, 'again'); insert into child values (1, 1)",
        ] {
            replication.on_provider(&format!("begin; {transaction}; commit"));
            replication.sync();
            replication.assert_same();
        }
        replication.assert_no_conflicts();
        replication.assert_clean(&[]);
        // They hold there, and nobody was a superuser.
        let refused = replication.subscribers[0]
            .try_psql(replication.db(), "insert into child values (99, 99)");
        assert!(
            refused.stderr.contains("violates foreign key"),
            "{refused:?}"
        );
        assert_eq!(
            replication.on_subscriber(
                "select string_agg(distinct usename || rolsuper, ' ') from pg_stat_activity \
                 join pg_roles on rolname = usename where application_name like 'trunkline%'"
            ),
            "trunkline_replayfalse"
        );
    }
}

#[test]
fn se_09_an_ordinary_session_under_load_and_kills_applies_each_transaction_once() {
    let replication = ordinary(10);
    let writes: tests::Writes = std::sync::Arc::new(|random, number| {
        use rand::RngExt;
        let id = 10_000 + number * 10 + random.random_range(0..5u64);
        format!(
            "insert into parent values ({id}, 'load{id}') on conflict do nothing; \
             insert into child values ({id}, {id}) on conflict do nothing; \
             delete from child where id = {id} - 50; delete from parent where id = {id} - 50; \
             update plain set v = v || '.' where id = {id} % 300"
        )
    });
    let load = replication.load(1, Duration::from_millis(5), &writes);
    for _ in 0..4 {
        load.wait_for_more(40);
        replication.replay.kill9();
        replication.replay.run(&["start", "-d"]).ok();
    }
    let totals = load.stop();
    assert!(totals.errors.is_empty(), "{totals:?}");
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    replication.assert_clean(&["subscriber waits"]);
}

#[test]
fn se_09_what_would_act_a_second_time_in_an_ordinary_session_is_refused_by_name() {
    let replication = ordinary(15);
    replication.everywhere(
        "create table acts (id int primary key); create table ruled (id int primary key); \
         create table cascades (id int primary key); create table of_it (id int references cascades on delete cascade)",
    );
    replication.on_subscriber(
        "create function nothing() returns trigger language plpgsql as 'begin return null; end'; \
         create trigger ordinary after insert on acts for each row execute procedure nothing(); \
         create rule beside as on insert to ruled do also select 1; \
         grant select, insert, update, delete, truncate on all tables in schema public to trunkline_replay",
    );
    replication
        .on_provider("grant select, trigger on all tables in schema public to trunkline_replay");
    for (table, words) in [
        ("acts", "trigger ordinary"),
        ("ruled", "rule beside"),
        ("cascades", "ON DELETE"),
    ] {
        replication.replay.run(&["add", table]).code(3).says(&[
            words,
            "ordinary session",
            "disable or drop",
        ]);
    }
    replication.on_subscriber("alter table acts enable replica trigger ordinary");
    replication.replay.run(&["add", "acts"]).ok();
    replication.wait_ok();
    // A trigger that came later parks its table when a session looks at it again.
    replication.on_subscriber(
        "create trigger later before update on plain for each row execute procedure nothing()",
    );
    replication.replay.run(&["restart"]).ok();
    replication.on_provider("update plain set v = 'y' where id = 5");
    let error = parked(&replication, "public.plain")["error"].to_string();
    assert!(error.contains("trigger later"), "{error}");
    replication.on_subscriber("drop trigger later on plain");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
}

#[test]
fn se_09_a_foreign_key_of_the_subscribers_own_parks_the_table_that_breaks_it() {
    let replication = ordinary(15);
    replication.on_subscriber(
        "create table own (id int primary key references parent deferrable initially deferred); \
         insert into own values (450); grant select on own to trunkline_replay",
    );
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "delete from parent where id = 450",
    );
    writer.ask("insert into plain values (1000, 'goes on')");
    writer.ask("commit");
    parked(&replication, "public.parent");
    wait_until("the other table to go on", SOON, || {
        replication.on_subscriber("select count(*) from plain where id = 1000") == "1"
    });
    let error = told(&replication, "public.parent")["error"].to_string();
    assert!(error.contains("own_id_fkey"), "{error}");
    replication.on_subscriber("delete from own");
    replication.wait_ok();
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select count(*) from parent where id = 450"),
        "0"
    );
    replication.assert_clean(&["table parked table=public.parent"]);
}
