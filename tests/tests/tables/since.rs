//! `replay compare` of large tables: the rows that were changed since a time, and a comparison that goes on after
//! it was killed.

use std::{fs, thread, time::Duration};

use tests::Replication;

/// What a command's output says of rows, in order.
fn rows_named(stderr: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains(" on the subscriber"))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_large_table_is_compared_by_its_changes_and_a_killed_comparison_goes_on_where_it_was() {
    let r = Replication::running(
        "create table t (id int primary key, v text); insert into t select i, 'v' from generate_series(1, 150000) i;
         create table num (id numeric primary key, v int); insert into num select i, i from generate_series(1, 100) i;
         create table w (id int primary key); insert into w values (1), (2)",
    );
    r.on_provider("create table heap (a int)");
    r.on_subscriber("create table heap (a int)");
    r.replay
        .run(&["add", "heap", "--identity", "full", "--wait"])
        .ok();
    r.sync();
    let compare = |args: &[&str]| r.replay.run(&[&["compare"], args].concat());

    // Changes of before do not count.
    r.on_provider("update t set v = 'before' where id = 7; update num set v = 0 where id = 7");
    r.sync();
    let time = r.on_provider(
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    );
    r.on_provider(
        "update t set v = 'new' where id in (1, 2); update t set v = 'again' where id = 2; delete from t where id = 4;
         insert into t values (150001, 'v'); update num set id = 1.0 where id = 1; delete from w; insert into w values (3)",
    );
    r.sync();
    let since = ["--since", time.as_str()];
    let same = compare(&[&["t", "num", "w"][..], &since].concat()).ok();
    let told = format!("public.t: 4 rows changed since {time}, the same (");
    assert!(same.stdout.contains(&told), "{}", same.stdout);
    assert!(
        same.stdout.contains("public.w: 3 rows changed since"),
        "{}",
        same.stdout
    );

    // What differs in a row that was changed is found, also in one that is gone; what was not changed is not looked at.
    r.on_subscriber(
        "update t set v = 'x' where id in (2, 7); insert into t values (4, 'v'); delete from t where id in (5, 150001);
         update num set id = 1 where v = 1",
    );
    let differ = compare(&[&["t", "num"][..], &since].concat()).code(1);
    assert_eq!(
        rows_named(&differ.stderr),
        [
            "public.num: id = 1.0: differs on the subscriber in id",
            "public.t: id = 150001: missing on the subscriber",
            "public.t: id = 2: differs on the subscriber in v",
            "public.t: id = 4: only on the subscriber",
        ]
    );
    let json = compare(&[&["t", "--json"][..], &since].concat())
        .code(1)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            json[0]["since"].as_str(),
            json[0]["complete"].as_bool(),
            json[0]["equal"].as_bool()
        ),
        (Some(time.as_str()), Some(false), Some(false))
    );
    let repaired = r
        .replay
        .run(&[&["repair", "t", "--apply"][..], &since].concat())
        .ok();
    assert!(
        repaired.stdout.contains("public.t: 3 rows repaired"),
        "{}",
        repaired.stdout
    );
    assert_eq!(rows_named(&compare(&["t"]).code(1).stderr).len(), 2);

    // Where any row may have changed, all are compared; where no change names a row, and where the queue does not hold
    // the changes any more, it says so.
    r.on_provider("truncate w; insert into w values (9)");
    r.sync();
    r.on_subscriber("insert into w values (1000)");
    let whole = compare(&[&["w"][..], &since].concat()).code(1);
    assert_eq!(
        rows_named(&whole.stderr),
        ["public.w: id = 1000: only on the subscriber"]
    );
    assert!(
        whole.stdout.contains("all of them: it was emptied since"),
        "{}",
        whole.stdout
    );
    let emptied = r.on_provider(
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    );
    r.replay.run(&["remove", "w"]).ok();
    r.on_provider("insert into w values (10)");
    r.replay.run(&["add", "w", "--truncate", "--wait"]).ok();
    r.sync();
    r.on_subscriber("delete from w where id = 10");
    let uncaptured = compare(&["w", "--since", &emptied]).code(1);
    assert_eq!(
        rows_named(&uncaptured.stderr),
        ["public.w: id = 10: missing on the subscriber"]
    );
    assert!(
        uncaptured.stdout.contains("all of them: it was added"),
        "{}",
        uncaptured.stdout
    );
    compare(&[&["heap"][..], &since].concat())
        .code(3)
        .says(&["have no key", "without --since"]);
    for (args, code, says) in [
        (
            &["t", "--since", "2001-01-01T00:00:00Z"][..],
            3,
            "the queue holds changes since 20",
        ),
        (
            &["t", "--since", "2999-01-01T00:00:00Z"],
            2,
            "still to come",
        ),
        (&["t", "--since", "yesterday"], 2, "no time with its zone"),
        (
            &["t", "--since", time.as_str(), "--sample", "1"],
            2,
            "cannot be used with",
        ),
    ] {
        compare(args).code(code).says(&[says]);
    }

    // A comparison that is killed in the middle of a table goes on there, and does not compare again what it has.
    r.on_subscriber(
        "insert into t values (5, 'v'); update t set v = 'before' where id = 7; update num set id = 1.0 where v = 1;
         update t set v = 'x' where id in (10, 11, 149000)",
    );
    let file = r.scratch.path().join("compare.state");
    let resume = ["compare", "num", "t", "--resume", file.to_str().unwrap()];
    let mut tries = 0;
    loop {
        let mut running = r.replay.command(&resume).spawn().unwrap();
        let is_killed = loop {
            let written = fs::read_to_string(&file).unwrap_or_default();
            if written.contains("\"upto\":\"(") {
                running.kill().unwrap();
            }
            if let Some(status) = running.try_wait().unwrap() {
                break status.code().is_none();
            }
            thread::sleep(Duration::from_millis(2));
        };
        let written = fs::read_to_string(&file).unwrap_or_default();
        // It may have been quicker than this look.
        if is_killed && written.matches("\"upto\":null").count() == 1 {
            break;
        }
        tries += 1;
        assert!(
            tries < 20,
            "no comparison was killed in its middle: {written}"
        );
        let _ = fs::remove_file(&file);
    }
    // Rows that were found to differ are looked at again; a row that was the same is not.
    r.on_subscriber("update t set v = 'v' where id = 11; update t set v = 'later' where id = 20");
    let other = [&resume[..], &["--most", "77"]].concat();
    r.replay
        .run(&other)
        .code(2)
        .says(&["another job, provider, tables or options"]);
    let ended = r.replay.run(&resume).code(1);
    ended.clone().says(&[
        "public.num: compared at 20",
        ", in an earlier run; it goes on behind them",
    ]);
    assert_eq!(
        rows_named(&ended.stderr),
        [
            "public.t: id = 10: differs on the subscriber in v",
            "public.t: id = 149000: differs on the subscriber in v",
        ]
    );
    assert!(
        ended.stdout.contains("public.t: 150000 rows, 2 differ"),
        "{}",
        ended.stdout
    );
    // A result of before says so, whoever reads it.
    assert!(
        ended.stdout.contains("; compared at 20"),
        "{}",
        ended.stdout
    );
    // It is over, and the next one compares all. While a table could not be compared, it is not over.
    assert!(!file.exists());
    assert_eq!(rows_named(&r.replay.run(&resume).code(1).stderr).len(), 3);
    assert!(!file.exists());
    let unknown = ["compare", "num", "none", "--resume", file.to_str().unwrap()];
    r.replay
        .run(&unknown)
        .code(1)
        .says(&["not all was compared"]);
    let again = r.replay.run(&[&unknown[..], &["--json"]].concat()).code(1);
    let json: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    let at = json[0]["compared_at"].as_str().unwrap();
    assert!(at.starts_with("20"), "{at}");
}
