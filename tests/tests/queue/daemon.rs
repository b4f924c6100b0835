//! The program `ticker` beside a real server: it ticks, survives, waits its turn, and says what is wrong.

use std::time::{Duration, Instant};

use crate::setup::assert_chain;
use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use tests::{
    Cluster, Daemons, Node, Output, Scratch, Session, assert_clean, shortest_try, signal,
    wait_until, wait_value,
};

const SOON: Duration = Duration::from_secs(120);

/// A ticker's config with further lines; the job's name tells it from others in the same directory.
fn ticker(scratch: &Scratch, job: &str, db: &str, lines: &str) -> Node {
    let config = scratch.file(
        &format!("etc/{job}.toml"),
        &format!(
            "[ticker]\njob_name = \"{job}\"\ndb = \"{db}\"\nqueues = [\"q\"]\nretry_delay = 1\n\
             logfile = \"{}/%(job_name)s.log\"\npidfile = \"{}/%(job_name)s.pid\"\n{lines}",
            scratch.dir("log").display(),
            scratch.dir("run").display()
        ),
    );
    Node::new("ticker", scratch, &config, job)
}

/// A ticker of database postgres, killed when this is dropped.
fn one(scratch: &Scratch, cluster: &Cluster, lines: &str) -> Daemons {
    Daemons(vec![ticker(
        scratch,
        "t1",
        &cluster.conninfo("postgres"),
        lines,
    )])
}

/// What a command printed holds all of this.
#[track_caller]
fn prints(output: &Output, words: &[&str]) {
    for word in words {
        assert!(
            output.text().contains(word),
            "no {word:?} in:\n{}",
            output.text()
        );
    }
}

/// Waits until events inserted now are inside a tick.
fn assert_ticks(session: &Session) {
    let event = session.ask("select pgq.insert_event('q', 't', 'x')");
    wait_until("a tick after an event", SOON, || {
        let inside = format!(
            "select 1 from pgq.tick t, pgq.event_1 e where e.ev_id = {event} \
             and txid_visible_in_snapshot(e.ev_txid, t.tick_snapshot) limit 1"
        );
        session.ask(&inside) == "1"
    });
}

/// How long a command takes that stops the daemon.
fn stopped(node: &Node, args: &[&str]) -> Duration {
    let started = Instant::now();
    node.run(args).ok();
    started.elapsed()
}

#[test]
fn a_ticker_is_installed_started_seen_and_stopped() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = one(&scratch, &cluster, "stats_period = 1\n");
    let node = &daemons.0[0];
    prints(&node.run(&["install"]).ok(), &["installed", "queue q made"]);
    prints(
        &node.run(&["install"]).ok(),
        &["nothing to do", "there already"],
    );
    node.run(&["stop"]).code(5);
    node.run(&["start", "-d"]).ok();
    node.run(&["start", "-d"]).code(5);
    let session = Session::new(&cluster, "postgres");
    assert_ticks(&session);
    let status = node.run(&["status", "--json"]).ok();
    let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
    assert_eq!(status["running"], true);
    assert_eq!(status["pid"], node.running());
    let queue = &status["databases"][0]["queues"][0];
    assert_eq!(queue["name"], "q");
    assert_eq!(queue["error"], serde_json::Value::Null);
    assert!(queue["last_tick"].as_i64().unwrap() > 1);
    wait_until("both sessions by their purposes", SOON, || {
        session.ask(
            "select string_agg(application_name, ',' order by application_name) from pg_stat_activity \
             where application_name ~ 'trunkline (ticker|upkeep)'",
        ) == "trunkline ticker t1,trunkline upkeep t1"
    });
    wait_until("a stats line", SOON, || node.log().contains("stats ticks="));
    let limit = Duration::from_secs(3);
    let shortest = shortest_try(limit, || {
        if node.pid().is_none() {
            node.run(&["start", "-d"]).ok();
        }
        stopped(node, &["stop"])
    });
    assert!(shortest < limit, "{shortest:?}");
    assert!(node.pid().is_none());
    assert_clean(&node.logfile, &[]);
    node.run(&["status"]).code(5);
}

