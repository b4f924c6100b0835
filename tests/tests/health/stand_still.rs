//! The ways in which a replication can stand still, and what each of the five outputs says of each: `status`, `check`,
//! the page, the metrics and `/health`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    Cluster, Pooler, Port, Programs, Replication, Server, Session, Stop, children, run,
    shortest_try, signal, wait_until, wait_value,
};

use crate::SOON;

/// A replication with a port, whose commits may have to wait for standbys, and whose ticker and replay give a password
/// to the provider.
struct Stage {
    replication: Replication,
    port: Port,
}

/// What all outputs have to say.
struct Told<'a> {
    kind: &'a str,
    severity: &'a str,
    /// Words of the sentence that names what is wrong.
    words: &'a [&'a str],
    /// The word for the subscriber, where it follows from this alone.
    state: Option<&'a str>,
}

fn critical<'a>(kind: &'a str, words: &'a [&'a str], state: &'a str) -> Told<'a> {
    Told {
        kind,
        severity: "critical",
        words,
        state: Some(state),
    }
}

fn warning<'a>(kind: &'a str, words: &'a [&'a str]) -> Told<'a> {
    Told {
        kind,
        severity: "warning",
        words,
        state: None,
    }
}

impl Stage {
    fn new() -> Stage {
        let port = Port::take();
        let server = Server::debian15();
        let cluster = || Cluster::builder(&server).set("synchronous_commit", "on");
        let replication = Replication::builder()
            .provider(cluster().host_auth("scram-sha-256"))
            .subscribers(vec![cluster()])
            .replay_line(&format!("http_listen = \"127.0.0.1:{}\"", port.number()))
            .make();
        replication.on_provider("alter role postgres password 'right'");
        let at = format!("port={} ", replication.provider.port());
        for node in [&replication.ticker, &replication.replay] {
            let config = std::fs::read_to_string(&node.config).unwrap();
            let with = config.replace(&at, &format!("{at}password=right "));
            std::fs::write(&node.config, with).unwrap();
        }
        replication
            .everywhere("create table t (id int primary key); create table k (id int primary key)");
        replication.start();
        replication.add_all();
        Stage { replication, port }
    }

