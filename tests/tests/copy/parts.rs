//! A large table is copied in parts: a part that fails is loaded again while the snapshot lives, and
//! without it the table begins anew by itself (SY-05).

use tests::{Replication, Session, wait_until};

use crate::{SOON, held::half_copied};

/// A table of several parts, with key and index, while others write to it.
fn large() -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table t (id int primary key, v text, n int); create index t_n on t (n); \
         insert into t select i, repeat('v', 100), i from generate_series(1, 250000) i",
    );
    replication.copy_schema();
    replication.start();
    replication
}

const END_SESSIONS: &str = "select count(*) from (select pg_terminate_backend(pid) \
    from pg_stat_activity where application_name like 'trunkline copy-";

/// Copies the table while its second part is held back, ends sessions when all others are in,
/// and lets the part go on. Gives the number of tries.
fn copied_although(ended: impl Fn(&Replication)) -> (Replication, String) {
    let replication = large();
    let held = half_copied(&replication, &["add", "t"]);
    // Only the snapshot's session is left on the provider.
    wait_until("the other sessions to be done", SOON, || {
        replication.on_provider(
            "select count(*) = 1 and bool_and(state = 'idle in transaction') \
               from pg_stat_activity where application_name like 'trunkline copy-out%' and state <> 'idle'",
        ) == "t"
    });
    replication
        .on_provider("update t set n = -n where id % 10 = 0; delete from t where id % 1000 = 1");
    ended(&replication);
    drop(held);
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename = 't'"),
        "2"
    );
    let tries = replication.on_subscriber("select copy_attempt from trunkline.table_state");
    (replication, tries)
}

#[test]
fn sy_05_a_part_that_fails_is_loaded_again_and_the_others_stay() {
    let (replication, tries) = copied_although(|replication| {
        let ended = replication.on_subscriber(&format!(
            "{END_SESSIONS}in%' and wait_event_type = 'Lock') ended"
        ));
        assert_eq!(ended, "1");
    });
    assert_eq!(tries, "1");
    replication.wait_log("is loaded again table=public.t part=1");
    replication.assert_clean(&["a part of a copy is loaded again"]);
}

#[test]
fn sy_05_a_copy_whose_snapshot_is_gone_begins_anew_by_itself() {
    let (replication, tries) = copied_although(|replication| {
        let ended = replication.on_provider(&format!(
            "{END_SESSIONS}out%' and state like 'idle in%') ended"
        ));
        assert_eq!(ended, "1");
        wait_until("the snapshot to be gone", SOON, || {
            replication.on_provider(
                "select count(*) from pg_stat_activity \
                  where application_name like 'trunkline copy-out%' and state like 'idle in%'",
            ) == "0"
        });
        // The part that waited finds no snapshot.
        replication.on_subscriber(&format!(
            "{END_SESSIONS}in%' and wait_event_type = 'Lock') ended"
        ));
    });
    assert_eq!(tries, "2");
    replication.assert_clean(&["a part of a copy is loaded again", "a table's task waits"]);
}

#[test]
fn sy_05_a_subscriber_that_crashes_half_way_through_a_copy_loses_nothing() {
    let (replication, _) = copied_although(|replication| {
        replication.subscribers[0].kill9();
        replication.subscribers[0].start_again();
    });
    replication.assert_clean(&[
        "a part of a copy is loaded again",
        "a table's task waits",
        "subscriber waits",
        "not cleared away yet",
    ]);
}

#[test]
fn a_copy_s_expected_rows_are_those_of_the_partitions_that_the_filter_takes() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table t (id int primary key, v text) partition by range (id); \
         create table t_1 partition of t for values from (0) to (50001); \
         create table t_2 partition of t for values from (50001) to (200000); \
         insert into t select i, 'v' from generate_series(1, 100000) i; analyze t",
    );
    replication.copy_schema();
    replication.start();
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 't', 0)",
    );
    replication
        .replay
        .run(&["add", "t", "--where", "id <= 60000"])
        .ok();
    wait_until("the expected rows to be shown", SOON, || {
        let listed = replication.replay.run(&["tables", "--json"]).ok().stdout;
        let tables: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let expected = tables[0]["rows_estimated"].as_i64();
        expected.is_some_and(|rows| (55_000..65_000).contains(&rows))
    });
    drop(held);
    replication.wait_ok();
    assert_eq!(replication.on_subscriber("select count(*) from t"), "60000");
}
