//! A database that was restored from a backup: recognised, named, and adopted with one function.

use std::process::Command;
use std::time::Duration;

use tests::{Cluster, Scratch, Stop, run, wait_until};
use tokio_postgres::Client;

use crate::setup::{assert_chain, consume, event, number, pause, tick, value, with_queue};
use crate::ticking::ticker;

const SOON: Duration = Duration::from_secs(120);

/// The data of a consumer's events, batch by batch, up to now.
async fn data_of(client: &Client, consumer: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let row = client
            .query_one("select pgq.next_batch('q', $1)", &[&consumer])
            .await
            .unwrap();
        let Some(batch) = row.get::<_, Option<i64>>(0) else {
            return found;
        };
        for row in client
            .query("select ev_data from pgq.get_batch_events($1)", &[&batch])
            .await
            .unwrap()
        {
            found.push(row.get(0));
        }
        client
            .execute("select pgq.finish_batch($1)", &[&batch])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticker_recognises_that_its_servers_files_were_put_back_and_one_function_adopts_the_queue()
 {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    event(&client, "before").await;
    tick(&client).await.unwrap();
    drop(client);
    let copied = scratch.path().join("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        run(Command::new("cp").arg("-a").arg(from).arg(to)).ok();
    };
    cluster.stop(Stop::Fast);
    copy(&cluster.data(), &copied);
    cluster.start_again();
    let daemons = ticker(&scratch, &cluster, "postgres", "");
    let node = &daemons.0[0];
    node.run(&["start", "-d"]).ok();
    let client = cluster.connect("postgres").await;
    let epoch = number(&client, "select queue_epoch from pgq.queue").await;
    let last = "select max(tick_id) from pgq.tick";
    let begun = std::time::Instant::now();
    // The ticker notes what it has seen once a second, when there is a new tick.
    let mut lost = 0;
    for _ in 0..3 {
        let seen = number(&client, last).await.max(3);
        while lost <= seen && begun.elapsed() < SOON {
            event(&client, "lost with the server").await;
            pause(400).await;
            lost = number(&client, last).await;
        }
        pause(1100).await;
    }
    assert!(lost > 3);
    drop(client);
    cluster.stop(Stop::Fast);
    std::fs::remove_dir_all(cluster.data()).unwrap();
    copy(&copied, &cluster.data());
    cluster.start_again();
    wait_until("the ticker to say so", SOON, || {
        node.log()
            .contains("ERROR t1 provider went back in time database=postgres queue=q seen=")
    });
    assert!(node.log().contains("pgq.adopt_queue"));

    let client = cluster.connect("postgres").await;
    event(&client, "after").await;
    let adopted = number(&client, "pgq.adopt_queue('q')").await;
    assert_ne!(adopted, epoch);
    // No number of a tick, an event or a batch that was given out before comes again.
    assert!(number(&client, "select max(tick_id) from pgq.tick").await > lost + 100_000);
    assert!(event(&client, "adopted").await > 100_000);
    assert!(number(&client, "select last_value from pgq.batch_id_seq").await > 100_000);
    wait_until("a tick", SOON, || {
        cluster.psql("postgres", "select ev_new from pgq.get_queue_info('q')") == "0"
    });
    // What was in the backup and not done is there, and what came since, and nothing else.
    assert_eq!(data_of(&client, "c").await, ["before", "after", "adopted"]);
    assert_chain(&client).await;
}

/// Makes the server's transaction numbers grow, so that a dump of it has numbers that a new server has not reached.
async fn burn_transactions(client: &Client, count: i64) {
    client
        .batch_execute(&format!(
            "create temporary table b (i int); do $$ begin for i in 1 .. {count} loop \
                begin insert into pg_temp.b values (1); raise division_by_zero; \
                exception when division_by_zero then null; end; end loop; end $$"
        ))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_restored_into_another_server_is_named_and_adopted_without_losing_or_repeating_an_event()
 {
    let (old, scratch) = (Cluster::start(), Scratch::new());
    let client = with_queue(&old).await;
    for name in ["ahead", "behind", "retrying"] {
        sql::queue::consumer::register(&client, "q", name)
            .await
            .unwrap();
    }
    burn_transactions(&client, 3000).await;
    let again = event(&client, "one").await;
    tick(&client).await.unwrap();
    let batch = number(&client, "pgq.next_batch('q', 'retrying')").await;
    number(&client, &format!("pgq.event_retry({batch}, {again}, 0)")).await;
    number(&client, &format!("pgq.finish_batch({batch})")).await;
    event(&client, "two").await;
    tick(&client).await.unwrap();
    data_of(&client, "ahead").await;
    data_of(&client, "retrying").await;
    // Not in any tick, and of a transaction that was open at the last one.
    let open = old.connect("postgres").await;
    open.batch_execute("begin").await.unwrap();
    event(&open, "three").await;
    tick(&client).await.unwrap();
    open.batch_execute("commit").await.unwrap();
    event(&client, "four").await;
    // An open batch is read again from its beginning.
    number(&client, "pgq.next_batch('q', 'behind')").await;

    let dump = scratch.path().join("dump");
    run(old
        .client("pg_dump", "postgres")
        .args(["-Fc", "-f"])
        .arg(&dump))
    .ok();
    let new = Cluster::start();
    new.create_db("restored");
    new.psql("postgres", "create role pgq_reader; create role pgq_writer; create role pgq_admin in role pgq_reader, pgq_writer");
    run(new
        .client("pg_restore", "restored")
        .args(["-d", "restored"])
        .arg(&dump))
    .ok();
    let client = new.connect("restored").await;
    event(&client, "five").await;
    let error = client
        .execute("select pgq.ticker('q')", &[])
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert!(
        error.message().starts_with("Invalid PgQ state: old xmin="),
        "{error}"
    );
    assert_eq!(error.hint(), Some("select pgq.adopt_queue('q')"));
    let daemons = ticker(&scratch, &new, "restored", "");
    let node = &daemons.0[0];
    node.run(&["start", "-d"]).ok();
    wait_until("the ticker to say so", SOON, || {
        let log = node.log();
        log.contains("queue failed, trying again")
            && log.contains("advice=\"select pgq.adopt_queue('q')\"")
    });
    // A transaction that is younger than the adopting one ends before it: snapshots that the
    // adopting one takes then show its own number as one of the past.
    client
        .batch_execute("begin; select txid_current()")
        .await
        .unwrap();
    new.psql(
        "restored",
        "select pgq.insert_event('q', 't', 'five and a half')",
    );
    let epoch = number(&client, "pgq.adopt_queue('q')").await;
    client.batch_execute("commit").await.unwrap();
    assert_eq!(
        number(&client, "select queue_epoch from pgq.queue").await,
        epoch
    );
    event(&client, "six").await;
    wait_until("a tick that shows all of it", SOON, || {
        new.psql(
            "restored",
            "select count(*) > 0 from pgq.tick where txid_snapshot_xmin(tick_snapshot) > (select max(ev_txid) from pgq.event_1)",
        ) == "t"
    });
    assert_eq!(
        data_of(&client, "behind").await,
        [
            "one",
            "two",
            "three",
            "four",
            "five",
            "five and a half",
            "six"
        ]
    );
    assert_eq!(
        data_of(&client, "ahead").await,
        ["three", "four", "five", "five and a half", "six"]
    );
    // The retried event comes when the ticker has put it back into the queue.
    let mut retrying = data_of(&client, "retrying").await;
    let begun = std::time::Instant::now();
    while !retrying.contains(&"one".to_owned()) && begun.elapsed() < SOON {
        pause(100).await;
        retrying.extend(data_of(&client, "retrying").await);
    }
    retrying.sort_unstable();
    assert_eq!(
        retrying,
        ["five", "five and a half", "four", "one", "six", "three"]
    );
    assert_chain(&client).await;
    // Old numbers are nowhere left that a later transaction could meet.
    assert_eq!(
        number(
            &client,
            "select count(*) from pgq.event_1 where ev_txid > txid_current()"
        )
        .await,
        0
    );
    number(&client, "pgq.maint_rotate_tables_step1('q')").await;
    assert!(
        value(&client, "select max(tick_id) from pgq.tick")
            .await
            .is_some()
    );
    assert!(consume(&client, "ahead").await.is_empty());
}