    fn trunkline(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Programs::get().path("trunkline"));
        command.arg("-c").arg(&self.replication.replay.config);
        command.args(args);
        command
    }

    fn status(&self) -> Value {
        let output = run(&mut self.trunkline(&["status", "--json"])).stdout;
        serde_json::from_str::<Value>(&output).unwrap()["replays"][0].take()
    }

    /// Status code and body of an answer of the port; none, if it gives none within a second and a half of patience
    /// more than the page itself has.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number())).ok()?;
        let limit = Some(Duration::from_millis(6500));
        stream.set_read_timeout(limit).ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until `status` in both forms and `check` say so.
    #[track_caller]
    fn commands_tell(&self, told: &Told<'_>) {
        let started = Instant::now();
        let has_words = |text: &str| told.words.iter().all(|word| text.contains(word));
        // A loop that tries again has no error for a moment, so each of them is asked again.
        loop {
            let status = self.status();
            let tree = run(&mut self.trunkline(&["status"])).stdout;
            let check = run(&mut self.trunkline(&["check", "replication"]));
            let is_code = match told.severity {
                "critical" => check.code == 2,
                _ => check.code >= 1,
            };
            let is_in_both = has_words(&tree) && has_words(&check.stdout);
            if is_told(&status, told) && is_in_both && is_code {
                return;
            }
            assert!(
                started.elapsed() < SOON,
                "no {} {:?} in one of these: {status}\n{tree}\n{}: {}",
                told.kind,
                told.words,
                check.code,
                check.stdout
            );
        }
    }

    /// Waits until the port says so, too.
    #[track_caller]
    fn port_tells(&self, told: &Told<'_>) {
        let worth = if told.severity == "critical" {
            2.0
        } else {
            1.0
        };
        let kind = format!("kind=\"{}\"", told.kind);
        let started = Instant::now();
        loop {
            let [status, page, health, metrics] =
                ["/status", "/", "/health", "/metrics"].map(|path| self.get(path));
            let last = format!("{status:?}\n{health:?}\n{metrics:?}");
            if let (Some((_, status)), Some((_, page)), Some((code, health)), Some((_, metrics))) =
                (status, page, health, metrics)
            {
                let status: Value = serde_json::from_str(&status).unwrap();
                let page = page.replace("&quot;", "\"");
                let metric = metrics
                    .lines()
                    .filter(|line| line.starts_with("trunkline_replay_reason{"))
                    .find(|line| line.contains(&kind));
                let value = metric.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
                let as_words = |text: &str| told.words.iter().all(|word| text.contains(word));
                if is_told(&status, told)
                    && as_words(&page)
                    && as_words(&health)
                    && value == Some(worth)
                    && (worth < 2.0 || code == 503)
                {
                    return;
                }
            }
            assert!(
                started.elapsed() < SOON,
                "the port does not say {} {:?}: {last}",
                told.kind,
                told.words
            );
        }
    }

    #[track_caller]
    fn all_tell(&self, told: &Told<'_>) {
        self.commands_tell(told);
        self.port_tells(told);
    }

    /// Waits until every output says that all is well, and the rows are the same.
    #[track_caller]
    fn all_well(&self) {
        let well = |status: &Value| {
            let subscriber = &status["subscribers"][0];
            let none = |of: &Value| of["reasons"].as_array().is_some_and(Vec::is_empty);
            subscriber["state"] == "level" && none(subscriber) && none(&status["provider"])
        };
        wait_until("all to be well", SOON, || well(&self.status()));
        let check = || run(&mut self.trunkline(&["check", "replication"])).code;
        wait_until("check to be in order", SOON, || check() == 0);
        wait_until("health", SOON, || {
            self.get("/health") == Some((200, "ok\n".to_owned()))
        });
        self.replication.sync();
        self.replication.assert_same();
    }

    /// A row, committed without waiting for any standby.
    fn write(&self, id: i32) {
        self.replication.on_provider(&format!(
            "set synchronous_commit = off; insert into t values ({id})"
        ));
    }

    /// Lets the last ticks have been made a while ago.
    fn age_ticks(&self, interval: &str) {
        self.replication.on_provider(&format!(
            "set synchronous_commit = off; update pgq.tick set tick_time = tick_time - interval '{interval}'"
        ));
    }
}

/// Whether a status has the reason, and the subscriber the state.
fn is_told(status: &Value, told: &Told<'_>) -> bool {
    let subscriber = &status["subscribers"][0];
    let reasons = [&status["provider"]["reasons"], &subscriber["reasons"]];
    let found = reasons
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .any(|reason| {
            let text = format!(
                "{}: {} {}",
                reason["subject"].as_str().unwrap(),
                reason["what"].as_str().unwrap(),
                reason["advice"]
            );
            reason["kind"] == told.kind
                && reason["severity"] == told.severity
                && told.words.iter().all(|word| text.contains(word))
        });
    found && told.state.is_none_or(|state| subscriber["state"] == state)
}

