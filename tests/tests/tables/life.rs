//! The life of a table: copied while it changes, parked when it cannot go on, back by itself,
//! removed and added again; with one subscriber and with several.

use std::time::Duration;

use tests::{Cluster, Replication, Server, Session, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// Changes every kind of thing about a table's rows again and again, in a session of its own,
/// until dropped.
fn churn(replication: &Replication, table: &str) -> std::thread::JoinHandle<()> {
    let sql = format!(
        "do $$ begin for i in 1..150 loop \
             insert into {table} values (100000 + i, 'new'); \
             update {table} set id = id + 200000 where id = 1000 + i; \
             update {table} set v = v || i where id % 500 = i % 500; \
             delete from {table} where id = 5000 + i; \
             commit; perform pg_sleep(0.01); end loop; end $$"
    );
    let (port, db) = (replication.provider.port(), replication.db());
    let conninfo = format!("host=127.0.0.1 port={port} dbname={db} user=postgres");
    std::thread::spawn(move || {
        let done = std::process::Command::new("psql")
            .args(["-qX", "-v", "ON_ERROR_STOP=1", "-d", &conninfo, "-c", &sql])
            .status()
            .unwrap();
        assert!(done.success());
    })
}

#[test]
fn tables_that_change_all_the_time_are_copied_and_meet_the_others() {
    let replication = Replication::builder().make();
    for table in ["a", "b", "c"] {
        replication.on_provider(&format!(
            "create table {table} (id int primary key, v text); \
             insert into {table} select g, 'row ' || g from generate_series(1, 60000) g"
        ));
    }
    replication.copy_schema();
    replication.start();
    let writers: Vec<_> = ["a", "b", "c"]
        .map(|table| churn(&replication, table))
        .into();
    replication.add_all();
    for writer in writers {
        writer.join().unwrap();
    }
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    wait_until("helper consumers to be cleared away", SOON, || {
        replication.on_provider("select count(*) from pgq.consumer where co_name like '%#%'") == "0"
    });
    replication.assert_clean(&[]);
}

#[test]
fn rows_of_a_transaction_that_was_open_before_the_copy_are_there_once() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table t (id int primary key, v text); create table other (id int primary key)",
    );
    replication.copy_schema();
    replication.start();
    replication.replay.run(&["add", "other"]).ok();
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.replay.run(&["remove", "t"]).ok();
    replication.on_subscriber("truncate t");
    // Captured before the copy's snapshot, committed after it.
    replication.replay.run(&["stop"]).ok();
    replication.replay.run(&["add", "t"]).ok();
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "insert into t values (1, 'late')",
    );
    replication.replay.run(&["start", "-d"]).ok();
    wait_until("t to be copied", SOON, || {
        replication.state("public.t") != "-"
    });
    writer.ask("commit");
    replication.on_provider("insert into t values (2, 'after')");
    replication.wait_ok();
    replication.assert_followed(&[]);
}

#[test]
fn a_table_dropped_on_the_subscriber_is_parked_and_comes_back() {
    let replication = Replication::running(
        "create table a (id int primary key); create table b (id int primary key)",
    );
    replication.on_subscriber("alter table a rename to hidden");
    replication.on_provider("insert into a values (1); insert into b values (1)");
    replication.wait_parked("public.a", &["does not exist"]);
    wait_until("b to go on", SOON, || {
        replication.on_subscriber("select count(*) from b") == "1"
    });
    assert_eq!(replication.state("public.b"), "ok");
    replication.wait_log("table parked table=public.a");
    replication.on_provider("insert into a values (2)");
    replication.on_subscriber("alter table hidden rename to a");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.a"]);
}

#[test]
fn a_parked_table_goes_on_where_it_stood_after_kill_and_restart() {
    let replication = Replication::running(
        "create table a (id int primary key, v text); create table b (id int primary key)",
    );
    replication.on_subscriber("alter table a add constraint short check (length(v) < 5)");
    replication.on_provider("insert into a values (1, 'fits'), (2, 'too long')");
    wait_until("a to be parked", SOON, || {
        replication.state("public.a") == "parked"
    });
    for round in 0..5 {
        replication.on_provider(&format!(
            "insert into b values ({round}); insert into a values ({round} + 10, 'x')"
        ));
        replication.replay.kill9();
        replication.replay.run(&["start", "-d"]).ok();
    }
    assert_eq!(replication.on_subscriber("select count(*) from a"), "0");
    replication.on_subscriber("alter table a drop constraint short");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.a"]);
}

