//! Servers that are not there, not installed or not ours, and daemons that run already.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use tests::{Cluster, Replication, Scratch, Server, wait_until};

use super::configs::{good, write};

#[test]
fn an_unreachable_host_is_3_and_a_daemon_goes_on_trying() {
    let scratch = Scratch::new();
    for program in ["ticker", "replay"] {
        let text = good(&scratch, program);
        let node = write(&scratch, program, text.as_bytes());
        node.run(&["install"]).code(3).says(&["127.0.0.1"]);
        node.run(&["stop"]).code(5);
    }
    write(&scratch, "replay", good(&scratch, "replay").as_bytes())
        .run(&["add", "--all"])
        .code(3)
        .says(&["127.0.0.1"]);
}

#[test]
fn a_daemon_started_before_its_servers_says_so_and_gets_to_work_when_they_are_there() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (id int primary key, v text)");
    replication.copy_schema();
    replication.ticker.run(&["install"]).ok();
    replication.replay.run(&["install"]).ok();
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        cluster.stop(tests::Stop::Fast);
    }
    replication
        .ticker
        .run(&["start", "-d"])
        .ok()
        .says(&["127.0.0.1"]);
    replication
        .replay
        .run(&["start", "-d"])
        .ok()
        .says(&["127.0.0.1"]);
    replication.ticker.running();
    replication.replay.running();
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        cluster.start_again();
    }
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into t values (1, 'x')");
    replication.sync();
    replication.assert_same();
}

#[test]
fn a_wrong_password_is_named_and_never_shown() {
    let cluster = Cluster::builder(&Server::debian15())
        .host_auth("scram-sha-256")
        .start();
    cluster.psql("postgres", "alter role postgres password 'right'");
    let scratch = Scratch::new();
    let text = good(&scratch, "ticker").replace(
        "host=127.0.0.1 port=1 dbname=x",
        &format!("{} password=wrong-secret", cluster.conninfo("postgres")),
    );
    let node = write(&scratch, "ticker", text.as_bytes());
    let output = node
        .run(&["install"])
        .code(3)
        .says(&["password", "127.0.0.1"]);
    assert!(!output.stderr.contains("wrong-secret"), "{}", output.stderr);
    assert_eq!(
        cluster.psql(
            "postgres",
            "select count(*) from pg_namespace where nspname in ('pgq', 'trunkline')"
        ),
        "0"
    );
    write(
        &scratch,
        "ticker",
        text.replace("wrong-secret", "right").as_bytes(),
    )
    .run(&["install"])
    .ok();
}

#[test]
fn a_second_start_is_5_and_another_job_waits_as_standby() {
    let replication = Replication::builder().make();
    replication.start();
    for node in [&replication.ticker, &replication.replay] {
        let pid = node.running();
        node.run(&["start", "-d"]).code(5).says(&[&pid.to_string()]);
        node.run(&["start"]).code(5);
        assert_eq!(node.running(), pid);
        node.run(&["stop"]).ok();
        assert_eq!(node.pid(), None);
        node.run(&["stop"]).code(5);
        // A pid file that a kill left behind is no running daemon.
        std::fs::write(&node.pidfile, "999999999\n").unwrap();
        node.run(&["start", "-d"]).ok();
        node.running();
    }
}

#[test]
fn commands_of_a_provider_that_is_not_installed_say_what_to_run() {
    let replication = Replication::builder().make();
    replication
        .replay
        .run(&["add", "--all"])
        .code(3)
        .says(&["install"]);
    replication.replay.run(&["tables"]).code(3);
    replication.ticker.run(&["install"]).ok();
    replication.ticker.run(&["start", "-d"]).ok();
    replication
        .replay
        .run(&["add", "--all"])
        .code(3)
        .says(&["install"]);
}

#[test]
fn wait_ends_with_4_when_the_time_is_over() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (id int primary key)");
    replication.copy_schema();
    replication.start();
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.replay.run(&["stop"]).ok();
    replication.on_provider("insert into t values (1)");
    replication.replay.run(&["wait", "--timeout", "1"]).code(4);
    replication.replay.run(&["start", "-d"]).ok();
    replication.sync();
}

#[test]
fn a_queue_schema_that_is_not_ours_is_left_alone() {
    let replication = Replication::builder().make();
    replication.on_provider("create schema pgq; create table pgq.queue (mine int)");
    replication.ticker.run(&["install"]).code(3).says(&["pgq"]);
    assert_eq!(
        replication.on_provider("select count(*) from pg_namespace where nspname = 'trunkline'"),
        "0"
    );
}

#[test]
fn se_17_a_pid_file_that_is_a_symbolic_link_is_not_followed() {
    let replication = Replication::builder().make();
    replication.ticker.run(&["install"]).ok();
    let victim = replication.scratch.file("victim", "precious");
    std::os::unix::fs::symlink(&victim, &replication.ticker.pidfile).unwrap();
    let output = replication.ticker.run(&["start", "-d"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert_eq!(
        std::fs::read_to_string(Path::new(&victim)).unwrap(),
        "precious"
    );
    wait_until("no daemon", Duration::from_secs(60), || {
        replication.ticker.pid().is_none()
    });
}

/// A port that answers each connection with these bytes, whatever is asked, and closes.
fn answering(bytes: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // All of it: what is left unread would make the end of the connection a reset.
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(bytes);
        }
    });
    port
}

#[test]
fn u19_what_is_no_postgresql_has_no_tls_or_no_address_is_named_with_advice() {
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    let with_tls = format!("{} sslmode=require", cluster.conninfo("postgres"));
    let at = |port: u16, more: &str| format!("host=127.0.0.1 port={port} dbname=x user=u {more}");
    let ssh = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let listens = "is it a PostgreSQL server that listens on this port?";
    for (conninfo, words) in [
        (
            at(answering(ssh), ""),
            ["no answer that PostgreSQL would give", listens],
        ),
        (
            at(answering(http), "sslmode=disable"),
            ["no answer that PostgreSQL would give", listens],
        ),
        (at(answering(b""), "sslmode=disable"), ["hint", listens]),
        (with_tls, ["does not support TLS", "ssl = on"]),
        (
            "host=no.such.host.invalid dbname=x user=u".to_owned(),
            ["no.such.host.invalid", "getent hosts"],
        ),
        (at(1, ""), ["refused", "is the server running there"]),
    ] {
        for program in ["ticker", "replay"] {
            let text = good(&scratch, program).replace("host=127.0.0.1 port=1 dbname=x", &conninfo);
            let node = write(&scratch, program, text.as_bytes());
            node.run(&["install"]).code(3).says(&words);
        }
    }
}
