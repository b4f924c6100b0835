//! A change that the subscriber refuses: its table is parked, and an operator drops just that
//! change, once.

use std::time::Duration;

use tests::{Cluster, Replication, ReplicationBuilder, Server, Session, Transfers, wait_until};

use crate::{SOON, parked, told};

const STRICT: &str = "create table t (id int primary key, v text, u int); \
    create table other (id int primary key); \
    insert into t select g, 'first', g from generate_series(1, 20) g";

/// A parked table rests for ten seconds, unless it is told to go on: `skip` takes none that is being tried.
fn resting() -> ReplicationBuilder {
    Replication::builder().replay_line("retry_delay = 30")
}

/// A replication whose subscriber does not take the value `bad` into t.
fn strict() -> Replication {
    let replication = resting().running(STRICT);
    replication.on_subscriber("alter table t add constraint no_bad check (v <> 'bad')");
    replication
}

/// The audit's rows, short.
fn audit(replication: &Replication) -> String {
    replication.on_subscriber(
        "select kind, row_number, row_key, skipped_by = session_user, error like '%no_bad%' \
         from trunkline.skipped_change order by skip_id",
    )
}

#[test]
fn fa_26_exactly_the_change_that_a_table_stands_on_is_skipped_and_kept_on_record() {
    let replication = strict();
    // As a client's single statements: what several in one say of a row before is not known.
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "set local work_mem = '4MB'",
    );
    for statement in [
        "update t set v = 'before' where id = 1",
        "insert into t select g, case when g = 103 then 'bad' else 'good' end, g from generate_series(101, 105) g",
        "update t set u = u + 1000 where id in (101, 103, 105)",
        "delete from t where id = 2",
        "commit",
        "insert into t values (200, 'after', 200)",
        "insert into other values (1)",
    ] {
        writer.ask(statement);
    }
    parked(&replication, "public.t");
    wait_until("the other table to go on", SOON, || {
        replication.on_subscriber("select count(*) from other") == "1"
    });
    // The update of row 103 says `bad` once more: two changes stand in the way, one after the other.
    let first = replication.replay.run(&["skip", "t"]).ok();
    // What was done comes first, and why behind it (F-U18).
    assert!(
        first
            .text()
            .starts_with("public.t: skipped row 3 of the insert of event "),
        "{first:?}"
    );
    assert!(first.text().contains("no_bad"), "{first:?}");
    wait_until(
        "the first to be skipped, and the second to be met",
        SOON,
        || {
            replication.state("public.t") == "ok"
                || replication.replay.run(&["skip", "public.t"]).code == 0
        },
    );
    replication.wait_ok();
    replication.sync();
    assert_eq!(
        audit(&replication),
        "insert|3|(103)|t|t\nupdate|2|(103)|t|t",
        "{}",
        replication.replay.log()
    );
    assert_eq!(
        replication.on_subscriber(
            "select string_agg(concat_ws(' ', id, v, u), ',' order by id) from t where id <= 2 or id > 20"
        ),
        "1 before 1,101 good 1101,102 good 102,104 good 104,105 good 1105,200 after 200"
    );
    let refused = replication.replay.run(&["skip", "t"]).code(3);
    assert!(refused.stderr.contains("is ok"), "{refused:?}");
    let log = replication.replay.log();
    assert!(!log.contains("(103"), "a row stands in the log: {log}");
    replication.assert_clean(&["table parked table=public.t", "change skipped"]);
}

#[test]
fn fa_26_among_rows_that_change_places_the_right_one_is_found() {
    let replication = resting().running(STRICT);
    replication.on_subscriber(
        "alter table t add constraint no_bad check (v <> 'bad'); create unique index t_u on t (u)",
    );
    replication
        .on_provider("update t set u = 21 - u, v = case when id = 9 then 'bad' else 'turned' end");
    parked(&replication, "public.t");
    // Without row 9, row 12 has no place for its value, so no other row alone helps: row 9 alone
    // is refused for the reason that the table is parked for.
    replication.replay.run(&["skip", "t"]).ok();
    parked_for_another_reason(&replication);
    assert_eq!(audit(&replication), "update|9|(9)|t|t");
}

fn parked_for_another_reason(replication: &Replication) {
    wait_until("the other rows to be tried", SOON, || {
        let t = told(replication, "public.t");
        t["error"]
            .as_str()
            .is_some_and(|error| error.contains("t_u"))
    });
}

