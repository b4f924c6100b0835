//! Tables that are copied again, merged, or given up half way.

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use tests::{Replication, Session, Writes, wait_until};

use crate::{SOON, catalog::CATALOG, ddl::same_lines};

const FILLED: &str = "create table t (id int primary key, v text, n int); \
    create index t_v on t (v); \
    insert into t select i, repeat('v', 60), i from generate_series(1, 60000) i";

#[test]
fn with_swap_readers_see_the_old_rows_until_the_new_ones_are_in() {
    let replication = Replication::running(&format!(
        "{FILLED}; \
         create table numbered (id int primary key, n int generated always as identity, v text unique); \
         insert into numbered (id, v) values (1, 'a'), (2, 'b'), (3, 'c')"
    ));
    replication.on_subscriber(
        "alter table t add column own int default 7; \
         alter table numbered add column own int default 7",
    );
    replication.on_subscriber("update t set own = id where id <= 10; update numbered set own = id");
    // What nobody captured: only a copy brings it over, or takes it away.
    replication.on_subscriber(
        "delete from t where id between 100 and 199; update t set n = -1 where id = 5; \
         insert into t values (-5, 'foreign', 0)",
    );
    let before = replication.on_subscriber(CATALOG);
    let reader = Session::new(&replication.subscribers[0], replication.db());
    let count = || reader.ask("select count(*) || ' ' || count(*) filter (where id = -5) from t");
    assert_eq!(count(), "59901 1");
    replication.replay.run(&["resync", "t", "--swap"]).ok();
    let mut seen = vec![];
    wait_until("the new rows", SOON, || {
        let now = count();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        seen.last().is_some_and(|last| last == "60000 0")
    });
    assert_eq!(seen.len(), 2, "{seen:?}");
    replication.wait_ok();
    replication.on_provider("update t set v = 'new' where id = 6");
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber(
            "select string_agg(own::text, ' ' order by id) from t where id in (5, 6, 11)"
        ),
        "5 6 7",
        "a column of the subscriber's own keeps its values"
    );
    // No UPDATE can set its number: its rows are taken out and put in again.
    replication.on_subscriber(
        "update numbered set v = 'other' where id = 1; update numbered set v = 'a' where id = 2; \
         update numbered set v = 'b' where id = 1",
    );
    replication
        .replay
        .run(&["resync", "numbered", "--swap", "--wait", "120"])
        .ok();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select string_agg(own::text, ' ' order by id) from numbered"),
        "1 2 3"
    );
    same_lines(&before, &replication.on_subscriber(CATALOG));
    assert_eq!(
        replication
            .on_subscriber("select count(*) = 0 from pg_class where relname ~ '^copy_[0-9]'"),
        "t"
    );
    replication.assert_clean(&[]);
}

#[test]
fn kept_rows_are_merged_by_key() {
    let replication = Replication::builder().make();
    replication.everywhere("create table t (id int primary key, v text unique, j json)");
    replication
        .on_provider("insert into t select i, 'p' || i, '{}' from generate_series(1, 1000) i");
    // 1 and 2 have each other's value; 5000 is the subscriber's alone.
    replication.on_subscriber(
        "insert into t values (1, 'p2', '{}'), (2, 'p1', '[]'), (5000, 'mine', null)",
    );
    replication.start();
    replication
        .replay
        .run(&["add", "t"])
        .code(3)
        .says(&["--keep-rows"]);
    replication
        .replay
        .run(&["add", "t", "--keep-rows", "--wait", "120"])
        .ok();
    assert_eq!(
        replication.on_subscriber("select count(*) || ' ' || string_agg(v, ' ' order by id) filter (where id in (1, 2, 5000)) from t"),
        "1001 p1 p2 mine"
    );
    replication.on_provider("update t set v = 'next' where id = 1; delete from t where id = 2");
    replication.sync();
    replication.on_subscriber("delete from t where id = 5000");
    replication.assert_same();
    replication.assert_no_conflicts();
    replication.assert_clean(&[]);
}

