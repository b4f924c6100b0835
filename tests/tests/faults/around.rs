//! What changes around running daemons: a host's name, a password, sessions that hang, signals and clocks. Nothing is
//! lost, and nothing grows.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{
    Cluster, Node, Output, Port, Replication, Server, Session, Stop, Transfers, full, run,
    shortest_try, signal, wait_until,
};

const SOON: Duration = Duration::from_secs(120);

/// Answers questions for hosts from a file that a test may change.
const NAMES: &str = "/usr/lib/x86_64-linux-gnu/libnss_wrapper.so";

/// Moves a process's clock by what a file says.
const CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Writes a row on the provider, and waits until the subscriber has it.
fn arrives(replication: &Replication, id: i32) {
    replication.on_provider(&format!("insert into t values ({id})"));
    wait_until("the row to arrive", SOON, || {
        replication.on_subscriber(&format!("select count(*) from t where id = {id}")) == "1"
    });
}

/// Replaces a text of a config file.
fn changed(node: &Node, from: &str, to: &str) {
    let config = std::fs::read_to_string(&node.config).unwrap();
    assert!(config.contains(from), "no {from:?} in {config}");
    std::fs::write(&node.config, config.replace(from, to)).unwrap();
}

#[test]
fn fa_10_a_host_that_is_known_later_and_a_password_that_changes_are_waited_for() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .provider(Cluster::builder(&server).host_auth("scram-sha-256"))
        .make();
    replication
        .on_provider("alter role postgres password 'first'; create table t (id int primary key)");
    replication.copy_schema();
    // The commands of this test ask by address, the daemon by name.
    let address = format!("host=127.0.0.1 port={}", replication.provider.port());
    for node in [&replication.ticker, &replication.replay] {
        changed(node, &address, &format!("{address} password=first"));
        node.run(&["install"]).ok();
    }
    let mut by_name = replication.replay.clone();
    by_name.config = replication.scratch.path().join("etc/by-name.toml");
    std::fs::copy(&replication.replay.config, &by_name.config).unwrap();
    let name = address.replace("127.0.0.1", "provider.test");
    changed(&by_name, &address, &name);

    let hosts = replication
        .scratch
        .file("hosts", "127.0.0.1 another.test\n");
    let start = || -> Output {
        let mut command = by_name.command(&["start", "-d"]);
        run(command
            .env("LD_PRELOAD", NAMES)
            .env("NSS_WRAPPER_HOSTS", &hosts))
    };
    replication.ticker.run(&["start", "-d"]).ok();
    start().ok();
    by_name.wait_log("provider.test");
    replication.replay.run(&["add", "t"]).ok();
    // The wrapper reads the file again when its time has changed, in seconds.
    std::fs::write(&hosts, "127.0.0.1 provider.test\n").unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options()
        .append(true)
        .open(&hosts)
        .and_then(|file| file.set_modified(later))
        .unwrap();
    replication.wait_ok();
    arrives(&replication, 1);

    let before = by_name.log().len();
    replication.on_provider(
        "alter role postgres password 'second'; \
         select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'trunkline%'",
    );
    by_name.wait_log_from(before, "28P01");
    for node in [&replication.ticker, &replication.replay, &by_name] {
        changed(node, "password=first", "password=second");
    }
    for node in [&replication.ticker, &by_name] {
        assert!(signal(node.running(), Signal::SIGHUP));
    }
    arrives(&replication, 2);
    replication.assert_followed(&["provider.test", "28P01", "terminating", "connect"]);
}

