//! Commands that write rows by themselves: what they wrote is told, or the table must be copied again. What leaves the
//! values as they are is told to nobody.

use sql::event::Mark;
use tests::Server;

use crate::provider::Provider;

crate::cases::cases! {
    dd_01_dd_02_dd_04_what_a_command_writes_into_rows_is_told
    dd_13_dd_14_what_leaves_the_values_as_they_are_is_no_mark
}

/// One table that holds rows which events told of.
async fn filled(p: &Provider) {
    p.run("create table t (id int primary key, a text, b int, c timestamptz default '2024-01-01 00:00+00')").await;
    p.add("t").await;
    p.run("insert into t select i, 'a' || i, i from generate_series(1, 300) i")
        .await;
}

fn kinds(p: &Provider) -> Vec<&'static str> {
    p.marks
        .iter()
        .map(|(_, mark)| match mark {
            Mark::Resync { .. } => "resync",
            Mark::Emptied(_) => "emptied",
            Mark::Filled { .. } => "filled",
            Mark::Digest { .. } => "digest",
            Mark::Own => "own",
            Mark::Ignored { .. } => "ignored",
        })
        .collect()
}

async fn dd_01_dd_02_dd_04_what_a_command_writes_into_rows_is_told(mut p: Provider) {
    let version = p.version();
    filled(&p).await;
    let fast = if version < 11 { "digest" } else { "filled" };
    for (sql, mark) in [
        ("alter table t add d int default 7", fast),
        ("alter table t add e text", "filled"),
        ("alter table t add f timestamptz default now()", fast),
        ("alter table t add g float8 default random()", "digest"),
        ("alter table t add h serial", "digest"),
        ("alter table t alter b type bigint", "digest"),
        ("alter table t alter b type text using 'n' || b", "digest"),
        ("alter table t alter a type text using upper(a)", "digest"),
        ("alter table t alter c type timestamp", "digest"),
        (
            "alter table t drop e; alter table t add e int default 5",
            fast,
        ),
        (
            "alter table t rename a to x; alter table t rename b to a; alter table t rename x to b",
            "digest",
        ),
        (
            "begin; alter table t drop a; alter table t rename b to a; commit",
            "digest",
        ),
    ] {
        p.marks.clear();
        p.run(sql).await;
        p.check(sql).await;
        assert!(kinds(&p).contains(&mark), "{version}: {sql}: {:?}", p.marks);
    }
}

async fn dd_13_dd_14_what_leaves_the_values_as_they_are_is_no_mark(mut p: Provider) {
    let version = p.version();
    filled(&p).await;
    p.run("alter table t add v varchar(20), add n numeric(10,2); create index t_b on t (b)")
        .await;
    if version >= 12 {
        p.run("alter table t add s text generated always as (a || 'x') stored")
            .await;
    }
    p.check("before").await;
    p.marks.clear();
    for (since, sql) in [
        (10, "vacuum full t"),
        (10, "cluster t using t_pkey"),
        (12, "reindex table concurrently t"),
        (10, "alter table t set tablespace pg_default"),
        (10, "alter table t set logged"),
        (10, "alter table t set (fillfactor = 50)"),
        (17, "alter table t alter s set expression as (a || 'y')"),
        (10, "alter table t alter v type text"),
        (10, "alter table t alter v type varchar"),
        (10, "alter table t alter v type text"),
        (10, "alter table t alter n type numeric(12,2)"),
        (10, "alter table t rename a to z"),
        (10, "alter table t rename z to a"),
        (10, "alter table t add constraint k check (b > 0)"),
        (10, "alter table t alter b set not null"),
        (12, "alter table t drop s"),
    ] {
        if version < since {
            continue;
        }
        p.run(sql).await;
        p.check(sql).await;
        assert_eq!(kinds(&p), Vec::<&str>::new(), "{sql}");
    }
    // A table that went through a time without a log must be copied again: a problem said so.
    p.run("alter table t set unlogged").await;
    assert!(
        p.events()
            .await
            .iter()
            .any(|(kind, said)| kind == "shape" && said.contains("unlogged"))
    );
}