#[test]
fn a_wake_up_comes_with_each_tick() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = one(&scratch, &cluster, "");
    daemons.0[0].run(&["install"]).ok();
    daemons.0[0].run(&["start", "-d"]).ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let info: ConnectInfo = cluster.conninfo("postgres").parse().unwrap();
        let mut session = info
            .connect(&ApplicationName::new(Purpose::Listen, "j"))
            .await
            .unwrap();
        session
            .batch_execute("listen trunkline_tick")
            .await
            .unwrap();
        let insert = "select pgq.insert_event('q', 't', 'x')";
        session.execute(insert, &[]).await.unwrap();
        let heard = tokio::time::timeout(SOON, session.notification()).await;
        assert_eq!(heard.unwrap().unwrap().payload(), "q");
    });
}

#[test]
fn a_second_ticker_waits_as_a_standby_and_takes_over_after_kill9() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let db = cluster.conninfo("postgres");
    let daemons = Daemons(vec![
        ticker(&scratch, "t1", &db, ""),
        ticker(&scratch, "t2", &db, ""),
    ]);
    let [one, two] = &daemons.0[..] else {
        unreachable!()
    };
    one.run(&["install"]).ok();
    one.run(&["start", "-d"]).ok();
    two.run(&["start", "-d"]).ok();
    two.wait_log("standby");
    let session = Session::new(&cluster, "postgres");
    for _ in 0..3 {
        assert_ticks(&session);
        one.kill9();
        wait_until("the standby to tick", SOON, || {
            two.log().contains("ticking")
        });
        assert_ticks(&session);
        // The old one is the standby now, and its stale pid file is no obstacle.
        one.run(&["start", "-d"]).ok();
        two.kill9();
        std::fs::write(&two.logfile, "").unwrap();
        assert_ticks(&session);
        two.run(&["start", "-d"]).ok();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { assert_chain(&cluster.connect("postgres").await).await });
}

#[test]
fn a_queue_that_fails_does_not_stop_the_others() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = one(&scratch, &cluster, "");
    let node = &daemons.0[0];
    node.run(&["install"]).ok();
    cluster.psql(
        "postgres",
        "select trunkline.create_queue('a-broken'); \
         update pgq.queue set queue_tick_seq = 'pgq.no_such_seq' where queue_name = 'a-broken'",
    );
    node.run(&["start", "-d"]).ok();
    cluster.psql("postgres", "select pgq.insert_event('a-broken', 't', 'x')");
    let session = Session::new(&cluster, "postgres");
    assert_ticks(&session);
    wait_until("the failure in the log", SOON, || {
        node.log().contains(
            "queue failed, trying again database=postgres error=\"could not tick queue a-broken",
        )
    });
    assert_ticks(&session);
    cluster.psql(
        "postgres",
        "update pgq.queue set queue_tick_seq = 'pgq.event_2_tick_seq' where queue_name = 'a-broken'",
    );
    wait_until("the queue to tick again", SOON, || {
        node.log().contains("queue ticks again")
    });
}