/// The sessions that a daemon has on a server.
fn sessions(cluster: &Cluster, db: &str) -> Vec<i32> {
    cluster
        .psql(
            db,
            "select pid from pg_stat_activity where application_name like 'trunkline%'",
        )
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

#[test]
fn fa_14_sessions_that_hang_on_a_subscriber_hold_up_neither_writers_nor_the_stop_of_the_provider() {
    let replication = Replication::running("create table t (id int primary key)");
    arrives(&replication, 1);
    let hang = sessions(&replication.subscribers[0], replication.db());
    assert!(!hang.is_empty());
    for pid in &hang {
        assert!(signal(*pid, Signal::SIGSTOP));
    }
    // Each write is answered, while what it wrote cannot be applied.
    for id in 2..200 {
        replication.on_provider(&format!("insert into t values ({id})"));
    }
    assert_eq!(
        replication.on_subscriber("select count(*) from t"),
        "1",
        "it hangs"
    );
    let shortest = shortest_try(Duration::from_secs(20), || {
        let started = std::time::Instant::now();
        replication.provider.stop(Stop::Fast);
        let took = started.elapsed();
        replication.provider.start_again();
        took
    });
    println!("the provider stopped in {shortest:?}");
    assert!(shortest < Duration::from_secs(20), "{shortest:?}");
    for pid in &hang {
        assert!(signal(*pid, Signal::SIGCONT));
    }
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
}

#[test]
fn fa_19_daemons_whose_clocks_jump_go_on_at_once_and_count_no_time_below_zero() {
    let (ticker, replay) = (Port::take(), Port::take());
    let listen = |port: &Port| format!("http_listen = \"127.0.0.1:{}\"", port.number());
    let replication = Replication::builder()
        .ticker_line(&listen(&ticker))
        .replay_line(&listen(&replay))
        .make();
    let (ticker, replay) = (ticker.number(), replay.number());
    replication.on_provider("create table t (id int primary key)");
    replication.copy_schema();
    for node in [&replication.ticker, &replication.replay] {
        node.run(&["install"]).ok();
    }
    let clock = replication.scratch.file("clock", "+0");
    for node in [&replication.ticker, &replication.replay] {
        let mut command = node.command(&["start", "-d"]);
        command
            .env("LD_PRELOAD", CLOCK)
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            // A clock that is set does not move the one that counts from the machine's start.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        run(&mut command).ok();
    }
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    let year = |node: &Node| node.log().lines().last().unwrap()[..4].to_owned();
    for (id, jump) in ["+1d", "-1d", "+50", "-50", "+400d", "+0"]
        .into_iter()
        .enumerate()
    {
        std::fs::write(&clock, jump).unwrap();
        let busy = [&replication.ticker, &replication.replay].map(|node| cpu(node.running()));
        arrives(&replication, i32::try_from(id).unwrap());
        // The daemons say it themselves: a command of this test has a clock that does not jump.
        for (port, name) in [
            (replay, "trunkline_replay_lag_seconds"),
            (ticker, "trunkline_ticker_queue_tick_age_seconds"),
        ] {
            wait_until(&format!("{name} after {jump}"), SOON, || {
                let said = seconds(port);
                for (name, value) in &said {
                    assert!(*value >= 0.0, "{jump}: {name} {value}");
                }
                let mut found = said.iter().filter(|(other, _)| other.starts_with(name));
                found.next().is_some_and(|(_, value)| *value < 60.0)
            });
        }
        for (node, before) in [&replication.ticker, &replication.replay]
            .into_iter()
            .zip(busy)
        {
            assert!(
                cpu(node.running()) - before < Duration::from_secs(5),
                "{jump}"
            );
        }
    }
    // The daemons did have these clocks.
    std::fs::write(&clock, "+400d").unwrap();
    let now = year(&replication.ticker);
    assert!(signal(replication.ticker.running(), Signal::SIGHUP));
    wait_until("a line of the year after", SOON, || {
        year(&replication.ticker) > now
    });
    assert_eq!(
        replication.on_provider("select count(*) from pgq.get_queue_info('q1')"),
        "1"
    );
    replication.assert_followed(&[]);
}

/// The times that a daemon tells in its metrics, each with its name.
fn seconds(port: u16) -> Vec<(String, f64)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.lines()
        .filter(|line| !line.starts_with('#') && line.contains("_seconds"))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The time that a process has had of a processor.
fn cpu(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    // utime and stime, in hundredths of a second (proc(5)); the state is field 0 here.
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// What a process holds: resident memory in kB, and how many files.
fn held(pid: i32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let memory = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let files = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"));
    (memory, files.unwrap().count())
}

/// Ends all sessions of the daemons, and gives how many there were.
fn end_sessions(replication: &Replication) -> u64 {
    [&replication.provider, &replication.subscribers[0]]
        .map(|cluster| {
            let ended = cluster.psql(
                replication.db(),
                "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where application_name like 'trunkline%' and pid <> pg_backend_pid()",
            );
            ended.parse::<u64>().unwrap()
        })
        .into_iter()
        .sum()
}

#[test]
fn fa_29_fa_30_signals_and_lost_sessions_lose_no_batch_and_leave_no_memory_file_or_session() {
    let (reconnects, batches) = if full() { (500, 10_000) } else { (60, 200) };
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, replication.db());
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication.wait_ok();
    let nodes = [&replication.ticker, &replication.replay];
    let load = replication.load(2, Duration::from_millis(5), &Transfers::writes());
    let calm = || {
        // Rows arrive again, so that each session is there.
        load.wait_for_more(100);
        let wanted = replication.on_provider("select max(tick_id) from pgq.tick");
        wait_until("the batches until now", SOON, || {
            replication.on_subscriber(&format!(
                "select bool_and(tick_id >= {wanted}) from trunkline.position"
            )) == "t"
        });
    };
    let tick = || -> u64 {
        let tick = replication.on_subscriber("select min(tick_id) from trunkline.position");
        tick.parse().unwrap()
    };
    // What is made once and kept is no leak.
    for _ in 0..3 {
        end_sessions(&replication);
        calm();
    }
    let before = nodes.map(|node| held(node.running()));
    let first = tick();
    let mut ended = 0;
    let mut turn = 0;
    while ended < reconnects || tick() - first < batches {
        for node in nodes {
            let pid = node.running();
            for which in [
                Signal::SIGPIPE,
                Signal::SIGHUP,
                Signal::SIGSTOP,
                Signal::SIGCONT,
            ] {
                assert!(signal(pid, which), "{which}");
            }
        }
        if ended < reconnects {
            ended += end_sessions(&replication);
        }
        calm();
        turn += 1;
        assert!(
            turn < 20_000,
            "{ended} sessions, {} batches",
            tick() - first
        );
    }
    println!("{ended} sessions, {} batches, {turn} turns", tick() - first);
    for (node, (memory, files)) in nodes.into_iter().zip(before) {
        let (memory_now, files_now) = held(node.running());
        println!("memory {memory} to {memory_now} kB, files {files} to {files_now}");
        assert!(memory_now < memory + 10_000, "{memory} to {memory_now} kB");
        // Pools may have a session more or less at a moment.
        wait_until("no more files than before", SOON, || {
            held(node.running()).1 <= files + 2
        });
    }
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        wait_until("no session that nobody uses", SOON, || {
            sessions(cluster, replication.db()).len() < 12
        });
    }
    terms_while_it_applies(&replication);
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
}

/// TERM in the middle of a batch: an end within five seconds, and no session of it stays on the subscriber. That the
/// batch was rolled back is seen at the end: it is applied again, and both sides are the same.
fn terms_while_it_applies(replication: &Replication) {
    let shortest = shortest_try(Duration::from_secs(5), || {
        let lock = Session::holding(
            &replication.subscribers[0],
            replication.db(),
            "lock table checking in access exclusive mode",
        );
        wait_until("replay to wait for the lock", SOON, || {
            replication.on_subscriber("select count(*) > 0 from pg_locks where not granted") == "t"
        });
        let pid = replication.replay.running();
        let started = std::time::Instant::now();
        assert!(signal(pid, Signal::SIGTERM));
        wait_until("the end", SOON, || !tests::pid_alive(pid));
        let took = started.elapsed();
        drop(lock);
        replication.subscribers[0].wait_left("trunkline");
        replication.replay.run(&["start", "-d"]).ok();
        took
    });
    println!("TERM: {shortest:?}");
    assert!(shortest < Duration::from_secs(5), "{shortest:?}");
}
