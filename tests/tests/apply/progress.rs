//! A long batch shows how far it is before anything of it can be seen.

use std::time::Duration;

use tests::{Replication, Session, wait_until, wait_value};

use crate::synced_and_clean;

#[test]
fn a_batch_that_takes_long_shows_how_many_rows_it_has_written() {
    let replication = Replication::builder()
        .replay_line("chunk_size = 65536")
        .running("create table t (id int primary key, v text); insert into t values (1, 'first')");
    let status = || {
        let text = replication.replay.run(&["status", "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["subscribers"][0]["batch_rows"].as_i64()
    };
    assert_eq!(status(), None);
    // The last row of the transaction has to wait; what comes before it is many parts.
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "select id from t where id = 1 for update",
    );
    replication.on_provider(
        "begin; insert into t select g, repeat('v', 100) from generate_series(2, 20000) g; \
         update t set v = 'last' where id = 1; commit",
    );
    // It is shown once a second, so it may go on between the two.
    let rows = wait_value("both forms to say it", Duration::from_secs(120), || {
        let rows = status().filter(|rows| *rows > 10_000)?;
        let plain = replication.replay.run(&["status"]).stdout;
        let words = format!("{rows} rows of a batch written so far");
        plain.contains(&words).then_some(rows)
    });
    assert!(rows < 20_000, "{rows}");
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
    drop(held);
    synced_and_clean(&replication);
    wait_until("nothing to be under way", Duration::from_secs(120), || {
        status().is_none()
    });
}
