//! Attacks on capture: settings of the session that writes or changes the schema, snapshots older than a schema change,
//! types whose insides change, values whose text is far longer than they are.

use tokio_postgres::Client;

use crate::provider::{Provider, refused};

crate::cases::cases! {
    ty_08_a_domain_is_a_key_like_its_base_type
    a_type_whose_insides_change_has_its_settings_pinned
    a_session_without_standard_strings_changes_a_schema_as_others_do
    quoted_identifiers_of_a_session_are_no_change_of_a_type
    rows_that_an_old_snapshot_hides_come_with_an_attached_partition
    two_changes_of_a_table_under_one_old_snapshot_lose_no_column
    a_writer_with_an_old_snapshot_loses_no_column_without_event_triggers
    a_change_that_could_not_be_followed_is_caught_up_and_told
    a_child_made_with_its_schema_is_seen
}

async fn ty_08_a_domain_is_a_key_like_its_base_type(mut p: Provider) {
    p.run(
        "create domain positive as int check (value > 0); create domain word as text;
         create table one (id positive primary key, v text);
         create table two (a positive, b word, v text, primary key (b, a))",
    )
    .await;
    for table in ["one", "two"] {
        p.add(table).await;
    }
    p.steps(&[
        "insert into one select i, 'x' from generate_series(1, 5) i",
        "update one set v = 'y' where id = 1",
        "update one set v = 'z'",
        "update one set id = id + 10 where id = 1",
        "update one set id = id + 10",
        "do $$ begin update one set v = 'n'; update one set id = id + 10; end $$",
        "delete from one where id > 23",
        "insert into two select i, 'x', 'x' from generate_series(1, 5) i",
        "update two set v = 'y' where a = 1",
        "update two set v = 'z'",
        "update two set a = a + 10, b = b || 'y'",
        "do $$ begin update two set v = 'n'; delete from two where a = 12; end $$",
    ])
    .await;
}

async fn a_type_whose_insides_change_has_its_settings_pinned(mut p: Provider) {
    p.run(
        "create type pair as (a int); create domain pairs as pair[];
         create table lines (x int);
         create table t (id int primary key, p pair, l lines[], d pairs)",
    )
    .await;
    p.add("t").await;
    p.run("alter type pair add attribute at timestamptz; alter table lines add at timestamptz")
        .await;
    p.run(
        "set datestyle = 'German'; set timezone = 'Asia/Kolkata';
         insert into t values (1, row(1, '2024-01-02 03:04:05+00'), array[row(1, '2024-01-02 03:04:05+00')::lines],
                               array[row(1, '2024-01-02 03:04:05+00')::pair]);
         reset datestyle; reset timezone",
    )
    .await;
    p.check("composites that got an attribute").await;
}

async fn a_session_without_standard_strings_changes_a_schema_as_others_do(mut p: Provider) {
    p.run("create table t (id int primary key, v int, w numeric(4, 2))")
        .await;
    p.add("t").await;
    let session = p.another().await;
    session
        .batch_execute(
            "set standard_conforming_strings = off; set backslash_quote = off; set array_nulls = off;
             set transform_null_equals = on; set check_function_bodies = off; set plpgsql.extra_errors = 'all'",
        )
        .await
        .unwrap();
    let changes = "select trunkline.type_changes_text('numeric(4,2)', 'text')::text || trunkline.type_changes_text('numeric(4,2)', 'numeric(5,3)')::text";
    assert_eq!(tests::ask(&session, changes).await, "truefalse");
    for sql in [
        "insert into t values (1, 1, 1), (2, 2, 2)",
        r"update t set v = 3; insert into t values (3, 4)",
        r"alter table t add x text; insert into t values (4, 5, 6, 'a\\b')",
        "alter table t rename x to y; update t set y = 'c' where id < 3",
        "delete from t where id = 1",
        "alter table t drop v; insert into t values (5, 6)",
    ] {
        session
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        p.check(sql).await;
    }
    session
        .batch_execute("alter table t disable trigger trunkline_insert")
        .await
        .unwrap();
    assert_eq!(
        p.ask("select problem from trunkline.captured").await,
        "triggers of its capture are disabled or gone"
    );
}

async fn quoted_identifiers_of_a_session_are_no_change_of_a_type(mut p: Provider) {
    p.run(
        "create table t (id uuid primary key, v inet);
         create table r (id int not null) partition by list (id); create table r1 partition of r for values in (1)",
    )
    .await;
    p.add("t").await;
    p.add_by("r", "full", None).await;
    p.run(
        "set quote_all_identifiers = on; alter table t add w inet; insert into t values (md5('1')::uuid); truncate r1;
         reset quote_all_identifiers; alter table t add x inet; update t set v = '::1'",
    )
    .await;
    p.check_claims = false;
    p.check("t").await;
    assert_eq!(
        p.ask("select count(*) from pgq.event_1 where ev_data like '%digest%' or ev_extra3 = 'digest' or ev_extra1 like '%\"%'")
            .await,
        "0",
        "no type has changed, and a name is written as always"
    );
}

