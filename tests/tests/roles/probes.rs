//! Probes: yes or no within a time limit, whatever else is wrong with the server.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Node, Output, Port, Replication, Stop, children, signal, wait_until};

use crate::{SOON, fence, operator};

/// `trunkline` with the config file of the replay, whose own database the subscriber is.
fn of_subscriber(replication: &Replication) -> Node {
    Node::new(
        "trunkline",
        &replication.scratch,
        &replication.replay.config,
        "replay1",
    )
}

fn answer(port: u16, path: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

/// A server whose processes are stopped, as one that hangs; it goes on when the value is dropped.
struct Stopped(Vec<i32>);

impl Stopped {
    fn server(cluster: &tests::Cluster) -> Stopped {
        let postmaster = cluster.pid().unwrap();
        let mut pids = vec![postmaster];
        signal(postmaster, Signal::SIGSTOP);
        pids.extend(children(postmaster));
        for pid in &pids[1..] {
            signal(*pid, Signal::SIGSTOP);
        }
        Stopped(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            signal(*pid, Signal::SIGCONT);
        }
    }
}

#[test]
fn serve_is_yes_on_the_provider_alone_and_a_dead_ticker_does_not_count() {
    let replication = Replication::running("create table t (id int primary key)");
    let (provider, subscriber) = (operator(&replication), of_subscriber(&replication));
    let said = provider.run(&["probe", "serve"]).ok();
    assert_eq!(said.text(), "yes: database db1 is written for queue q1");
    let said = subscriber.run(&["probe", "serve"]).code(1);
    assert_eq!(said.text(), "no: database db1 is no provider of queue q1");
    provider.run(&["probe", "serve", "elsewhere"]).code(1);
    provider.run(&["probe", "serve", "--timeout", "0"]).code(2);

    provider.run(&["probe", "running"]).ok();
    replication.ticker.kill9();
    provider.run(&["probe", "serve", "--write"]).ok();
    let said = provider.run(&["probe", "running"]).code(1);
    assert_eq!(said.text(), "no: ticker1 does not run");
    replication.ticker.run(&["start", "-d"]).ok();

    fence(&provider);
    let said = provider.run(&["probe", "serve"]).code(1);
    assert_eq!(said.text(), "no: database db1 is fenced for queue q1");
    // The row of a probe is ours: the database's own default does not count.
    provider.run(&["probe", "serve", "--write"]).code(1);
    provider.run(&["unfence", "q1"]).ok();
    provider.run(&["probe", "serve", "q1", "--write"]).ok();
    // Each row asks the disk for a page, until the table begins anew.
    let pages = || {
        let sql = "select pg_relation_size('trunkline.probe') / 8192";
        replication.on_provider(sql).parse::<i64>().unwrap()
    };
    let before = pages();
    provider.run(&["probe", "serve", "--write"]).ok();
    assert_eq!(pages(), before + 1);
    replication.on_provider("select count(trunkline.probe_write()) from generate_series(1, 300)");
    assert!(pages() <= 129, "{}", pages());
    replication.on_provider(
        "create function full_disk() returns trigger language plpgsql as
             $$ begin raise exception 'no space left' using errcode = '53100'; end $$;
         create trigger full_disk before insert on trunkline.probe execute procedure full_disk()",
    );
    let said = provider.run(&["probe", "serve", "--write"]).code(1);
    assert!(said.text().contains("no space left"), "{}", said.text());
    provider.run(&["probe", "serve"]).ok();
    replication.on_provider("drop trigger full_disk on trunkline.probe");

    // A server that hangs accepts connections and never answers.
    {
        let _stopped = Stopped::server(&replication.provider);
        let Output {
            took, code, stdout, ..
        } = provider.run(&["probe", "serve", "--timeout", "1"]);
        assert_eq!((code, stdout.as_str()), (1, "no: no answer within 1 s\n"));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    provider.run(&["probe", "serve", "--timeout", "30"]).ok();
    replication.provider.stop(Stop::Fast);
    provider.run(&["probe", "serve"]).code(1);
}

#[test]
fn standby_is_yes_while_the_subscriber_keeps_up_and_the_port_says_the_same() {
    let port = Port::take();
    let listen = format!("http_listen = \"127.0.0.1:{}\"", port.number());
    let replication = Replication::builder()
        .replay_line(&listen)
        .running("create table t (id int primary key)");
    let port = port.number();
    let subscriber = of_subscriber(&replication);
    wait_until("the subscriber to be level", SOON, || {
        subscriber
            .run(&["probe", "standby", "--max-lag", "30"])
            .code
            == 0
    });
    wait_until("the port to say so", SOON, || {
        answer(port, "/standby?lag=30").0 == 200
    });
    assert_eq!(answer(port, "/standby").0, 200);
    assert_eq!(answer(port, "/standby?lag=much").0, 400);
    let (code, text) = answer(port, "/promotable");
    assert_eq!(
        (code, text.as_str()),
        (503, "replay1: the database is no standby\n")
    );
    let (code, text) = answer(port, "/provider");
    assert_eq!((code, text.as_str()), (503, "replay1: no provider\n"));
    operator(&replication).run(&["probe", "standby"]).code(1);
    let said = subscriber.run(&["probe", "promotable"]).code(1);
    assert_eq!(said.text(), "no: replay1: the database is no standby");

    // Paused, it does not keep up.
    replication.replay.run(&["pause"]).ok();
    subscriber.run(&["probe", "standby"]).code(1);
    wait_until("the port to say so", SOON, || {
        answer(port, "/standby").0 == 503
    });
    replication.replay.run(&["resume"]).ok();
    wait_until("it to go on", SOON, || {
        subscriber.run(&["probe", "standby"]).code == 0
    });

    // Its provider is away: readers may stay, unless they say how old rows may be.
    replication.provider.stop(Stop::Immediate);
    wait_until("replay to notice", SOON, || {
        subscriber
            .run(&["probe", "standby", "--max-lag", "30"])
            .code
            == 1
    });
    wait_until("it to wait for the provider", SOON, || {
        subscriber.run(&["probe", "standby"]).code == 0
    });
    replication.provider.start_again();
    wait_until("it to be level again", SOON, || {
        subscriber
            .run(&["probe", "standby", "--max-lag", "30"])
            .code
            == 0
    });
}