#[test]
fn fa_26_a_table_that_is_parked_for_no_change_skips_nothing() {
    let replication = resting().running(STRICT);
    replication.on_subscriber("alter table t rename column v to away");
    replication.on_provider("update t set v = 'x' where id = 1");
    parked(&replication, "public.t");
    let refused = replication.replay.run(&["skip", "t"]).code(3);
    assert!(
        refused.stderr.contains("no change") && refused.stderr.contains("add the column"),
        "{refused:?}"
    );
    assert_eq!(audit(&replication), "");
    let unknown = replication.replay.run(&["skip", "nowhere"]).code(3);
    assert!(unknown.stderr.contains("is not replicated"), "{unknown:?}");
    // `resume` tries at once what would rest.
    replication.on_subscriber("alter table t rename column away to v");
    replication.replay.run(&["resume", "t"]).ok();
    replication.wait_ok();
    replication.replay.run(&["resume", "t"]).code(3);
    replication.assert_followed(&["table parked table=public.t"]);
}

#[test]
fn fa_26_a_change_is_skipped_once_whatever_is_killed_in_between() {
    let replication = strict();
    replication.on_provider("insert into t values (101, 'bad', 1), (102, 'good', 2)");
    parked(&replication, "public.t");
    replication.replay.kill9();
    replication.replay.run(&["skip", "t"]).ok();
    // It is dropped already: what follows can be applied.
    let again = replication.replay.run(&["skip", "t"]).code(3);
    assert!(again.stderr.contains("replay resume"), "{again:?}");
    for _ in 0..4 {
        replication.replay.run(&["start", "-d"]).ok();
        std::thread::sleep(Duration::from_millis(150));
        replication.replay.kill9();
    }
    replication.replay.run(&["start", "-d"]).ok();
    replication.wait_ok();
    // The same row again is another change.
    replication.on_subscriber("alter table t drop constraint no_bad");
    replication.on_provider("delete from t where id = 101");
    replication.on_provider("insert into t values (101, 'bad', 1)");
    replication.assert_followed(&[
        "table parked table=public.t",
        "change skipped",
        "conflict table=public.t missing=1",
        "subscriber waits",
        "table's task waits",
    ]);
    assert_eq!(audit(&replication), "insert|1|(101)|t|t");
}

#[test]
fn fa_25_conflicts_under_load_stop_their_table_alone_and_a_change_may_be_dropped() {
    let server = Server::debian15();
    let replication = resting()
        .subscribers(vec![Cluster::builder(&server), Cluster::builder(&server)])
        .replay_line("on_conflict = \"stop\"")
        .make();
    Transfers::create(&replication.provider, replication.db());
    replication.on_provider(
        "create table t (id int primary key, v text); insert into t select g, 'x' from generate_series(1, 100) g",
    );
    replication.copy_schema();
    replication.start();
    replication.add_all();
    let load = replication.load(2, Duration::from_millis(5), &Transfers::writes());
    // One row away, one in the way twice: by its key and by a unique value.
    replication.on_subscriber(
        "delete from t where id = 5; create unique index on t (v) where id > 1000; \
         insert into t values (1001, 'mine'), (1002, 'yours')",
    );
    replication.on_provider("update t set v = 'y' where id = 5");
    replication.on_provider("insert into t values (1001, 'yours')");
    parked(&replication, "public.t");
    load.wait_for_more(100);
    let on_s2 = |sql: &str| replication.subscribers[1].psql(replication.db(), sql);
    wait_until("the second subscriber to have it", SOON, || {
        on_s2("select count(*) from t where v in ('y', 'yours')") == "2"
    });
    let states: Vec<(Option<String>, String)> = replication
        .tables()
        .into_iter()
        .filter(|one| one.state != "ok")
        .map(|one| (one.subscriber, one.table))
        .collect();
    assert_eq!(states, [(Some("s1".into()), "public.t".into())]);
    // Dropped one after the other; rows stay as they are on this subscriber.
    wait_until("both changes to be dropped", SOON, || {
        replication.replay.run(&["skip", "t"]);
        replication.state("public.t") == "ok"
    });
    let totals = load.stop();
    assert!(totals.errors.is_empty(), "{totals:?}");
    replication.sync();
    assert_eq!(
        replication.on_subscriber(
            "select string_agg(kind || row_key, ' ' order by event_id) from trunkline.skipped_change"
        ),
        "update(5) insert(1001)"
    );
    assert_eq!(
        replication.on_subscriber(
            "select string_agg(v, ' ' order by id) from t where id = 5 or id > 1000"
        ),
        "mine yours"
    );
    replication.on_subscriber("insert into t values (5, 'y'); delete from t where id > 1000; insert into t values (1001, 'yours')");
    replication.assert_followed(&["table parked table=public.t", "change skipped"]);
}