#[test]
fn sy_02_tables_are_copied_again_and_again_under_load_and_are_the_same() {
    let replication = Replication::running(
        "create table a (id int primary key, v text, n int); create table b (id int primary key, v text, n int); \
         create index a_v on a (v); \
         insert into a select i, repeat('v', 80), 0 from generate_series(1, 45000) i; \
         insert into b select i, 'b', 0 from generate_series(1, 2000) i",
    );
    let load = replication.load(
        2,
        Duration::from_millis(5),
        &(Arc::new(|random: &mut rand::rngs::StdRng, number: u64| {
            let table = if number.is_multiple_of(2) { "a" } else { "b" };
            // A row with an odd key is one of two, and only its key changes; so no key comes twice.
            let id = random.random_range(0..1000) * 2 + u64::from(number % 3 == 2);
            match number % 3 {
                0 => format!("update {table} set n = n + 1 where id = {id}"),
                1 => format!("delete from {table} where id = {id}; insert into {table} values ({id}, 'again', 1)"),
                _ => format!("update {table} set id = -id where id in ({id}, -{id})"),
            }
        }) as Writes),
    );
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    for round in 0..20_usize {
        let mut args = vec!["resync", ["a", "b", "*"][random.random_range(0..3_usize)]];
        args.extend(random.random_bool(0.5).then_some("--swap"));
        replication.replay.run(&args).ok();
        // Some come while the one before is at work, others when it is done.
        if round == 9 {
            replication.wait_ok();
        } else {
            load.wait_for_more(random.random_range(1..60));
        }
    }
    replication.wait_ok();
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn a_table_that_is_removed_half_way_is_empty_and_has_its_indexes() {
    let replication = Replication::builder().make();
    replication.on_provider(FILLED);
    replication.copy_schema();
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    let subscriber = &replication.subscribers[0];
    let unfinished = |end: &dyn Fn()| {
        replication.replay.run(&["add", "t"]).ok();
        // Nothing is complete without a tick that shows the copy.
        replication.ticker.kill9();
        wait_until("the rows to be loaded", SOON, || {
            subscriber.psql(replication.db(), "select count(*) = 60000 from t") == "t"
                && subscriber.psql(replication.db(), "select count(*) from trunkline.kept_ddl")
                    == "2"
        });
        end();
        assert_eq!(replication.on_subscriber("select count(*) from t"), "0");
        same_lines(&before, &replication.on_subscriber(CATALOG));
        replication.ticker.run(&["start", "-d"]).ok();
    };
    unfinished(&|| {
        replication.replay.run(&["remove", "t"]).ok();
    });
    unfinished(&|| {
        replication.replay.kill9();
        replication.replay.run(&["remove", "t"]).ok();
        replication.replay.run(&["start", "-d"]).ok();
    });
    replication.replay.run(&["add", "t", "--wait", "120"]).ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&["a table's task waits", "is loaded again"]);
}

#[test]
fn what_a_dead_copy_took_away_comes_back_by_hand() {
    let replication = Replication::builder().make();
    replication.on_provider(FILLED);
    replication.copy_schema();
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    let nothing = replication.replay.run(&["restore-ddl"]).ok().stdout;
    assert_eq!(
        nothing,
        "nothing was taken away
"
    );
    // Nothing is complete without a tick that shows the copy.
    replication.ticker.kill9();
    replication.replay.run(&["add", "t"]).ok();
    wait_until("the rows to be loaded", SOON, || {
        replication.on_subscriber("select count(*) from t") == "60000"
    });
    replication.replay.kill9();
    assert_ne!(replication.on_subscriber(CATALOG), before);
    let said = replication.replay.run(&["restore-ddl", "t"]).ok().stdout;
    assert!(
        said.contains("index t_v on public.t is back")
            && said.contains("constraint t_pkey on public.t is back"),
        "{said}"
    );
    same_lines(&before, &replication.on_subscriber(CATALOG));
    replication.ticker.run(&["start", "-d"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    same_lines(&before, &replication.on_subscriber(CATALOG));
    replication.assert_clean(&[]);
}