#[test]
fn a_queue_that_is_dropped_while_it_is_looked_after_is_no_error() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = one(&scratch, &cluster, "maint_delay = 0.1");
    let node = &daemons.0[0];
    node.run(&["install"]).ok();
    // Upkeep that waits, and does not find its queue any more then.
    cluster.psql(
        "postgres",
        "create sequence pgq.rounds;
         create function pgq.maint_late(i_queue text) returns int language plpgsql as $$ begin
             perform pg_advisory_xact_lock(7), nextval('pgq.rounds');
             if not exists (select from pgq.queue where queue_name = i_queue) then
                 raise exception 'No such event queue';
             end if;
             return 0; end $$;
         select pgq.create_queue('gone');
         update pgq.queue set queue_extra_maint = array['pgq.maint_late']",
    );
    let lock = Session::holding(&cluster, "postgres", "select pg_advisory_xact_lock(7)");
    node.run(&["start", "-d"]).ok();
    let waiting =
        "select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and not granted";
    wait_until("the upkeep to wait", SOON, || {
        cluster.psql("postgres", waiting) == "1"
    });
    cluster.psql("postgres", "select pgq.drop_queue('gone')");
    drop(lock);
    wait_until("further rounds", SOON, || {
        let rounds = cluster.psql("postgres", "select last_value from pgq.rounds");
        rounds.parse::<u32>().unwrap() >= 4
    });
    assert!(!node.log().contains("ERROR"), "{}", node.log());
    // What fails of a queue that is there is told.
    cluster.psql(
        "postgres",
        "alter function pgq.maint_late(text) rename to maint_sooner;
         create function pgq.maint_late(text) returns int language sql as 'select 1 / 0'",
    );
    wait_until("the failure in the log", SOON, || {
        node.log().contains("maintenance failed, trying again")
    });
}

#[test]
fn what_is_missing_at_the_start_is_said_and_waited_for() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = Daemons(vec![ticker(&scratch, "t1", &cluster.conninfo("later"), "")]);
    let node = &daemons.0[0];
    node.run(&["install"]).code(3).says(&["later"]);
    node.run(&["start", "-d"])
        .code(0)
        .says(&["database later", "does not exist", "trying again"]);
    cluster.create_db("later");
    wait_until("the missing schema in the log", SOON, || {
        node.log().contains("not installed")
    });
    node.run(&["install"]).ok();
    assert_ticks(&Session::new(&cluster, "later"));
    cluster.restart();
    assert_ticks(&Session::new(&cluster, "later"));
}

#[test]
fn one_ticker_serves_all_databases_that_have_the_queue() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    for name in ["one", "two", "empty"] {
        cluster.create_db(name);
    }
    let db = cluster.conninfo("postgres");
    let first = ticker(&scratch, "first", &db, "databases = [\"one\", \"two\"]\n");
    first.run(&["install"]).ok();
    let daemons = Daemons(vec![ticker(&scratch, "all", &db, "databases = \"all\"\n")]);
    let node = &daemons.0[0];
    node.run(&["start", "-d"]).ok();
    for name in ["one", "two"] {
        assert_ticks(&Session::new(&cluster, name));
    }
    let status = node.run(&["status", "--json"]).ok();
    let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
    let names: Vec<_> = status["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert_clean(&node.logfile, &[]);
}

#[test]
fn a_wrong_config_at_reload_is_refused_and_a_right_one_followed() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = one(&scratch, &cluster, "stats_period = 0.1\n");
    let node = &daemons.0[0];
    node.run(&["install"]).ok();
    node.run(&["start", "-d"]).ok();
    let good = std::fs::read_to_string(&node.config).unwrap();
    std::fs::write(&node.config, format!("{good}loop_delay = \"often\"\n")).unwrap();
    signal(node.running(), nix::sys::signal::Signal::SIGHUP);
    wait_until("the refusal", SOON, || {
        node.log().contains("keeping the old one")
    });
    assert_ticks(&Session::new(&cluster, "postgres"));
    cluster.create_db("more");
    ticker(&scratch, "more", &cluster.conninfo("more"), "")
        .run(&["install"])
        .ok();
    std::fs::write(
        &node.config,
        format!("{good}databases = [\"more\", \"postgres\"]\ntick_cost = 1\nloop_delay = 0.001\nmax_lag = 60\n"),
    )
    .unwrap();
    node.run(&["reload"]).ok();
    wait_until("the new database", SOON, || {
        node.log().contains("ticking database=more")
    });
    assert_ticks(&Session::new(&cluster, "more"));
    assert_ticks(&Session::new(&cluster, "postgres"));
    // A tick takes more than 0.05 ms, of which one percent of the time has room for two hundred a second at the most.
    wait_until("a pace that the ticks' cost sets", SOON, || {
        assert_ticks(&Session::new(&cluster, "more"));
        let log = node.log();
        let delays = log
            .split("longest_delay=")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        delays
            .into_iter()
            .any(|delay| delay > 0.004 && delay != 0.02)
    });
}

