//! The port of replay: metrics, status, health and the page, true within two seconds, and
//! nothing that a browser could be made to run.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::{Port, Replication, Stop, run, wait_until, wait_value};

const LIMIT: Duration = Duration::from_secs(120);

/// Status code, head and body of an answer.
fn get(port: u16, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
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
    let port = Port::take();
    let listen = format!("http_listen = \"127.0.0.1:{}\"", port.number());
    let replication = Replication::builder()
        .replay_line(&listen)
        .running("create table \"<script>\" (id int primary key, v text)");
    let port = port.number();
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
        ("trunkline_replay_tables{", 1.0),
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
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("<svg").count(), 2, "{page}");

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
}

#[test]
fn a_port_that_is_taken_is_told_and_replication_goes_on_without() {
    let port = Port::take();
    let taken = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
    let listen = format!("http_listen = \"127.0.0.1:{}\"", port.number());
    let replication = Replication::builder().replay_line(&listen).make();
    replication.everywhere("create table t (id int primary key)");
    replication.ticker.run(&["install"]).ok();
    replication.ticker.run(&["start", "-d"]).ok();
    replication.replay.run(&["install"]).ok();
    let number = port.number().to_string();
    let started = replication.replay.run(&["start", "-d"]).ok();
    started.says(&["http_listen", &number]);
    replication.add_all();
    replication.wait_ok();
    drop(taken);
    wait_until("the page", LIMIT, || {
        TcpStream::connect(("127.0.0.1", port.number())).is_ok()
    });
    wait_until("health", LIMIT, || get(port.number(), "/health").0 == 200);
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