#[test]
fn a_table_dropped_on_the_provider_is_never_ok_in_silence() {
    let replication = Replication::running(
        "create table a (id int primary key); create table b (id int primary key)",
    );
    replication
        .on_provider("drop table a; create table a (id int primary key); insert into a values (1)");
    wait_until("a to be parked", SOON, || {
        replication.state("public.a") == "parked"
    });
    replication.on_provider("insert into b values (1)");
    wait_until("b to go on", SOON, || {
        replication.on_subscriber("select count(*) from b") == "1"
    });
    replication.replay.run(&["remove", "a"]).ok();
    replication.replay.run(&["add", "a"]).ok();
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.a"]);
}

#[test]
fn a_table_may_be_removed_and_added_again_while_others_go_on() {
    let replication = Replication::running(
        "create table a (id int primary key, v text); create table b (id int primary key)",
    );
    let triggers =
        "select count(*) from pg_trigger where tgrelid = 'a'::regclass and not tgisinternal";
    for round in 0..3 {
        replication.replay.run(&["remove", "a"]).ok();
        assert_eq!(replication.on_provider(triggers), "0");
        replication.on_provider(&format!(
            "insert into a values ({round}, 'not captured'); insert into b values ({round})"
        ));
        if round == 0 {
            replication.on_subscriber("insert into a values (99, 'foreign')");
        }
        replication
            .replay
            .run(&["add", "a"])
            .code(3)
            .says(&["holds rows"]);
        replication
            .replay
            .run(&["add", "a", "--truncate", "--wait", "120"])
            .ok();
        replication.sync();
        replication.assert_same();
    }
    replication.assert_clean(&[]);
}

#[test]
fn expect_sync_copies_nothing_and_goes_on_from_there() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create table t (id int primary key, v text); insert into t values (1, 'same')",
    );
    replication.start();
    replication
        .replay
        .run(&["add", "t", "--expect-sync", "--wait"])
        .ok();
    replication.on_provider("update t set v = 'next'; insert into t values (2, 'new')");
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    replication.assert_clean(&[]);
}

#[test]
fn one_dead_subscriber_delays_no_other_and_catches_up() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&server), Cluster::builder(&server)])
        .running(
            "create table t (id int primary key, v text); \
             insert into t select g, 'a' from generate_series(1, 100) g",
        );
    replication.subscribers[1].stop(tests::Stop::Immediate);
    replication.on_provider("update t set v = 'b'");
    wait_until("the living subscriber to go on", SOON, || {
        replication.on_subscriber("select count(*) from t where v = 'b'") == "100"
    });
    let tables = replication.replay.run(&["tables"]).code(3).stdout;
    assert!(
        tables.lines().any(|line| line == "* unreachable s2"),
        "{tables}"
    );
    assert!(
        tables.lines().any(|line| line == "public.t ok s1"),
        "{tables}"
    );
    replication.subscribers[1].start_again();
    replication.assert_followed(&["subscriber waits", "table tasks wait", "a table's task"]);
}

#[test]
fn fa_14_a_subscriber_that_is_stuck_delays_no_other_and_reads_with_it_again() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&server), Cluster::builder(&server)])
        .replay_line("chunk_size = \"64 kB\"")
        .running("create table t (id int primary key, v text)");
    let one_reads = || {
        wait_until("one session to read for both", SOON, || {
            replication.on_provider(
                "select count(*) from pg_stat_activity where application_name like 'trunkline queue %'",
            ) == "1"
        });
    };
    one_reads();
    let held = Session::holding(
        &replication.subscribers[1],
        replication.db(),
        "lock table t in access exclusive mode",
    );
    // Far more than may wait for a subscriber, in one batch and in several.
    for from in [1, 20_001, 40_001] {
        replication.on_provider(&format!(
            "insert into t select g, repeat('v', 50) from generate_series({from}, {from} + 19999) g"
        ));
        let rows = replication.on_provider("select count(*) from t");
        wait_until("the other subscriber to go on", SOON, || {
            replication.on_subscriber("select count(*) from t") == rows
        });
    }
    assert_eq!(
        held.ask("select count(*) from t"),
        "0",
        "it was stuck all the while"
    );
    drop(held);
    replication.sync();
    replication.assert_same();
    one_reads();
    replication.on_provider("update t set v = 'w' where id % 2 = 0");
    replication.assert_followed(&[]);
}

