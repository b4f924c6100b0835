//! Statements that would touch no row are not sent: they ask for rights that nothing needs, and fire triggers for
//! nothing.

use tests::Replication;

/// A replication whose subscriber notes each statement on `t` and `keyless`.
fn noted() -> Replication {
    let replication = Replication::builder().make();
    replication
        .everywhere("create table t (id int primary key, v text); create table keyless (v text)");
    replication.on_subscriber(
        "create table noted (at serial, what text); \
         create function note() returns trigger language plpgsql as $$ \
         begin insert into public.noted (what) values (tg_op || ' ' || tg_table_name); return null; end $$; \
         create trigger note after insert or update or delete on t for each statement execute procedure note(); \
         create trigger note after insert or update or delete on keyless for each statement execute procedure note(); \
         alter table t enable always trigger note; alter table keyless enable always trigger note",
    );
    replication.start();
    replication
}

/// What was noted since the last call, after one statement on the provider.
fn noted_of(replication: &Replication, statement: &str) -> String {
    replication.on_subscriber("truncate noted");
    replication.on_provider(statement);
    replication.sync();
    replication.assert_same();
    replication.on_subscriber("select string_agg(what, ', ' order by at) from noted")
}

#[test]
fn s3_an_insert_only_table_gets_no_delete() {
    let replication = noted();
    // It has no identity, so the server refuses a DELETE, even one of no row.
    replication.on_subscriber("create publication everything for all tables");
    let add = ["add", "keyless", "--identity", "insert-only"];
    replication.replay.run(&add).ok();
    replication.wait_ok();
    assert_eq!(
        noted_of(
            &replication,
            "insert into keyless values ('a'), ('b'), ('b')"
        ),
        "INSERT keyless"
    );
    replication.assert_clean(&[]);
}

#[test]
fn s3_a_table_without_a_key_gets_what_its_sums_ask_for() {
    let replication = noted();
    let add = ["add", "keyless", "--identity", "full"];
    replication.replay.run(&add).ok();
    replication.wait_ok();
    for (statement, noted) in [
        (
            "insert into keyless values ('a'), ('b'), ('b')",
            "INSERT keyless",
        ),
        ("delete from keyless where v = 'a'", "DELETE keyless"),
        (
            "update keyless set v = 'c'",
            "DELETE keyless, INSERT keyless",
        ),
        ("update keyless set v = v", ""),
    ] {
        assert_eq!(noted_of(&replication, statement), noted, "{statement}");
    }
    replication.assert_clean(&[]);
}

#[test]
fn s3_rows_that_are_all_missing_are_inserted_and_not_updated() {
    let replication = noted();
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    // Enough for a set.
    let rows = "insert into t select g, 'v' from generate_series(1, 300) g";
    let lose = "alter table t disable trigger note; delete from t; alter table t enable always trigger note";
    noted_of(&replication, rows);
    replication.on_subscriber(lose);
    assert_eq!(noted_of(&replication, "update t set v = 'w'"), "INSERT t");
    replication.on_subscriber(lose);
    assert_eq!(noted_of(&replication, "delete from t"), "");
    replication.assert_followed(&["conflict table=public.t"]);
}
