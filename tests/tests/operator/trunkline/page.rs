//! The port of replay: metrics, status, health and the page, true within two seconds, and
//! nothing that a browser could be made to run.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::{Browser, Port, Replication, Scratch, Stop, run, wait_until, wait_value};

const LIMIT: Duration = Duration::from_secs(120);

/// Status code, head and body of an answer.
fn get(port: u16, path: &str) -> (u16, String, String) {
    asked(port, path, "")
}

/// The same, with further headers, each with its end.
fn asked(port: u16, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_lowercase(), body.to_owned())
}

/// The value of the first metric that begins so; None: there is none.
fn metric(port: u16, name: &str) -> Option<f64> {
    let (_, _, text) = get(port, "/metrics");
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn status(port: u16) -> Value {
    serde_json::from_str(&get(port, "/status").2).unwrap()
}

#[test]
fn the_port_tells_the_truth_while_level_copying_and_cut_off() {
    let (port, ticker) = (Port::take(), Port::take());
    let listen = format!("http_listen = \"127.0.0.1:{}\"", port.number());
    let replication = Replication::builder()
        .replay_line(&listen)
        .ticker_line(&format!("http_listen = \"127.0.0.1:{}\"", ticker.number()))
        .running("create table \"<script>\" (id int primary key, v text); create table t (id int primary key)");
    let (port, ticker) = (port.number(), ticker.number());
    wait_until("level", LIMIT, || {
        status(port)["subscribers"][0]["state"] == "level"
    });
    wait_until("health", LIMIT, || {
        let (code, _, text) = get(port, "/health");
        (code, text.as_str()) == (200, "ok\n")
    });
    assert_eq!(get(port, "/elsewhere").0, 404);

    replication.on_provider("insert into \"<script>\" select g from generate_series(1, 500) g");
    replication.sync();
    for (name, value) in [
        ("trunkline_replay_rows_total{", 500.0),
        ("trunkline_replay_tables{", 2.0),
        ("trunkline_replay_provider_reachable{", 1.0),
    ] {
        wait_until(name, LIMIT, || metric(port, name) == Some(value));
    }

    // A parked table and its name are shown, and obeyed by no browser.
    replication.on_subscriber("alter table \"<script>\" add check (id <> 501)");
    replication.on_provider("insert into \"<script>\" values (501)");
    wait_until("the parked table", LIMIT, || {
        metric(port, "trunkline_replay_table_parked{") == Some(1.0)
    });
    let (code, head, page) = wait_value("the page to show it", LIMIT, || {
        Some(get(port, "/")).filter(|(_, _, page)| page.contains("parked"))
    });
    assert_eq!(code, 200);
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    assert!(head.contains("nosniff"), "{head}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(head.contains("script-src 'sha256-"), "{head}");
    alerts_and_dashboard_name_what_is_there(port, ticker);
    let mut browser = Browser::start();
    fits(&mut browser, port);
    fits(&mut browser, ticker);
    lives(&mut browser, &replication, port);
    ticker_tells(ticker);

    replication.subscribers[0].stop(Stop::Immediate);
    wait_until("the subscriber to be missed", LIMIT, || {
        metric(port, "trunkline_replay_reachable") == Some(0.0)
    });
    wait_until("health to say so", LIMIT, || {
        let (code, _, text) = get(port, "/health");
        code == 503 && text.contains("unreachable")
    });
    for path in ["/", "/status", "/metrics", "/health"] {
        let (_, _, text) = get(port, path);
        assert!(!text.contains("password"), "{text}");
    }
    replication.subscribers[0].start_again();

    // What is shown while nobody answers does not look as if it held still.
    replication.replay.run(&["stop"]).ok();
    let is_stale =
        "document.documentElement.className === 'stale' && document.title.startsWith('?')";
    wait_until("the page to say that nobody answers", LIMIT, || {
        browser.evaluate(is_stale) == true
    });
}

/// A page fits three widths in both themes, without an error, and with everything readable.
fn fits(browser: &mut Browser, port: u16) {
    for width in [360, 768, 1280] {
        for dark in [false, true] {
            browser.open(&format!("http://127.0.0.1:{port}/?span=day"), width, dark);
            let problems = browser.problems();
            assert!(
                problems.is_empty(),
                "{width}, dark {dark}:\n{}",
                problems.join("\n")
            );
        }
    }
}

/// The page shows what is new without being loaded again, and what the reader has opened stays open.
fn lives(browser: &mut Browser, replication: &Replication, port: u16) {
    browser.open(&format!("http://127.0.0.1:{port}/"), 1280, false);
    // A mark that a page which is loaded again would not have.
    browser.evaluate("window.mark = 7; const table = document.querySelector('#plots details > summary'); table.focus(); 0");
    browser.press_enter();
    replication.on_provider("insert into t select generate_series(1, 100)");
    replication.on_subscriber("alter table \"<script>\" drop constraint \"<script>_id_check\"");
    wait_until("the page to say that all is well", LIMIT, || {
        browser.evaluate("document.querySelector('#verdict strong').textContent") == "All is well"
    });
    let turns = "Number(document.documentElement.dataset.turns || 0)";
    let before = browser.evaluate(turns).as_u64().unwrap();
    wait_until("two more turns", LIMIT, || {
        browser.evaluate(turns).as_u64().unwrap() >= before + 2
    });
    let kept = "[window.mark, document.querySelector('#plots details').open, \
                document.activeElement === document.querySelector('#plots details > summary')]";
    assert_eq!(browser.evaluate(kept), serde_json::json!([7, true, true]));
}

/// Each metric that an alert or a panel names is one that the daemons tell.
fn alerts_and_dashboard_name_what_is_there(replay: u16, ticker: u16) {
    let told = || -> BTreeSet<String> {
        let metrics = [replay, ticker]
            .map(|port| get(port, "/metrics").2)
            .concat();
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split(['{', ' ']).next());
        names.map(str::to_owned).collect()
    };
    for file in [
        "etc/prometheus/trunkline.rules.yml",
        "etc/grafana/trunkline.json",
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let words = text.split(|c| !is_name(c));
        // `trunkline check archive` tells these, and the test of an archive's hook holds them to it.
        let is_checked = |word: &str| {
            ["trunkline_check_", "trunkline_archive_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        };
        // A pattern of names is cut where its bracket begins.
        let named: BTreeSet<&str> = words
            .filter(|word| word.starts_with("trunkline_") && !word.ends_with('_'))
            .filter(|word| !is_checked(word))
            .collect();
        assert!(named.len() > 5, "{file}: {named:?}");
        wait_until("each metric to be told", LIMIT, || {
            let told = told();
            let missing: Vec<_> = named.iter().filter(|name| !told.contains(**name)).collect();
            println!("{file} names, and nobody tells: {missing:?}");
            missing.is_empty()
        });
    }
}

/// The ticker's port has the same paths.
fn ticker_tells(port: u16) {
    wait_until("the ticker's health", LIMIT, || {
        get(port, "/health").0 == 200
    });
    let queues = &status(port)["databases"][0]["queues"];
    assert_eq!(queues[0]["name"], "q1", "{queues}");
    wait_until("the consumer's lag", LIMIT, || {
        metric(port, "trunkline_ticker_consumer_lag_seconds{").is_some()
    });
    wait_until("ticks", LIMIT, || {
        metric(port, "trunkline_ticker_ticks_total{").is_some_and(|ticks| ticks > 0.0)
    });
    let (_, _, page) = get(port, "/");
    assert!(
        page.contains("replay1") && page.contains("Queues"),
        "{page}"
    );
}

#[test]
fn a_port_that_is_taken_is_told_and_replication_goes_on_without() {
    let port = Port::take();
    let taken = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
    let folder = Scratch::new();
    let file = folder.path().join("token");
    std::fs::write(&file, "a token of old\n").unwrap();
    let token = format!("http_token_file = \"{}\"", file.display());
    let listen = format!("http_listen = \"127.0.0.1:{}\"\n{token}", port.number());
    let replication = Replication::builder().replay_line(&listen).make();
    replication.everywhere("create table t (id int primary key)");
    replication.ticker.run(&["install"]).ok();
    replication.ticker.run(&["start", "-d"]).ok();
    replication.replay.run(&["install"]).ok();
    // A token that everybody may read, or could guess, is none: nothing is shown until it is put right.
    let mode =
        |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    let all_may = |path: &std::path::Path| {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    };
    all_may(folder.path());
    mode(0o666);
    let started = replication.replay.run(&["start", "-d"]).ok();
    started.says(&["http_listen", "http_token_file", "chmod"]);
    replication.replay.run(&["stop"]).ok();
    let owner = std::fs::metadata(&replication.replay.config).unwrap();
    std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    mode(0o600);
    let started = replication.replay.run(&["start", "-d"]).ok();
    started.says(&["http_listen", "at least 16"]);
    replication.replay.run(&["stop"]).ok();
    std::fs::write(&file, "0123456789abcdef0123\n").unwrap();
    let number = port.number().to_string();
    let started = replication.replay.run(&["start", "-d"]).ok();
    started.says(&["http_listen", &number]);
    replication.add_all();
    replication.wait_ok();
    drop(taken);
    wait_until("the page", LIMIT, || {
        TcpStream::connect(("127.0.0.1", port.number())).is_ok()
    });
    let health = |token: &str| {
        asked(
            port.number(),
            "/health",
            &format!("Authorization: {token}\r\n"),
        )
    };
    wait_until("health", LIMIT, || {
        health("Bearer 0123456789abcdef0123").0 == 200
    });
    for path in ["/", "/status", "/metrics", "/health", "/provider"] {
        let (code, head, body) = get(port.number(), path);
        assert_eq!(code, 401, "{path}: {body}");
        assert!(head.contains("www-authenticate: basic"), "{head}");
        assert!(!body.contains("replay1"), "{body}");
    }
    assert_eq!(health("Bearer 0123456789abcdef0124").0, 401);
    // As a browser sends it: "any:0123456789abcdef0123".
    assert_eq!(health("Basic YW55OjAxMjM0NTY3ODlhYmNkZWYwMTIz").0, 200);
    // A new token holds at once.
    std::fs::write(&file, "another-token-0123\n").unwrap();
    assert_eq!(health("Bearer 0123456789abcdef0123").0, 401);
    assert_eq!(health("Bearer another-token-0123").0, 200);
}

#[test]
fn a6_half_requests_take_no_descriptor_that_the_databases_need() {
    let port = Port::take();
    let listen = format!("http_listen = \"127.0.0.1:{}\"", port.number());
    let replication = Replication::builder()
        .replay_line(&listen)
        .running("create table t (id int primary key)");
    replication.replay.run(&["stop"]).ok();
    // Few descriptors, of which the port gets 20.
    let start = replication.replay.command(&["start", "-d"]);
    let line: Vec<String> = std::iter::once(start.get_program())
        .chain(start.get_args())
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let limited = format!("ulimit -n 100; exec {}", line.join(" "));
    run(Command::new("bash").args(["-c", &limited])).ok();
    let port = port.number();
    let connected = |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut half: Vec<TcpStream> = (0..120)
        .map(|number| connected(["", "GET / HTTP/1.1\r\nHost: x\r\n"][number % 2]))
        .collect();
    replication.wait_log("has all connections that it takes");

    // All of its sessions have to be made anew.
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        cluster.psql(
            replication.db(),
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'trunkline % replay1'",
        );
    }
    replication.on_provider("insert into t select generate_series(1, 100)");
    replication.sync();
    replication.assert_same();
    assert!(!replication.replay.log().contains("Too many open files"));

    // Who sends half a request is sent away, and others are answered then.
    let mut answer = String::new();
    half[1].set_read_timeout(Some(LIMIT)).unwrap();
    let ended = half[1].read_to_string(&mut answer);
    assert!(
        ended.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) || !answer.contains("200")
    );
    half.truncate(30);
    wait_until("an answer", LIMIT, || get(port, "/health").0 == 200);
}