#[test]
fn sequences_are_never_behind_the_keys_that_arrive() {
    let replication = Replication::running(
        "create table t (id bigserial primary key); \
         create sequence down increment -5 minvalue -1000 maxvalue -1 start -1; \
         create sequence untouched start 42",
    );
    replication.replay.run(&["add-seq", "--all"]).ok();
    replication.on_provider("insert into t select from generate_series(1, 100)");
    replication.on_provider("select nextval('down') from generate_series(1, 4)");
    replication.sync();
    for _ in 0..20 {
        replication.on_provider("insert into t default values");
        assert_eq!(
            replication.on_subscriber("select (select last_value from t_id_seq) >= max(id) from t"),
            "t"
        );
    }
    replication.sync();
    let values = "select (select last_value from t_id_seq), (select last_value from down), \
                         (select last_value || ' ' || is_called from untouched)";
    let last =
        |node: &dyn Fn(&str) -> String| node("select last_value from t_id_seq").parse::<i64>();
    let reserve = || {
        last(&|sql| replication.on_subscriber(sql)).unwrap()
            - last(&|sql| replication.on_provider(sql)).unwrap()
    };
    wait_until("the sequences to be ahead", SOON, || {
        (500..=1000).contains(&reserve())
    });
    replication.replay.run(&["seqs", "--sync"]).ok();
    assert_eq!(replication.on_subscriber(values), "120|-16|42 false");
    // Once the provider goes on, they are ahead again.
    replication.on_provider("insert into t default values");
    wait_until("the sequence to be ahead", SOON, || {
        (500..=1000).contains(&reserve())
    });
    replication.assert_clean(&[]);
}

#[test]
fn a_pause_keeps_the_position_and_a_resume_goes_on() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.replay.run(&["pause"]).ok();
    wait_until("the pause", SOON, || {
        replication.replay.log().contains("paused=true")
    });
    replication.on_provider("insert into t values (1)");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(replication.on_subscriber("select count(*) from t"), "0");
    replication.replay.run(&["resume"]).ok();
    replication.assert_followed(&[]);
}

#[test]
fn a_table_whose_key_is_not_unique_on_the_subscriber_is_refused() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (b int, a int, v text, primary key (b, a))");
    replication.on_subscriber("create table t (a int, b int, v text, unique (a, b, v))");
    replication.start();
    replication
        .replay
        .run(&["add", "t"])
        .code(3)
        .says(&["public.t", "no unique index on just its key (b, a)"]);
    assert_eq!(
        replication.on_provider("select count(*) from trunkline.captured"),
        "0",
        "nothing is half done"
    );
    replication.on_subscriber("create unique index on t (a, b)");
    replication.replay.run(&["add", "t", "--wait"]).ok();
    replication.on_provider("insert into t values (1, 2, 'x')");
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn c13_a_row_that_no_state_has_is_not_stored_and_its_meaning_is_not_guessed() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.replay.run(&["stop"]).ok();
    let set = |what: &str| {
        let update = format!("update trunkline.table_state set {what}");
        replication.subscribers[0].try_psql(replication.db(), &update)
    };
    for (what, constraint) in [
        ("state = 'catching-up'", "check constraint"),
        ("state = 'wanna-sync'", "check constraint"),
        ("state = 'parked'", "table_state_errors"),
        ("error = 'no', advice = 'act'", "table_state_errors"),
        ("state = 'parked', error = 'no'", "table_state_errors"),
        ("tick_id = 1, tick_tag = 1", "table_state_stands"),
        (
            "state = 'in-copy', tick_id = 1, tick_tag = 1",
            "table_state_stands",
        ),
    ] {
        set(what).says(&["violates", constraint]);
    }
    replication
        .on_subscriber("alter table trunkline.table_state drop constraint table_state_stands");
    set("state = 'in-copy', tick_id = 1, tick_tag = 1").ok();
    replication.replay.run(&["tables"]).code(3).says(&[
        "trunkline.table_state has public.t in state `in-copy` with tick_id, no copied_snapshot and no error",
    ]);
    let told = replication.replay.run(&["resync", "t"]).code(3);
    told.says(&["public.t in state `in-copy`"]);
}
