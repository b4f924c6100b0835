//! Sub-consumers (pgq_coop) and what target databases remember (pgq_ext). Debian packages neither of PgQ's, so these
//! say what is promised.

use crate::one::{ask, code, try_ask, with_queue};

/// Events in n batches of one event each.
async fn batches(client: &tokio_postgres::Client, count: usize) {
    for number in 0..count {
        ask(
            client,
            &format!("select pgq.insert_event('q', 't', '{number}')"),
        )
        .await;
        ask(client, "select pgq.ticker('q')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_consumers_share_the_batches_and_each_event_comes_once() {
    let (_cluster, client) = with_queue().await;
    assert_eq!(
        ask(
            &client,
            "select pgq_coop.register_subconsumer('q', 'c', 'a')"
        )
        .await,
        "1"
    );
    assert_eq!(
        ask(
            &client,
            "select pgq_coop.register_subconsumer('q', 'c', 'a')"
        )
        .await,
        "0"
    );
    assert_eq!(
        ask(&client, "select pgq_coop.version() ~ '^3[.]'").await,
        "t"
    );
    batches(&client, 6).await;
    // A worker that is not there is registered; an open batch is given again.
    let (mut seen, mut open) = (Vec::new(), Vec::new());
    for worker in ["a", "b", "c"] {
        let next = format!("select pgq_coop.next_batch('q', 'c', '{worker}')");
        let batch = ask(&client, &next).await;
        assert_eq!(ask(&client, &next).await, batch);
        let info = format!(
            "select batch_id from pgq_coop.next_batch_custom('q', 'c', '{worker}', '1 day', 9, '1 day')"
        );
        assert_eq!(ask(&client, &info).await, batch);
        open.push(batch);
    }
    // The position moves when a batch is handed out; members without one stand nowhere.
    assert_eq!(
        ask(
            &client,
            "select consumer_name, last_tick, next_tick from pgq.get_consumer_info('q') order by 1"
        )
        .await,
        "c 4 null c.a 1 2 c.b 2 3 c.c 3 4"
    );
    for batch in open.iter().rev() {
        let events = format!("select ev_data from pgq.get_batch_events({batch})");
        seen.push(ask(&client, &events).await);
        assert_eq!(
            ask(&client, &format!("select pgq_coop.finish_batch({batch})")).await,
            "1"
        );
        assert_eq!(
            ask(&client, &format!("select pgq_coop.finish_batch({batch})")).await,
            "0"
        );
    }
    assert_eq!(
        ask(
            &client,
            "select consumer_name, last_tick, next_tick from pgq.get_consumer_info('q') order by 1"
        )
        .await,
        "c 4 null c.a null null c.b null null c.c null null"
    );
    // pgq.finish_batch does for a worker's batch what pgq_coop.finish_batch does.
    for worker in ["b", "b", "a"] {
        let batch = ask(
            &client,
            &format!("select pgq_coop.next_batch('q', 'c', '{worker}')"),
        )
        .await;
        seen.push(
            ask(
                &client,
                &format!("select ev_data from pgq.get_batch_events({batch})"),
            )
            .await,
        );
        assert_eq!(
            ask(&client, &format!("select pgq.finish_batch({batch})")).await,
            "1"
        );
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
    // The head's batches are its workers'.
    assert_eq!(
        code(&client, "select pgq.next_batch('q', 'c')").await,
        "55000"
    );
    assert_eq!(
        code(&client, "select pgq.next_batch('q', 'c.a')").await,
        "55000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_batch_is_taken_over_and_its_late_end_counts_for_nothing() {
    let (_cluster, client) = with_queue().await;
    ask(&client, "select pgq.register_consumer('q', 'c')").await;
    for worker in ["dead", "idle"] {
        ask(
            &client,
            &format!("select pgq_coop.register_subconsumer('q', 'c', '{worker}')"),
        )
        .await;
    }
    batches(&client, 3).await;
    let batch = ask(&client, "select pgq_coop.next_batch('q', 'c', 'dead')").await;
    let second = ask(&client, "select pgq_coop.next_batch('q', 'c', 'dead2')").await;
    assert_eq!(
        ask(&client, "select pgq_coop.next_batch('q', 'c', 'alive')").await,
        "3"
    );
    ask(&client, "select pgq_coop.finish_batch(3)").await;
    // Nobody is dead yet; and nobody is while no interval is given.
    assert_eq!(
        ask(
            &client,
            "select pgq_coop.next_batch('q', 'c', 'alive', '1 hour')"
        )
        .await,
        "null"
    );
    client
        .batch_execute(
            "update pgq.subscription set sub_active = now() - interval '2 hours' where sub_consumer not in \
             (select co_id from pgq.consumer where co_name in ('c', 'c.alive'))",
        )
        .await
        .unwrap();
    assert_eq!(
        ask(&client, "select pgq_coop.next_batch('q', 'c', 'alive')").await,
        "null"
    );
    // The batch that begins first, under another number; the idle worker goes, the other dead one's turn comes later.
    let taken = ask(
        &client,
        "select batch_id, prev_tick_id, cur_tick_id from \
         pgq_coop.next_batch_custom('q', 'c', 'alive', null, null, null, '1 hour')",
    )
    .await;
    assert_eq!(taken, "4 1 2");
    assert_eq!(
        ask(&client, "select ev_data from pgq.get_batch_events(4)").await,
        "0"
    );
    assert_eq!(
        ask(&client, "select co_name from pgq.consumer order by 1").await,
        "c c.alive c.dead2"
    );
    assert_eq!(
        ask(&client, &format!("select pgq_coop.finish_batch({batch})")).await,
        "0"
    );
    assert_eq!(ask(&client, "select pgq_coop.finish_batch(4)").await, "1");
    // The other one lives after all, and is the faster.
    assert_eq!(
        ask(&client, &format!("select pgq_coop.finish_batch({second})")).await,
        "1"
    );
    assert_eq!(
        ask(
            &client,
            "select pgq_coop.next_batch('q', 'c', 'alive', '1 hour')"
        )
        .await,
        "null"
    );
    // Rotation waited for the worker that was behind, and no longer does.
    assert_eq!(
        ask(&client, "select min(sub_last_tick) from pgq.subscription").await,
        "4"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_and_go_and_the_consumer_is_an_ordinary_one_again() {
    let (_cluster, client) = with_queue().await;
    ask(&client, "select pgq.register_consumer('q', 'c')").await;
    batches(&client, 2).await;
    // A consumer in the middle of a batch is not split.
    let own = ask(&client, "select pgq.next_batch('q', 'c')").await;
    assert_eq!(
        code(
            &client,
            "select pgq_coop.register_subconsumer('q', 'c', 'a')"
        )
        .await,
        "55006"
    );
    assert_eq!(
        code(&client, "select pgq_coop.next_batch('q', 'c', 'a')").await,
        "55006"
    );
    ask(&client, &format!("select pgq.finish_batch({own})")).await;
    let batch = ask(&client, "select pgq_coop.next_batch('q', 'c', 'a')").await;
    // A member is no head, and another consumer's name is not taken.
    assert_eq!(
        code(
            &client,
            "select pgq_coop.register_subconsumer('q', 'c.a', 'b')"
        )
        .await,
        "55000"
    );
    ask(&client, "select pgq.register_consumer('q', 'c.x')").await;
    assert_eq!(
        code(
            &client,
            "select pgq_coop.register_subconsumer('q', 'c', 'x')"
        )
        .await,
        "42710"
    );
    for (statement, expected) in [
        (
            "select pgq_coop.register_subconsumer('q', null, 'b')",
            "Invalid NULL value",
        ),
        (
            "select pgq_coop.register_subconsumer('nope', 'c', 'b')",
            "Event queue not created yet",
        ),
        (
            "select pgq_coop.next_batch('nope', 'c', 'b')",
            "Event queue not created yet",
        ),
        (
            "select pgq_coop.unregister_subconsumer('q', 'nope', 'b', 0)",
            "Not subscriber to queue: q/nope",
        ),
        (
            "select pgq_coop.unregister_subconsumer('q', 'c', 'a', 0)",
            "sub-consumer a of consumer c has an open batch",
        ),
    ] {
        assert_eq!(
            try_ask(&client, statement).await.unwrap_err(),
            expected,
            "{statement}"
        );
    }
    assert_eq!(
        ask(
            &client,
            "select pgq_coop.unregister_subconsumer('q', 'c', 'nope', 0)"
        )
        .await,
        "0"
    );
    assert_eq!(
        ask(
            &client,
            "select pgq_coop.unregister_subconsumer('q', 'c', 'a', 1)"
        )
        .await,
        "1"
    );
    assert_eq!(
        ask(&client, &format!("select pgq_coop.finish_batch({batch})")).await,
        "0"
    );
    // The last one is gone; what it had was dropped on request, what follows comes to the consumer itself.
    batches(&client, 1).await;
    let own = ask(&client, "select pgq.next_batch('q', 'c')").await;
    assert_eq!(
        ask(
            &client,
            &format!("select ev_data from pgq.get_batch_events({own})")
        )
        .await,
        "0"
    );
    ask(&client, &format!("select pgq.finish_batch({own})")).await;
    // The head takes its members and their retries along.
    ask(
        &client,
        "select pgq_coop.register_subconsumer('q', 'c', 'a')",
    )
    .await;
    batches(&client, 1).await;
    let batch = ask(&client, "select pgq_coop.next_batch('q', 'c', 'b')").await;
    assert_eq!(
        ask(&client, &format!("select pgq.batch_retry({batch}, 0)")).await,
        "1"
    );
    assert_eq!(
        ask(&client, "select pgq.unregister_consumer('q', 'c')").await,
        "3"
    );
    assert_eq!(
        ask(&client, "select count(*) from pgq.retry_queue").await,
        "0"
    );
    assert_eq!(
        ask(&client, "select co_name from pgq.consumer").await,
        "c.x"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_event_of_a_group_comes_back_to_the_group_once() {
    let (_cluster, client) = with_queue().await;
    for worker in ["a", "b"] {
        ask(
            &client,
            &format!("select pgq_coop.register_subconsumer('q', 'c', '{worker}')"),
        )
        .await;
    }
    ask(&client, "select pgq.register_consumer('q', 'other')").await;
    batches(&client, 1).await;
    let batch = ask(&client, "select pgq_coop.next_batch('q', 'c', 'a')").await;
    assert_eq!(
        ask(&client, &format!("select pgq.event_retry({batch}, 1, 0)")).await,
        "1"
    );
    ask(&client, &format!("select pgq_coop.finish_batch({batch})")).await;
    assert_eq!(ask(&client, "select pgq.maint_retry_events()").await, "1");
    ask(&client, "select pgq.ticker('q')").await;
    let batch = ask(&client, "select pgq_coop.next_batch('q', 'c', 'b')").await;
    assert_eq!(
        ask(
            &client,
            &format!("select ev_id, ev_retry, ev_data from pgq.get_batch_events({batch})")
        )
        .await,
        "1 1 0"
    );
    ask(&client, "select pgq.next_batch('q', 'other')").await;
    ask(&client, "select pgq.finish_batch(3)").await;
    ask(&client, "select pgq.next_batch('q', 'other')").await;
    assert_eq!(
        ask(&client, "select count(*) from pgq.get_batch_events(4)").await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_database_remembers_batches_events_and_ticks_exactly_once() {
    let (cluster, client) = with_queue().await;
    for (statement, expected) in [
        ("select pgq_ext.version() ~ '^3[.]'", "t"),
        ("select pgq_ext.is_batch_done('c', 7)", "f"),
        ("select pgq_ext.set_batch_done('c', 7)", "t"),
        ("select pgq_ext.set_batch_done('c', 7)", "f"),
        ("select pgq_ext.is_batch_done('c', 7)", "t"),
        ("select pgq_ext.is_batch_done('c', 8)", "f"),
        ("select pgq_ext.is_batch_done('d', 7)", "f"),
        ("select pgq_ext.set_batch_done('c', 'sub', 7)", "t"),
        ("select pgq_ext.is_batch_done('c', 'sub', 7)", "t"),
        ("select pgq_ext.set_batch_done('c', 8)", "t"),
        ("select pgq_ext.is_batch_done('c', 7)", "f"),
        ("select pgq_ext.is_batch_done('c', 'sub', 7)", "t"),
        ("select pgq_ext.get_last_tick('c')", "null"),
        ("select pgq_ext.set_last_tick('c', 5)", "1"),
        ("select pgq_ext.set_last_tick('c', 'sub', 6)", "1"),
        (
            "select pgq_ext.get_last_tick('c'), pgq_ext.get_last_tick('c', 'sub')",
            "5 6",
        ),
        ("select pgq_ext.set_last_tick('c', 4)", "1"),
        ("select pgq_ext.get_last_tick('c')", "4"),
        ("select pgq_ext.set_last_tick('c', null)", "1"),
        (
            "select pgq_ext.get_last_tick('c'), pgq_ext.get_last_tick('c', 'sub')",
            "null 6",
        ),
        ("select pgq_ext.is_event_done('c', 7, 1)", "f"),
        (
            "select pgq_ext.set_event_done('c', 7, 1), pgq_ext.set_event_done('c', 7, 2)",
            "t t",
        ),
        ("select pgq_ext.set_event_done('c', 7, 1)", "f"),
        ("select pgq_ext.set_event_done('c', 'sub', 7, 1)", "t"),
        (
            "select pgq_ext.is_event_done('c', 7, 1), pgq_ext.is_event_done('c', 7, 3)",
            "t f",
        ),
        ("select pgq_ext.set_event_done('c', 8, 1)", "t"),
        (
            "select pgq_ext.is_event_done('c', 7, 1), pgq_ext.is_event_done('c', 'sub', 7, 1)",
            "f t",
        ),
        ("select count(*) from pgq_ext.completed_event", "2"),
        ("select pgq_ext.upgrade_schema()", "0"),
    ] {
        assert_eq!(ask(&client, statement).await, expected, "{statement}");
    }
    // Two that do the same batch at once: one waits for the other, and is told.
    let other = cluster.connect("postgres").await;
    assert_eq!(
        ask(&client, "begin; select pgq_ext.set_batch_done('c', 9)").await,
        "t"
    );
    let late =
        tokio::spawn(async move { ask(&other, "select pgq_ext.set_batch_done('c', 9)").await });
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    while ask(&client, waits).await == "0" {}
    client.batch_execute("commit").await.unwrap();
    assert_eq!(late.await.unwrap(), "f");
}