#[test]
fn h1_h2_h3_a_replication_that_stands_still_is_told_alike_by_all_five_outputs() {
    let stage = Stage::new();
    let replication = &stage.replication;
    let (ticker, replay) = (&replication.ticker, &replication.replay);
    stage.all_well();

    // The ticker is dead: what waits for a tick is behind, and old.
    ticker.kill9();
    stage.write(1);
    stage.age_ticks("4 minutes");
    stage.all_tell(&critical(
        "no-tick",
        &["ticker: no tick for", "does the ticker run?"],
        "behind",
    ));
    let status = stage.status();
    let subscriber = &status["subscribers"][0];
    assert!(
        subscriber["lag_seconds"].as_f64().unwrap() > 0.0,
        "{status}"
    );
    assert!(
        subscriber["pending_events"].as_i64().unwrap() >= 1,
        "{status}"
    );
    assert!(
        status["provider"]["tick_age_seconds"].as_f64().unwrap() > 240.0,
        "{status}"
    );
    // An idle queue without a ticker is level, and not well.
    ticker.run(&["start", "-d"]).ok();
    stage.all_well();

    // The ticker hangs.
    signal(ticker.running(), Signal::SIGSTOP);
    stage.write(2);
    stage.age_ticks("4 minutes");
    stage.all_tell(&critical(
        "no-tick",
        &["ticker: no tick for", "it is connected (pid"],
        "behind",
    ));
    signal(ticker.running(), Signal::SIGCONT);
    stage.all_well();

    // The operator has stopped ticks.
    replication.on_provider("select pgq.set_queue_config('q1', 'ticker_paused', 'true')");
    stage.all_tell(&warning("no-tick", &["queue: its ticker is paused"]));
    replication.on_provider("select pgq.set_queue_config('q1', 'ticker_paused', 'false')");

    // Paused, and then the queue's limit is near.
    replay.run(&["pause"]).ok();
    replication.wait_log("pause changed");
    stage.write(3);
    stage.all_tell(&warning("paused", &["replay: paused", "replay resume"]));
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'retention_age', '1 hour');
         update pgq.event_1 set ev_time = ev_time - interval '54 minutes'",
    );
    stage.age_ticks("54 minutes");
    stage.all_tell(&warning(
        "retention",
        &[
            "subscriber: what it has not applied is at 9",
            "of retention_age (1 h",
        ],
    ));
    replication.on_provider("select pgq.set_queue_config('q1', 'retention_age', '1 day')");
    replay.run(&["resume"]).ok();
    stage.all_well();

    // The servers are down.
    replication.provider.stop(Stop::Fast);
    stage.all_tell(&critical(
        "unreachable",
        &["provider: could not connect", "is the server running there"],
        "waiting",
    ));
    let all = run(&mut stage.trunkline(&["check"])).stdout;
    let of_provider = all
        .lines()
        .skip(1)
        .filter(|line| line.contains("/provider:"));
    assert_eq!(of_provider.count(), 1, "{all}");
    assert!(!all.contains("UNKNOWN"), "{all}");
    replication.provider.start_again();
    stage.all_well();
    replication.subscribers[0].stop(Stop::Fast);
    stage.all_tell(&critical(
        "unreachable",
        &["subscriber: could not connect"],
        "unreachable",
    ));
    replication.subscribers[0].start_again();
    stage.all_well();

    // The provider takes connections and says nothing.
    let postmaster = replication.provider.pid().unwrap();
    let mut processes = children(postmaster);
    processes.push(postmaster);
    for pid in &processes {
        signal(*pid, Signal::SIGSTOP);
    }
    let limit = Duration::from_secs(4);
    let took = shortest_try(limit, || {
        let check = run(&mut stage.trunkline(&["check", "--timeout", "1"])).code(2);
        let said = &check.stdout;
        assert!(said.contains("no answer within 1 s"), "{said}");
        check.took
    });
    assert!(took < limit, "{took:?}");
    stage.port_tells(&critical(
        "unreachable",
        &["provider: no answer within 5 s"],
        "waiting",
    ));
    for pid in &processes {
        signal(*pid, Signal::SIGCONT);
    }
    stage.all_well();

    // A commit waits for a standby that is away, on either side.
    for (cluster, server, daemon, id) in [
        (&replication.provider, "provider", ticker, 4),
        (&replication.subscribers[0], "subscriber", replay, 5),
    ] {
        cluster.hold_commits();
        stage.write(id);
        let server = format!("{server}: a commit of trunkline ");
        stage.all_tell(&critical(
            "standby",
            &[&server, "synchronous_standby_names = nobody"],
            "behind",
        ));
        let line = "commit waits for a synchronous standby";
        wait_until("the log to name the standby", SOON, || {
            daemon.log().contains(line)
        });
        cluster.psql("postgres", "alter system reset synchronous_standby_names");
        cluster.reload();
        stage.all_well();
    }

    // A lock.
    let lock = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "lock table t",
    );
    stage.write(6);
    stage.all_tell(&warning(
        "lock",
        &[
            "subscriber: trunkline apply replay1 waits for a lock",
            "held by pid",
        ],
    ));
    drop(lock);
    stage.all_well();

    // A full disk, which a trigger has for this test.
    replication.on_subscriber(
        "create function full_disk() returns trigger language plpgsql as $$
         begin raise exception 'could not extend file' using errcode = '53100'; end $$;
         create trigger full_disk before insert on t for each row execute function full_disk();
         alter table t enable always trigger full_disk",
    );
    stage.write(7);
    stage.all_tell(&critical(
        "error",
        &[
            "could not extend file (53100)",
            "make room on the server's disk",
        ],
        "stopped",
    ));
    replication.on_subscriber("drop trigger full_disk on t");
    stage.all_well();

    // A table that is parked, and one that is captured no more.
    replication.on_subscriber("alter table t add constraint small check (id < 8)");
    stage.write(8);
    stage.all_tell(&critical(
        "parked",
        &["public.t", "constraint \"small\"", "change its constraint"],
        "parked",
    ));
    let (_, page) = wait_value("the page", SOON, || stage.get("/"));
    assert!(!page.contains("Failing row"), "{page}");
    replication.on_subscriber("alter table t drop constraint small");
    stage.all_well();
    let problem = |text: &str| {
        replication.on_provider(&format!(
            "update trunkline.captured set problem = {text} where table_name = 'k'"
        ));
    };
    // The ticker's upkeep would mend it, or copy the table again.
    signal(ticker.running(), Signal::SIGSTOP);
    problem("'it is not what it was'");
    stage.all_tell(&critical(
        "not-captured",
        &["public.k: its changes are not captured: it is not what it was"],
        "level",
    ));
    problem("null");
    signal(ticker.running(), Signal::SIGCONT);
    stage.all_well();

    // A wrong password.
    replication.on_provider(
        "alter role postgres password 'other';
         select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'trunkline%'",
    );
    stage.all_tell(&critical(
        "error",
        &[
            "replay: could not connect to the provider",
            "28P01",
            "check user and password",
        ],
        "stopped",
    ));
    replication.on_provider("alter role postgres password 'right'");
    stage.all_well();

    // The way to the provider is a pool by transaction.
    let config = std::fs::read_to_string(&replay.config).unwrap();
    let pooler = Pooler::start(&replication.provider, replication.db(), "transaction", 5);
    let way = |text: &str| {
        let at = format!("host=127.0.0.1 port={} ", replication.provider.port());
        let over = pooler.conninfo(replication.db());
        let over = over.split_once("dbname").unwrap().0;
        text.replace(&at, over)
    };
    std::fs::write(&replay.config, way(&config)).unwrap();
    replay.run(&["reload"]).ok();
    stage.all_tell(&critical(
        "unreachable",
        &[
            "provider: could not connect",
            "this connection is pooled by transaction",
        ],
        "stopped",
    ));
    std::fs::write(&replay.config, config).unwrap();
    replay.run(&["reload"]).ok();
    drop(pooler);
    stage.all_well();

    // Replay hangs: the port takes connections and says nothing.
    signal(replay.running(), Signal::SIGSTOP);
    stage.write(9);
    stage.commands_tell(&warning(
        "hangs",
        &[
            "replay: it has done nothing on the subscriber for",
            "does it hang?",
        ],
    ));
    signal(replay.running(), Signal::SIGCONT);
    stage.all_well();

    // Replay is dead: nobody listens on the port.
    replay.kill9();
    stage.write(10);
    stage.commands_tell(&critical(
        "no-daemon",
        &["replay: no daemon works on it", "replay start -d"],
        "stopped",
    ));
    assert_eq!(stage.get("/health"), None);
    replay.run(&["start", "-d"]).ok();
    stage.all_well();

    // The schema is gone, on either side.
    replication.on_subscriber("drop schema trunkline cascade");
    stage.all_tell(&critical(
        "not-installed",
        &["subscriber: replay is not installed here"],
        "stopped",
    ));
    replication.on_provider("drop schema pgq cascade");
    stage.all_tell(&critical(
        "not-installed",
        &["provider: there is no queue q1"],
        "stopped",
    ));
}
