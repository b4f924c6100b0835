//! `trunkline check`: Nagios' codes, limits, forms, and the truth about both sides.

use std::time::Duration;

use serde_json::Value;
use tests::{Output, Replication, Scratch, Stop, run, wait_until};

use super::trunkline;

const LIMIT: Duration = Duration::from_secs(120);

fn check(config: &std::path::Path, args: &[&str]) -> Output {
    run(trunkline().arg("-c").arg(config).arg("check").args(args))
}

fn json(config: &std::path::Path, args: &[&str], code: i32) -> Value {
    let output = check(config, &[args, &["--output", "json"]].concat()).code(code);
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn op_04_checks_follow_a_replication_from_order_to_trouble_and_back() {
    let replication = Replication::builder().make();
    replication.everywhere("create table t (id int primary key, v text)");
    let (ticker, replay) = (&replication.ticker, &replication.replay);
    // Nothing installed: nothing can be said.
    let before = check(&ticker.config, &[]).code(3);
    assert!(
        before.stdout.starts_with("TRUNKLINE UNKNOWN - "),
        "{}",
        before.stdout
    );

    replication.start();
    replication.add_all();
    replication.wait_ok();
    wait_until("all in order", LIMIT, || {
        check(&replay.config, &[]).code == 0
    });
    wait_until("the ticker's side to be in order", LIMIT, || {
        check(&ticker.config, &[]).code == 0
    });
    let all = check(&ticker.config, &[]).ok();
    assert!(all.stdout.starts_with("TRUNKLINE OK - "), "{}", all.stdout);
    for part in [
        "| 'tick_age db1/q1'=",
        "OK ticker db1/q1",
        "OK consumers db1/q1/replay1",
        "OK rotation db1/q1",
        "OK size db1/q1",
        "OK versions db1/provider",
    ] {
        assert!(all.stdout.contains(part), "no {part:?} in {}", all.stdout);
    }
    let found = json(&replay.config, &["replication"], 0);
    assert_eq!(found["status"], "ok");
    assert_eq!(found["checks"][0]["of"], "replay1");
    assert_eq!(found["checks"][0]["numbers"][0]["name"], "replication_lag");

    replay.run(&["stop"]).ok();
    let stopped = json(&replay.config, &["replication"], 2);
    assert!(
        stopped["checks"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("stopped"),
        "{stopped}"
    );
    // It holds the queue: the limit is the operator's.
    replication.on_provider("insert into t values (1, 'x')");
    wait_until("a consumer that lags", LIMIT, || {
        check(
            &ticker.config,
            &["consumers", "--warn", "0", "--crit", "3600"],
        )
        .code
            == 1
    });
    assert_eq!(
        check(&ticker.config, &["consumers", "--crit", "0.001"]).code,
        2
    );
    check(&ticker.config, &["consumers"]).ok();

    replay.run(&["start", "-d"]).ok();
    replay.run(&["pause"]).ok();
    wait_until("a pause is a warning", LIMIT, || {
        check(&replay.config, &["replication"]).code == 1
    });
    replay.run(&["resume"]).ok();
    wait_until("in order again", LIMIT, || {
        check(&replay.config, &["replication"]).code == 0
    });

    // A row that was in the way counts for a day.
    replication.on_subscriber("insert into t values (2, 'mine')");
    replication.on_provider("insert into t values (2, 'theirs')");
    wait_until("a conflict is a warning", LIMIT, || {
        let output = check(&replay.config, &["replication"]);
        output.code == 1 && output.stdout.contains("1 conflicts in the last day")
    });
    replication.on_subscriber("update trunkline.conflict set found_at = now() - interval '2 days'");
    wait_until("and then no more", LIMIT, || {
        check(&replay.config, &["replication"]).code == 0
    });

    replication.on_provider("select pgq.set_queue_config('q1', 'ticker_paused', 'true')");
    let paused = check(&ticker.config, &["ticker"]).code(1);
    assert!(
        paused.stdout.contains("its ticker is paused"),
        "{}",
        paused.stdout
    );
    replication.subscribers[0].stop(Stop::Fast);
    let gone = json(&replay.config, &[], 2);
    let of = |check: &str| {
        let all = gone["checks"].as_array().unwrap();
        all.iter()
            .find(|one| one["check"] == check && one["of"] == "replay1")
            .unwrap()
            .clone()
    };
    assert_eq!(of("replication")["status"], "critical");
    replication.provider.stop(Stop::Fast);
    let gone = check(&ticker.config, &["ticker"]).code(3);
    assert!(
        gone.stdout.contains("UNKNOWN ticker database"),
        "{}",
        gone.stdout
    );
}

#[test]
fn op_01_what_is_installed_is_compared_with_the_programs() {
    let replication = Replication::builder().make();
    replication.ticker.run(&["install"]).ok();
    let versions = || check(&replication.ticker.config, &["versions"]);
    versions().ok();
    replication.on_provider("update trunkline.component set digest = 'x' where name = 'pgq'");
    let other = versions().code(1);
    assert!(
        other.stdout.contains("run ticker install"),
        "{}",
        other.stdout
    );
    replication.on_provider("update trunkline.component set step = 9999 where name = 'pgq'");
    let newer = versions().code(2);
    assert!(
        newer.stdout.contains("newer than these programs"),
        "{}",
        newer.stdout
    );
}

#[test]
fn prometheus_gets_gauges_and_a_wrong_call_is_unknown_not_critical() {
    let replication = Replication::builder().make();
    replication.ticker.run(&["install"]).ok();
    let config = &replication.ticker.config;
    let text = check(
        config,
        &["ticker", "size", "rotation", "--output", "prometheus"],
    )
    .ok()
    .stdout;
    for part in [
        "# TYPE trunkline_tick_age_seconds gauge\n",
        "trunkline_check_status{check=\"ticker\",of=\"db1/q1\"} 0",
        "trunkline_queue_size_bytes{of=\"db1/q1\"} ",
        "trunkline_rotation_age_seconds{of=\"db1/q1\"} ",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    check(config, &["size", "--crit", "1"]).code(2);
    check(config, &["size", "--warn", "1"]).code(1);

    let wrong = |args: &[&str], word: &str| {
        check(config, args).code(3).says(&[word]);
    };
    wrong(&["tickers"], "tickers");
    // Ranges as of Nagios' plugins, and in the numbers behind the bar.
    check(config, &["size", "--critical", "@1:"]).code(2);
    check(config, &["size", "--warning", "~:1", "--crit", "~:"]).code(1);
    let ranged = check(config, &["size", "--warn", "1:", "--crit", "@0:1"])
        .ok()
        .stdout;
    assert!(ranged.contains(";1:;@1"), "{ranged}");
    wrong(&["size", "--warn", "20:10"], "begins above its end");
    wrong(&["--warn", "1"], "one check");
    wrong(&["ticker", "size", "--warn", "1"], "one check");
    wrong(&["ticker", "--warn=-1"], "0 or more");
    wrong(&["ticker", "--warn", "NaN"], "0 or more");
    wrong(&["ticker", "--warn", "2", "--crit", "1"], "above");
    wrong(&["versions", "--warn", "2"], "no limits");
    let scratch = Scratch::new();
    let bad = scratch.file("bad.toml", "[ticker]\n");
    let output = check(&bad, &[]).code(3).says(&["job_name"]);
    assert!(
        output.stdout.starts_with("TRUNKLINE UNKNOWN - "),
        "{}",
        output.stdout
    );
}

#[test]
fn d2_a_capture_that_cannot_be_made_anew_is_in_log_status_and_check_until_it_is() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create table r (id int not null, k int not null, primary key (id, k)) partition by list (k); \
         create table r1 partition of r for values in (1)",
    );
    replication.start();
    replication.add_all();
    replication.wait_ok();
    let ticker = &replication.ticker;
    let found = |code: i32, words: &[&str]| {
        let told = check(&ticker.config, &["capture"]).code(code).stdout;
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    };
    found(0, &["OK capture db1/q1"]);
    replication.on_provider(
        "create function refuse() returns event_trigger language plpgsql as $$ begin \
            if tg_tag = 'CREATE TRIGGER' then raise exception 'not on weekdays'; end if; end $$; \
         create event trigger a_refuse on ddl_command_end execute procedure refuse(); \
         create table r2 partition of r for values in (2)",
    );
    let problem = "its capture could not be made anew: not on weekdays";
    found(2, &["CRITICAL capture db1/q1", "public.r", problem]);
    let status = run(trunkline().arg("-c").arg(&ticker.config).arg("status"));
    assert!(
        status
            .stdout
            .contains(&format!("capture of public.r: {problem}")),
        "{}",
        status.stdout
    );
    let logged = |text: &str| ticker.log().contains(text);
    wait_until("the log to tell", LIMIT, || {
        logged("changes of a captured table may be missing")
    });
    replication.on_provider("drop event trigger a_refuse");
    wait_until("the log to tell that it is over", LIMIT, || {
        logged("a captured table is captured whole again")
    });
    found(0, &["OK capture db1/q1"]);
    assert_eq!(
        ticker.log().matches("may be missing").count(),
        1,
        "told once"
    );
    replication.on_provider("insert into r2 values (1, 2)");
    // The rows of the time between are in no event.
    wait_until("a parked table", LIMIT, || {
        replication.tables().iter().any(|one| one.state == "parked")
    });
}
