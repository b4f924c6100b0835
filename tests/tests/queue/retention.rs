//! A limit on what a consumer may hold: it warns, or detaches the consumer, which then cannot go on by mistake.

use tests::{Cluster, Replication, Scratch, wait_until};
use tokio_postgres::Client;

use crate::grow::{holders, maintain};
use crate::setup::{consume, event, number, pause, rotate, tick, with_queue};
use crate::ticking::ticker;

const SOON: std::time::Duration = std::time::Duration::from_secs(120);

async fn refused(client: &Client, call: &str) -> String {
    let error = client
        .execute(&format!("select {call}"), &[])
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(error.code().code(), "55000", "{error}");
    error.message().to_owned()
}

/// A queue with a consumer that has not done events worth several pages.
async fn behind(cluster: &Cluster) -> (Client, Vec<i64>) {
    let client = with_queue(cluster).await;
    for name in ["dead", "live"] {
        sql::queue::consumer::register(&client, "q", name)
            .await
            .unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..4 {
        for _ in 0..30 {
            ids.push(event(&client, &"x".repeat(1000)).await);
        }
        tick(&client).await.unwrap();
        consume(&client, "live").await;
    }
    (client, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_above_the_limit_is_detached_and_can_do_nothing_by_mistake() {
    let cluster = Cluster::start();
    let (client, ids) = behind(&cluster).await;
    let batch = number(&client, "pgq.next_batch('q', 'dead')").await;
    let text: String = client
        .query_one("select pgq.batch_event_sql($1)", &[&batch])
        .await
        .unwrap()
        .get(0);
    // By default it is only a warning.
    sql::queue::set(&client, "q", "retention_bytes", "64 kB")
        .await
        .unwrap();
    for _ in 0..3 {
        maintain(&client).await;
        pause(1100).await;
    }
    assert_eq!(holders(&client).await, ["consumer dead"]);
    assert!(sql::queue::holder::list(&client).await.unwrap()[0].over_limit);
    sql::queue::set(&client, "q", "retention_action", "detach")
        .await
        .unwrap();
    maintain(&client).await;
    assert_eq!(holders(&client).await, ["detached dead"]);
    assert_eq!(consume(&client, "live").await.len(), 0);

    let told = refused(&client, "pgq.next_batch('q', 'dead')").await;
    assert!(
        told.contains("consumer dead of queue q was detached at")
            && told.contains("retention_bytes is 64 kB"),
        "{told}"
    );
    refused(&client, "pgq.register_consumer('q', 'dead')").await;
    refused(&client, "trunkline.advance('q', 'dead', 2)").await;
    assert_eq!(
        number(&client, &format!("pgq.finish_batch({batch})")).await,
        0
    );
    // Its events are still there: it can be put back where it stood, and loses nothing.
    assert!(
        !sql::queue::consumer::register_at(&client, "q", "dead", sql::queue::tick::TickId(1))
            .await
            .unwrap()
    );
    assert_eq!(
        consume(&client, "dead")
            .await
            .into_keys()
            .collect::<Vec<_>>(),
        ids
    );

    // Once more, and now the events go; what was to read them fails instead of giving less.
    sql::queue::consumer::register_at(&client, "q", "dead", sql::queue::tick::TickId(1))
        .await
        .unwrap();
    maintain(&client).await;
    pause(1100).await;
    maintain(&client).await;
    for _ in 0..4 {
        event(&client, "y").await;
        tick(&client).await.unwrap();
        consume(&client, "live").await;
        rotate(&client).await;
    }
    assert!(number(&client, "select queue_truncated_txid from pgq.queue").await > 0);
    let error = client.query(text.as_str(), &[]).await.unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "events of queue q were truncated"
    );
    // It stands at no tick that is left.
    let there = "select count(*) from pgq.tick where tick_id = 1";
    assert_eq!(number(&client, there).await, 0);
    assert!(
        sql::queue::consumer::unregister(&client, "q", "dead")
            .await
            .unwrap()
    );
    assert!(
        sql::queue::consumer::register(&client, "q", "dead")
            .await
            .unwrap()
    );
    assert!(holders(&client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_consumer_is_never_above_the_limit_of_age_not_even_when_the_clock_jumps() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    for name in ["dead", "live"] {
        sql::queue::consumer::register(&client, "q", name)
            .await
            .unwrap();
    }
    for (setting, text) in [("retention_age", "1 hour"), ("retention_action", "detach")] {
        sql::queue::set(&client, "q", setting, text).await.unwrap();
    }
    event(&client, "x").await;
    tick(&client).await.unwrap();
    event(&client, "x").await;
    tick(&client).await.unwrap();
    // All ticks but the last are from before the clock was put on by a day.
    client
        .batch_execute(
            "update pgq.tick set tick_time = tick_time - interval '1 day' where tick_id < (select max(tick_id) from pgq.tick)",
        )
        .await
        .unwrap();
    maintain(&client).await;
    consume(&client, "live").await;
    pause(1100).await;
    maintain(&client).await;
    assert_eq!(holders(&client).await, ["detached dead"]);
    assert_eq!(number(&client, "select count(*) from pgq.subscription where sub_over_since is not null and sub_detached is null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticker_warns_of_holders_and_tells_what_it_detached() {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let (client, _) = behind(&cluster).await;
    let daemons = ticker(&scratch, &cluster, "postgres", "");
    let node = &daemons.0[0];
    sql::queue::set(&client, "q", "retention_bytes", "64 kB")
        .await
        .unwrap();
    node.run(&["start", "-d"]).ok();
    wait_until("the warning", SOON, || {
        node.log().contains(
            "WARN t1 queue is held database=postgres queue=q by=consumer name=dead bytes=",
        )
    });
    let status = node.run(&["status", "--json"]).ok();
    let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
    let holder = &status["databases"][0]["queues"][0]["holder_list"][0];
    assert_eq!(
        (&holder["kind"], &holder["name"]),
        (&"consumer".into(), &"dead".into())
    );
    assert_eq!(holder["over_limit"], true);
    let tree = node.run(&["status"]).ok();
    assert!(
        tree.text().contains("held by consumer dead"),
        "{}",
        tree.text()
    );
    sql::queue::set(&client, "q", "retention_action", "detach")
        .await
        .unwrap();
    wait_until("the consumer to be detached", SOON, || {
        let log = node.log();
        log.contains("ERROR t1 consumer detached database=postgres queue=q consumer=dead why=")
            && log.contains("queue is held no longer")
    });
}

#[test]
fn a_replay_that_was_detached_stops_and_the_advice_brings_everything_back() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); insert into t values (1)",
    );
    replication.sync();
    wait_until("the copy's helper to be gone", SOON, || {
        replication.on_provider("select count(*) from pgq.get_consumer_info('q1')") == "1"
    });
    replication.replay.run(&["stop"]).ok();
    replication
        .on_provider("insert into t select g, repeat('x', 500) from generate_series(2, 2000) g");
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'retention_bytes', '8 kB'), \
                pgq.set_queue_config('q1', 'retention_action', 'detach')",
    );
    wait_until("a tick with the rows", SOON, || {
        replication.on_provider("select ev_new from pgq.get_queue_info('q1')") == "0"
    });
    replication.on_provider("select pgq.maint_retention('q1')");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    replication.on_provider("select pgq.maint_retention('q1')");
    assert_eq!(
        replication
            .on_provider("select holder_kind || ' ' || holder_name from pgq.get_holder_info()"),
        "detached replay1"
    );
    // Nothing holds the events any more.
    replication.give_away(|_| {
        replication.on_provider("insert into t select max(id) + 1 from t");
        replication.on_provider("select pgq.force_tick('q1')");
        wait_until("a tick", SOON, || {
            replication.on_provider("select ev_new from pgq.get_queue_info('q1')") == "0"
        });
    });
    replication.replay.run(&["start", "-d"]).ok();
    wait_until("replay to say so", SOON, || {
        let log = replication.replay.log();
        log.contains("was detached at") && log.contains("run `replay install`")
    });
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
    let refused = replication.replay.run(&["install"]).code(3);
    assert!(
        refused.stderr.contains("replay adopt"),
        "{}",
        refused.stderr
    );
    replication.on_provider("select pgq.set_queue_config('q1', 'retention_action', 'warn')");
    replication.replay.run(&["remove", "--all"]).ok();
    replication.replay.run(&["install"]).ok();
    replication.replay.run(&["add", "--all", "--truncate"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
}