#[test]
fn a_ticker_rotates_retries_and_stops_whatever_hangs() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let daemons = one(&scratch, &cluster, "maint_delay = 0.2\nretry_delay = 0.2\n");
    let node = &daemons.0[0];
    // The key stands twice now: a wrong config is refused before anything is touched.
    node.run(&["start", "-d"]).code(2);
    let text = std::fs::read_to_string(&node.config)
        .unwrap()
        .replace("retry_delay = 1\n", "");
    std::fs::write(&node.config, text).unwrap();
    node.run(&["install"]).ok();
    node.run(&["start", "-d"]).ok();
    cluster.psql(
        "postgres",
        "select pgq.register_consumer('q', 'c'); select pgq.set_queue_config('q', 'rotation_period', '1 second')",
    );
    let session = Session::new(&cluster, "postgres");
    assert_ticks(&session);
    // A new queue's second tick may come before the event: then the first batch is empty.
    let batch = wait_value("a batch with the event", SOON, || {
        let batch = session.ask("select pgq.next_batch('q', 'c')");
        if batch.is_empty() {
            return None;
        }
        let events = session.ask(&format!(
            "select count(*) from pgq.get_batch_events({batch})"
        ));
        if events == "1" {
            return Some(batch);
        }
        session.ask(&format!("select pgq.finish_batch({batch})"));
        None
    });
    assert_eq!(
        session.ask(&format!("select pgq.batch_retry({batch}, 0)")),
        "1"
    );
    session.ask(&format!("select pgq.finish_batch({batch})"));
    wait_until("the event to come back", SOON, || {
        session.ask("select count(*) from pgq.event_1 where ev_owner is not null") == "1"
    });
    wait_until("a rotation", SOON, || {
        session.ask("select queue_cur_table from pgq.queue") != "0"
    });
    let status = node.run(&["status"]).ok();
    prints(&status, &["ticker t1: running, pid", "queue q: tick"]);

    // Somebody holds the queue's row: the statement in hand is canceled after the grace.
    let holder = Session::holding(&cluster, "postgres", "select * from pgq.queue for update");
    cluster.psql("postgres", "select pgq.insert_event('q', 't', 'x')");
    wait_until("the ticker to wait", SOON, || {
        session.ask("select count(*) from pg_stat_activity where application_name like 'trunkline%' and wait_event_type = 'Lock'") != "0"
    });
    // Left to wait, it would end with the holder only, which is after this.
    stopped(node, &["stop"]);
    let limit = Duration::from_secs(3);
    let shortest = shortest_try(limit, || {
        node.run(&["start", "-d"]).ok();
        stopped(node, &["stop", "--fast"])
    });
    assert!(shortest < limit, "{shortest:?}");
    drop(holder);
}

#[test]
fn the_command_line_keeps_its_exit_codes() {
    let scratch = Scratch::new();
    let node = ticker(
        &scratch,
        "t1",
        "host=127.0.0.1 port=1 user=x dbname=y connect_timeout=2",
        "",
    );
    prints(&node.run(&["check-config"]).ok(), &["ok"]);
    node.run(&["install"])
        .code(3)
        .says(&["127.0.0.1", "could not install in database y"]);
    prints(
        &node.run(&["install", "--print-sql"]).ok(),
        &["create schema pgq"],
    );
    node.run(&["install", "--upgrade-from-pgq"])
        .code(3)
        .says(&["127.0.0.1"]);
    node.run(&[]).code(2);
    node.run(&["dance"]).code(2);
    node.run(&["reload"]).code(5);
    node.run(&["status"]).code(3);
}
