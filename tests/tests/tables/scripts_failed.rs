//! Scripts of `replay execute` that fail on a subscriber, or that it may not run (DD-10).

use tests::{Replication, Session, wait_until};

use crate::scripts::{SOON, execute, wait_state};

#[test]
fn a_script_that_fails_on_a_subscriber_parks_the_tables_that_it_touches_until_it_is_tried_again_or_skipped()
 {
    // Nothing is allowed at first.
    let replication = Replication::builder().replay_line("allow_execute = false").running(
        "create table t (id int primary key, v text, w int); create table u (id int primary key); \
         create table s (id int primary key)",
    );
    let script = "alter table public.u add column c int";
    execute(&replication, "first.sql", script, &["--wait", "60"])
        .code(1)
        .says(&["first.sql", "allow_execute is false", "replay reload"]);
    replication.on_provider(
        "insert into t values (1, 'a', 1); insert into u values (1, 5); insert into s values (1)",
    );
    let parked = replication.wait_parked("public.u", &["first.sql", "allow_execute is false"]);
    assert!(
        parked["advice"]
            .as_str()
            .unwrap()
            .contains("--skip first.sql"),
        "{parked}"
    );
    wait_until("the other tables to go on", SOON, || {
        replication.on_subscriber("select (select count(*) from t) + (select count(*) from s)")
            == "2"
    });
    let config = std::fs::read_to_string(&replication.replay.config).unwrap();
    let config = config.replace("allow_execute = false", "allow_execute = true");
    std::fs::write(&replication.replay.config, config).unwrap();
    replication.replay.run(&["reload"]).ok();
    wait_state(&replication, "first.sql", "done");
    replication.wait_ok();

    // A view of the subscriber's own is in the way of one that touches t; u has nothing to do with it.
    replication.on_subscriber("create view mine as select w from t");
    execute(
        &replication,
        "drop w.sql",
        "alter table public.t drop column w",
        &["--wait"],
    )
    .code(1)
    .says(&["drop w.sql", "cannot drop column w of table"]);
    replication.on_provider("insert into t values (2, 'b'); insert into u values (2, 6)");
    replication.wait_parked(
        "public.t",
        &[
            "script drop w.sql is not executed here",
            "cannot drop",
            "--retry 'drop w.sql'",
        ],
    );
    // A second one that touches t waits for the first; one that does not goes on.
    execute(
        &replication,
        "behind.sql",
        "alter table public.t add column x int default 3",
        &[],
    )
    .ok();
    execute(
        &replication,
        "beside.sql",
        "alter table public.u add column d int",
        &["--wait", "60"],
    )
    .ok();
    wait_state(&replication, "behind.sql", "waiting");
    replication.on_provider("insert into t values (3, 'c', 4); update t set v = 'z' where id = 1");
    replication.replay.run(&["restart"]).ok();
    replication.replay.run(&["execute", "--list"]).code(1);
    replication
        .replay
        .run(&["execute", "--retry", "nothing"])
        .code(3)
        .says(&["no script nothing"]);
    // Tried again with the view in its place it fails again; then not.
    let failed = "select changed_at::text from trunkline.script where script_id = 'drop w.sql' and state = 'failed'";
    let before = replication.on_subscriber(failed);
    replication
        .replay
        .run(&["execute", "--retry", "drop w.sql"])
        .ok();
    wait_until("the second failure", SOON, || {
        let now = replication.on_subscriber(failed);
        !now.is_empty() && now != before
    });
    replication.on_subscriber("drop view mine");
    replication
        .replay
        .run(&["execute", "--retry", "drop w.sql"])
        .ok();
    wait_state(&replication, "behind.sql", "done");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();

    // A copy that would show a script which is not over waits for it: the script would run on top of the copy. A limit
    // of the script's own is its failure, and not the subscriber's.
    let times = "set local statement_timeout = '5s'; select public.slow(); \
        alter table public.t alter x type bigint using x * 100";
    replication.on_provider("create function slow() returns void language sql as 'select'");
    replication
        .on_subscriber("create function slow() returns void language sql as 'select pg_sleep(9)'");
    execute(&replication, "times.sql", times, &[]).ok();
    wait_state(&replication, "times.sql", "failed");
    replication.replay.run(&["resync", "public.t"]).ok();
    replication.wait_parked(
        "public.t",
        &["a copy would show what script times.sql does"],
    );
    replication
        .on_subscriber("create or replace function slow() returns void language sql as 'select'");
    // Who holds a lock of a table holds its script, and nothing else.
    let sql = "lock table t in access share mode";
    let holder = Session::holding(&replication.subscribers[0], replication.db(), sql);
    replication
        .replay
        .run(&["execute", "--retry", "times.sql"])
        .ok();
    wait_state(&replication, "times.sql", "waiting");
    replication.on_provider("insert into u values (100, 100)");
    wait_until("the other tables to go on", SOON, || {
        replication.on_subscriber("select count(*) from u where id = 100") == "1"
    });
    drop(holder);
    wait_state(&replication, "times.sql", "done");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();

    // One that was done by hand is skipped; one that touches no table of the job stops the subscriber.
    replication.on_subscriber("alter table t add column y int");
    execute(
        &replication,
        "by hand.sql",
        "alter table public.t add column y int",
        &[],
    )
    .ok();
    replication.on_provider("insert into t values (9, 'h', 1, 2)");
    wait_state(&replication, "by hand.sql", "failed");
    replication
        .replay
        .run(&["execute", "--skip", "by hand.sql"])
        .ok();
    replication.wait_ok();
    replication.on_subscriber("create function public.f() returns int language sql return 1");
    let function = "create function public.f() returns text language sql return 'a'";
    execute(&replication, "f.sql", function, &[]).ok();
    replication.on_provider("insert into u values (7, 7)");
    wait_until("the subscriber to stop", SOON, || {
        let told = replication.replay.run(&["status", "--json"]).stdout;
        told.contains("stopped at script f.sql, which touches no table of the job")
    });
    replication.on_subscriber("drop function public.f()");
    replication
        .replay
        .run(&["execute", "--retry", "f.sql"])
        .ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[
        "script is not executed",
        "script waits",
        "table parked",
        "subscriber stopped",
    ]);
}
