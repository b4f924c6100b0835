//! Rows that are missing or in the way: counted, logged, kept, and each table as it was told.

use tests::{Replication, Session, wait_until};

use crate::{SOON, parked, told};

const TWO: &str = "create table a (id int primary key, v text); \
    create table b (id int primary key, v text); \
    insert into a select g, 'x' from generate_series(1, 300) g; \
    insert into b select g, 'x' from generate_series(1, 300) g";

#[test]
fn pk_12_each_table_stops_or_is_overwritten_as_it_was_told_and_that_may_change() {
    let replication = Replication::running(TWO);
    let told_so = replication
        .replay
        .run(&["add", "a", "--on-conflict", "stop"])
        .ok();
    assert!(
        told_so.text().contains("on_conflict changed"),
        "{told_so:?}"
    );
    let again = replication
        .replay
        .run(&["add", "a", "--on-conflict", "stop"])
        .ok();
    assert!(!again.text().contains("changed"), "{again:?}");
    replication.on_subscriber("delete from a where id = 7; delete from b where id = 7");
    replication.on_provider("update a set v = 'y' where id = 7; update b set v = 'y' where id = 7");
    parked(&replication, "public.a");
    replication.on_provider("update b set v = 'z'");
    wait_until("b to go on", SOON, || {
        replication.on_subscriber("select count(*) from b where v = 'z'") == "300"
    });
    let a = told(&replication, "public.a");
    assert!(
        a["error"]
            .as_str()
            .unwrap()
            .contains("1 of its rows are missing"),
        "{a}"
    );
    assert!(a["advice"].as_str().unwrap().contains("skip"), "{a}");
    assert_eq!(a["conflicts"], 0, "{a}");
    assert_eq!(told(&replication, "public.b")["conflicts"], 1);
    // Nothing of it is lost, and the new choice lets it go on by itself.
    replication.on_provider("insert into a values (1000, 'late')");
    replication
        .replay
        .run(&["add", "a", "--on-conflict", "overwrite"])
        .ok();
    replication.wait_ok();
    replication.assert_followed(&[
        "table parked table=public.a",
        "conflict table=public.a missing=1 exists=0",
        "conflict table=public.b missing=1 exists=0",
    ]);
    assert_eq!(told(&replication, "public.a")["conflicts"], 1);
}

#[test]
fn pk_12_conflicts_are_one_line_a_table_and_batch_and_kept_within_bounds() {
    let replication = Replication::running(
        "create table a (id int primary key, v text); \
         insert into a select g, 'x' from generate_series(1, 3000) g",
    );
    replication.everywhere("create table wide (v text)");
    replication
        .replay
        .run(&["add", "wide", "--identity", "full"])
        .ok();
    replication.wait_ok();
    replication.on_provider("insert into wide values (repeat('w', 20000))");
    replication.sync();
    replication.on_subscriber(
        "delete from a where id <= 2500; delete from wide; insert into a values (9000, 'here')",
    );
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "update a set v = 'y'",
    );
    writer.ask("insert into a values (9000, 'there')");
    writer.ask("delete from wide");
    writer.ask("commit");
    replication.sync();
    replication.assert_same();
    let told_of = || -> Vec<String> {
        let log = replication.replay.log();
        let lines = log.lines().filter(|line| line.contains(" conflict "));
        lines.map(str::to_owned).collect()
    };
    wait_until("both tables to be told of", SOON, || told_of().len() >= 2);
    let lines = told_of();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("table=public.a missing=2500 exists=1 key_hash=")),
        "{lines:#?}"
    );
    assert_eq!(told(&replication, "public.a")["conflicts"], 2501);
    // Of one set the first thousand are kept, and of a key no more than its beginning.
    assert_eq!(
        replication.on_subscriber(
            "select table_name, kind, count(*), max(length(row_key)) from trunkline.conflict \
             group by 1, 2 order by 1, 2"
        ),
        "a|exists|1|6\na|missing|1000|6\nwide|missing|1|4000"
    );
    assert_eq!(
        replication.on_subscriber(
            "select count(*) from pg_class c cross join aclexplode(c.relacl) a \
             where c.relnamespace = 'trunkline'::regnamespace \
               and c.relname in ('conflict', 'skipped_change') and a.grantee <> c.relowner"
        ),
        "0",
        "the keys are for admins only"
    );
    replication.assert_clean(&["conflict table="]);
}

#[test]
fn what_a_nested_statement_said_too_early_is_no_conflict_though_a_part_ends_behind_it() {
    let replication = Replication::builder()
        .replay_line("chunk_size = \"64 kB\"")
        .running(
            "create table t (id int primary key, n int, v text); \
             create function again() returns trigger language plpgsql as $$ begin \
                 update t set n = n + 1 where id = new.id; return null; end $$; \
             create trigger again after insert on t for each row execute procedure again()",
        );
    replication
        .replay
        .run(&["add", "t", "--on-conflict", "stop"])
        .ok();
    // Many parts of updates that are logged first, then their rows, which were new.
    let insert = "insert into t select g, 0, repeat('v', 200) from generate_series(1, 2000) g";
    replication.on_provider(insert);
    replication.sync();
    replication.assert_same();
    assert_eq!(told(&replication, "public.t")["conflicts"], 0);
    // A row that is missing still is one.
    replication.on_subscriber("delete from t where id = 5");
    replication.on_provider(&format!(
        "begin; update t set v = 'w' where id = 5; {}; commit",
        insert.replace("(1, 2000)", "(2001, 4000)")
    ));
    parked(&replication, "public.t");
    replication
        .replay
        .run(&["add", "t", "--on-conflict", "overwrite"])
        .ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    assert_eq!(told(&replication, "public.t")["conflicts"], 1);
    replication.assert_followed(&["conflict table=public.t missing=1 exists=0", "table parked"]);
}
