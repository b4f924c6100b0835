//! How far a copy is, told alike in JSON, on a terminal, in metrics and on the status page; and to scripts no word
//! more.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use tests::{Port, Replication, Session, run, wait_until};

use crate::SOON;

fn get(port: u16, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

/// What `replay tables` prints on a terminal.
fn on_a_terminal(replication: &Replication) -> String {
    let program = tests::Programs::get().path("replay");
    let line = format!(
        "{} -c {} tables",
        program.display(),
        replication.replay.config.display()
    );
    run(Command::new("script").args(["-qec", &line, "/dev/null"]))
        .ok()
        .stdout
}

#[test]
fn how_far_a_copy_is_is_told_everywhere_and_scripts_get_two_words_a_line() {
    let port = Port::take();
    let replication = Replication::builder()
        .replay_line(&format!("http_listen = \"127.0.0.1:{}\"", port.number()))
        .make();
    replication.on_provider(
        "create table t (id int primary key, v text); \
         insert into t select i, repeat('v', 100) from generate_series(1, 250000) i; analyze t",
    );
    replication.copy_schema();
    replication.start();
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 't', 1)",
    );
    replication.replay.run(&["add", "t"]).ok();
    wait_until("the progress in JSON", SOON, || {
        let said = replication.replay.run(&["tables", "--json"]).ok().stdout;
        let tables: serde_json::Value = serde_json::from_str(&said).unwrap();
        let number = |key: &str| tables[0][key].as_f64().unwrap_or_default();
        (1.0..250_000.0).contains(&number("rows_copied"))
            && number("bytes_copied") > 1e6
            && (200_000.0..300_000.0).contains(&number("rows_estimated"))
            && number("rows_per_second") > 0.0
            && number("seconds_left") > 0.0
    });
    assert_eq!(
        replication.replay.run(&["tables"]).ok().stdout,
        "Table State\npublic.t in-copy\n"
    );
    let shown = on_a_terminal(&replication);
    for word in ["public.t", "in-copy", "%", "MB", "/s"] {
        assert!(shown.contains(word), "no {word:?} in {shown}");
    }
    wait_until("the progress in metrics and on the page", SOON, || {
        let metrics = get(port.number(), "/metrics");
        let value = |name: &str| {
            let line = metrics.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            value.unwrap_or_default()
        };
        value("trunkline_replay_table_rows_copied{") > 0.0
            && value("trunkline_replay_table_bytes_copied{") > 1e6
            && value("trunkline_replay_table_rows_estimated{") > 200_000.0
            && get(port.number(), "/").contains("<progress")
    });
    drop(held);
    replication.wait_ok();
    replication.assert_followed(&[]);
}