async fn rows_that_an_old_snapshot_hides_come_with_an_attached_partition(mut p: Provider) {
    p.run(
        "create table r (id int not null, d int not null, v text) partition by range (d);
         create table r1 partition of r for values from (0) to (10); create unique index on r1 (id, d);
         create table r2 partition of r for values from (10) to (20); create unique index on r2 (id, d)",
    )
    .await;
    p.add_by("r", "key", Some(&["id", "d"])).await;
    p.run("insert into r values (1, 1), (2, 11)").await;
    let old = old_snapshot(&p).await;
    p.run("insert into r2 values (3, 12)").await;
    old.batch_execute(
        "alter table r detach partition r2; alter table r attach partition r2 for values from (10) to (20); commit",
    )
    .await
    .unwrap();
    p.check("a row that the session could not see").await;
    assert_eq!(p.ask("select count(*) from r").await, "3");
    // What the transaction made itself it sees whole: no copy is asked for.
    let marks = p.marks.len();
    p.run(
        "begin isolation level repeatable read; create table r3 (like r); insert into r3 values (4, 21);
         create unique index on r3 (id, d); alter table r attach partition r3 for values from (20) to (30);
         create table r4 partition of r for values from (30) to (40); commit",
    )
    .await;
    p.check("a partition of its own").await;
    assert_eq!(p.marks.len(), marks, "{:?}", p.marks);
}

/// A session in a transaction that sees nothing of what comes after this call.
async fn old_snapshot(p: &Provider) -> Client {
    let old = p.another().await;
    old.batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    old
}

async fn two_changes_of_a_table_under_one_old_snapshot_lose_no_column(mut p: Provider) {
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("insert into t values (1, 'a')").await;
    let old = old_snapshot(&p).await;
    p.run("alter table t add c int").await;
    old.batch_execute("alter table t add d int; insert into t (id, c, d) values (2, 2, 2); commit")
        .await
        .unwrap();
    p.check("in the transaction").await;
    p.run("insert into t (id, c, d) values (3, 3, 3), (4, 4, 4)")
        .await;
    p.check("before upkeep").await;
    p.run("update t set d = 5 where id < 3; delete from t where id = 4; do $$ begin update t set v = 'n'; update t set c = 7; end $$")
        .await;
    p.check("statements of every kind").await;
    assert!(p.upkeep().await.contains("has changed"));
    p.run("insert into t (id, c, d) values (8, 8, 8)").await;
    p.check("after upkeep").await;
    assert_eq!(p.upkeep().await.replace("has changed", ""), "");
}

async fn a_writer_with_an_old_snapshot_loses_no_column_without_event_triggers(p: Provider) {
    let mut p = p.without_event_triggers().await;
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("insert into t values (1, 'a')").await;
    let old = old_snapshot(&p).await;
    p.run("alter table t add d int").await;
    old.batch_execute("insert into t (id, d) values (2, 2); commit")
        .await
        .unwrap();
    p.check("in the transaction").await;
    p.run("insert into t (id, d) values (3, 3), (4, 4)").await;
    p.check("before upkeep").await;
    assert!(p.upkeep().await.contains("has changed"));
    p.run("update t set d = 5").await;
    p.check("after upkeep").await;
    assert_eq!(p.upkeep().await, "");
}

async fn a_change_that_could_not_be_followed_is_caught_up_and_told(mut p: Provider) {
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("insert into t values (1, 'a')").await;
    p.check("before").await;
    // As a session does that has the right to: nothing tells capture of the column.
    p.run(
        "alter event trigger trunkline_ddl_command_end disable; alter table t add c int;
         alter event trigger trunkline_ddl_command_end enable always; insert into t values (2, 'b', 2)",
    )
    .await;
    assert!(p.upkeep().await.contains("has changed"));
    p.check("after upkeep").await;
    p.run("insert into t values (3, 'c', 3)").await;
    p.check("a row more").await;
}

async fn a_child_made_with_its_schema_is_seen(mut p: Provider) {
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("insert into t values (1, 'a')").await;
    p.run("create schema s create table child (primary key (id)) inherits (public.t)")
        .await;
    p.run("insert into s.child values (2, 'b'); update t set v = 'c'; delete from t where id = 2")
        .await;
    p.check("a child").await;
    assert_eq!(p.mirrored("t").len(), 1);
    refused(&p.client, "insert into t values (1, 'twice')").await;
}