#[tokio::test]
async fn a_virtual_column_and_a_generated_one_that_becomes_ordinary_are_told() {
    let mut p = Provider::on(&Server::version(18)).await;
    filled(&p).await;
    p.run("alter table t add s text generated always as (a || 'x') stored, add w int generated always as (b * 2) virtual").await;
    p.run("update t set a = 'q' where id = 1").await;
    p.check("generated").await;
    p.marks.clear();
    p.run("alter table t alter s drop expression").await;
    p.check("ordinary now").await;
    assert_eq!(kinds(&p), ["digest"]);
}

#[tokio::test]
async fn rewritten_partitions_are_told_as_their_table() {
    let mut p = Provider::start().await;
    p.run(
        "create table r (id int, d int, primary key (id, d)) partition by list (d);
         create table r1 partition of r for values in (1); create table r2 partition of r for values in (2)",
    )
    .await;
    p.add("r").await;
    p.run("insert into r values (1, 1), (2, 2)").await;
    for (sql, mark) in [
        ("alter table r add f int default 3", "filled"),
        ("alter table r add g float8 default random()", "digest"),
        ("alter table r alter f type text using f || 'x'", "digest"),
    ] {
        p.marks.clear();
        p.run(sql).await;
        p.check(sql).await;
        assert_eq!(kinds(&p), [mark], "{sql}");
    }
}

#[tokio::test]
async fn where_nobody_sees_the_command_a_change_that_may_have_written_rows_asks_for_a_copy() {
    let mut p = Provider::start().await.without_event_triggers().await;
    filled(&p).await;
    p.check_claims = false;
    for (sql, marked) in [
        ("alter table t add plain int", false),
        ("alter table t rename a to z", false),
        ("alter table t add d int default 7", true),
        ("alter table t add g float8 default random()", true),
        ("alter table t alter b type bigint", true),
        (
            "alter table t drop plain; alter table t add plain int",
            true,
        ),
        ("vacuum full t", false),
        ("alter table t drop g", false),
    ] {
        for upkeep_first in [true, false] {
            p.marks.clear();
            if upkeep_first {
                p.run(sql).await;
                p.upkeep().await;
            }
            p.run("update t set c = now() where id % 2 = 0").await;
            p.upkeep().await;
            p.check(sql).await;
            if upkeep_first {
                assert_eq!(
                    kinds(&p).contains(&"resync"),
                    marked,
                    "{sql}: {:?}",
                    p.marks
                );
            }
        }
    }
    // The first writer after the command tells it, before the ticker looks.
    p.marks.clear();
    p.run("alter table t drop d; alter table t add d text default 'x'; update t set d = 'y' where id = 1").await;
    p.check("a writer").await;
    assert!(kinds(&p).contains(&"resync"), "{:?}", p.marks);
}

#[tokio::test]
async fn shapes_that_no_event_names_any_more_are_forgotten() {
    let p = Provider::start().await;
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    for round in 0..5 {
        p.run(&format!(
            "alter table t add c{round} int; insert into t (id) values ({round})"
        ))
        .await;
    }
    assert_eq!(p.ask("select count(*) from trunkline.shape").await, "6");
    p.upkeep().await;
    assert_eq!(
        p.ask("select count(*) from trunkline.shape").await,
        "6",
        "events name them"
    );
    // What rotation does when it has given everything away.
    p.run("update pgq.queue set queue_tick_txid = txid_snapshot_xmax(txid_current_snapshot())")
        .await;
    assert!(p.upkeep().await.contains("5 shapes"));
    assert_eq!(p.ask("select string_agg(s.shape_id::text, '') from trunkline.shape s join trunkline.captured c using (shape_id)").await, "6");
}
