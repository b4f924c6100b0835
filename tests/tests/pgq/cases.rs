//! Cases of the queue by their id, where the comparison with PgQ does not show them.

use tests::{Cluster, Server, choose};

use crate::one::{ask, code, install_queue, try_ask, with_queue};

#[tokio::test(flavor = "multi_thread")]
async fn qu_08_twenty_five_retries_come_back_in_order_to_their_owner_only() {
    let (_cluster, client) = with_queue().await;
    for consumer in ["c", "d"] {
        ask(
            &client,
            &format!("select pgq.register_consumer('q', '{consumer}')"),
        )
        .await;
    }
    ask(
        &client,
        "select pgq.insert_event('q', 't', i::text) from generate_series(1, 25) i",
    )
    .await;
    ask(&client, "select pgq.ticker('q')").await;
    for (consumer, batch) in [("c", 1), ("d", 2)] {
        ask(
            &client,
            &format!("select pgq.next_batch('q', '{consumer}')"),
        )
        .await;
        assert_eq!(
            ask(&client, &format!("select pgq.batch_retry({batch}, 0)")).await,
            "25"
        );
    }
    ask(&client, "select pgq.finish_batch(1), pgq.finish_batch(2)").await;
    // What a consumer wanted again goes with it, and the other's stays.
    assert_eq!(
        ask(&client, "select pgq.unregister_consumer('q', 'd')").await,
        "1"
    );
    assert_eq!(
        ask(&client, "select count(*) from pgq.retry_queue").await,
        "25"
    );
    let calls = ask(
        &client,
        "select string_agg(pgq.maint_retry_events()::text, ' ') from generate_series(1, 4)",
    )
    .await;
    assert_eq!(calls, "10 10 5 0");
    ask(&client, "select pgq.ticker('q')").await;
    ask(&client, "select pgq.next_batch('q', 'c')").await;
    assert_eq!(
        ask(
            &client,
            "select count(*), min(ev_retry), max(ev_retry), bool_and(ev_id::text = ev_data), \
             array_agg(ev_id) = array_agg(ev_id order by ev_id) from pgq.get_batch_events(3)"
        )
        .await,
        "25 1 1 t t"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn qu_09_an_external_ticker_cannot_go_back() {
    let (_cluster, client) = with_queue().await;
    ask(
        &client,
        "select pgq.set_queue_config('q', 'external_ticker', 'true')",
    )
    .await;
    assert_eq!(
        ask(&client, "select pgq.ticker('q', 10, '2020-01-01', 100)").await,
        "10"
    );
    for lower in [10, 9, 1, 0, -5] {
        let tick = format!("select pgq.ticker('q', {lower}, now(), 200)");
        assert_eq!(code(&client, &tick).await, "55000", "{lower}");
    }
    assert_eq!(
        ask(&client, "select pgq.ticker('q', 11, now(), 50)").await,
        "11"
    );
    assert_eq!(
        ask(
            &client,
            "select pgq.seq_getval('pgq.event_1_id_seq'), pgq.seq_getval('pgq.event_1_tick_seq')"
        )
        .await,
        "100 11"
    );
    assert_eq!(
        try_ask(&client, "select pgq.ticker('q')")
            .await
            .unwrap_err(),
        "This queue has external tick source."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn qu_15_a_transaction_does_not_deliver_to_itself_and_loses_nothing() {
    let (_cluster, client) = with_queue().await;
    ask(&client, "select pgq.register_consumer('q', 'c')").await;
    client.batch_execute("begin").await.unwrap();
    ask(&client, "select pgq.insert_event('q', 't', 'mine')").await;
    assert_ne!(ask(&client, "select pgq.ticker('q')").await, "null");
    let batch = ask(&client, "select pgq.next_batch('q', 'c')").await;
    assert_eq!(
        ask(
            &client,
            &format!("select count(*) from pgq.get_batch_events({batch})")
        )
        .await,
        "0"
    );
    ask(&client, &format!("select pgq.finish_batch({batch})")).await;
    client.batch_execute("commit").await.unwrap();
    assert_ne!(ask(&client, "select pgq.ticker('q')").await, "null");
    let batch = ask(&client, "select pgq.next_batch('q', 'c')").await;
    assert_eq!(
        ask(
            &client,
            &format!("select ev_data from pgq.get_batch_events({batch})")
        )
        .await,
        "mine"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn qu_17_a_cursor_gives_a_batch_in_pieces_of_any_size_and_two_are_independent() {
    let (_cluster, client) = with_queue().await;
    ask(&client, "select pgq.register_consumer('q', 'c')").await;
    let all: Vec<String> = (1..=50).map(|number| number.to_string()).collect();
    ask(
        &client,
        "select pgq.insert_event('q', 't', i::text) from generate_series(1, 50) i",
    )
    .await;
    ask(&client, "select pgq.ticker('q')").await;
    ask(&client, "select pgq.next_batch('q', 'c')").await;
    for size in [1, 7, 50, 51, 1000] {
        client.batch_execute("begin").await.unwrap();
        let mut seen = Vec::new();
        let mut part = ask(
            &client,
            &format!("select ev_data from pgq.get_batch_cursor(1, 'cur', {size})"),
        )
        .await;
        ask(
            &client,
            "select ev_data from pgq.get_batch_cursor(1, 'other', 3)",
        )
        .await;
        let fetch = format!("fetch {size} from cur");
        loop {
            seen.extend(
                part.split(' ')
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned),
            );
            let rows = client.simple_query(&fetch).await.unwrap();
            part = rows
                .iter()
                .filter_map(|message| {
                    if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                        row.get("ev_data")
                    } else {
                        None
                    }
                })
                .collect::<Vec<_>>()
                .join(" ");
            if part.is_empty() {
                break;
            }
            // The other one goes on where it was.
            client.batch_execute("fetch 1 from other").await.unwrap();
        }
        assert_eq!(seen, all, "{size}");
        client
            .batch_execute("close cur; close other; rollback")
            .await
            .unwrap();
    }
    // Two conditions, two cursors.
    client.batch_execute("begin").await.unwrap();
    let even = "select count(*) from pgq.get_batch_cursor(1, 'even', 100, 'ev_id % 2 = 0')";
    let odd = "select count(*) from pgq.get_batch_cursor(1, 'odd', 100, 'ev_id % 2 = 1 or ev_type is null')";
    assert_eq!(ask(&client, even).await, "25");
    assert_eq!(ask(&client, odd).await, "25");
}

#[tokio::test(flavor = "multi_thread")]
async fn qu_18_inserts_are_refused_where_disabled_and_above_the_limit_but_for_replicas() {
    let (cluster, client) = with_queue().await;
    let other = cluster.connect("postgres").await;
    let insert = "select pgq.insert_event('q', 't', 'd')";
    let many = "select pgq.insert_events('q', array['t', 't'], array['d', 'd'])";
    ask(&other, insert).await;
    client
        .batch_execute("update pgq.queue set queue_disable_insert = true")
        .await
        .unwrap();
    // Other sessions, too, at once.
    for statement in [insert, many] {
        for session in [&client, &other] {
            assert_eq!(
                try_ask(session, statement).await.unwrap_err(),
                "Insert into queue disallowed"
            );
        }
    }
    other
        .batch_execute("set session_replication_role = replica")
        .await
        .unwrap();
    ask(&other, insert).await;
    ask(&other, many).await;
    other
        .batch_execute("reset session_replication_role")
        .await
        .unwrap();
    client
        .batch_execute("update pgq.queue set queue_disable_insert = false, queue_per_tx_limit = 3")
        .await
        .unwrap();
    let over = "Queue 'q' allows max 3 events from one TX";
    for statement in [
        "select pgq.insert_event('q', 't', 'd') from generate_series(1, 4)",
        "select pgq.insert_events('q', array['a', 'b', 'c', 'd'], array['a', 'b', 'c', 'd'])",
        "begin; select pgq.insert_event('q', 't', 'd'), pgq.insert_event('q', 't', 'd', null, null, null, null); \
         select pgq.insert_events('q', array['a', 'b'], array['a', 'b'])",
    ] {
        assert_eq!(
            try_ask(&other, statement).await.unwrap_err(),
            over,
            "{statement}"
        );
        other.batch_execute("rollback").await.unwrap();
    }
    // What was rolled back does not count, and the next transaction begins anew.
    other
        .batch_execute(
            "begin; select pgq.insert_event('q', 't', 'd') from generate_series(1, 2); savepoint s; \
             select pgq.insert_event('q', 't', 'd'); rollback to s; select pgq.insert_event('q', 't', 'd'); commit; \
             begin; select pgq.insert_event('q', 't', 'd') from generate_series(1, 3); commit",
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cf_02_settings_of_a_queue_are_checked() {
    let (_cluster, client) = with_queue().await;
    for (name, value) in [
        ("ticker_max_lag", "-1 s"),
        ("ticker_max_lag", "2 days"),
        ("ticker_max_lag", "soon"),
        ("ticker_idle_period", "-1 s"),
        ("ticker_max_count", "0"),
        ("ticker_max_count", "-1"),
        ("ticker_max_count", "1000001"),
        ("ticker_max_count", "99999999999"),
        ("ticker_max_count", "1; drop table pgq.queue"),
        ("ticker_max_count", "1, queue_name = 'x'"),
        ("rotation_period", "0"),
        ("rotation_period", "-1 hour"),
        ("rotation_period", "31 days"),
        ("ticker_paused", "perhaps"),
        ("external_ticker", "2"),
        ("name", "x"),
        ("data_pfx", "public.t"),
        ("queue_name", "x"),
        ("ticker_max_lag = '1 s', queue_name", "x"),
        ("nope", "1"),
        ("", ""),
    ] {
        let before = ask(&client, "select q::text from pgq.queue q").await;
        let statement = client
            .execute("select pgq.set_queue_config('q', $1, $2)", &[&name, &value])
            .await;
        assert!(statement.is_err(), "{name} = {value}");
        assert_eq!(
            ask(&client, "select q::text from pgq.queue q").await,
            before
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_go_in_by_one_call_in_their_order() {
    let (_cluster, client) = with_queue().await;
    ask(&client, "select pgq.register_consumer('q', 'c')").await;
    let bulk = "select pgq.insert_events('q', array_agg('t' || i order by i), array_agg(i::text order by i), \
                ev_extra2 := array_agg(nullif(i % 2, 0)::text order by i)) from generate_series(1, 1000) i";
    assert_eq!(ask(&client, bulk).await, "1000");
    assert_eq!(
        ask(&client, "select pgq.insert_events('q', '{}', '{}')").await,
        "0"
    );
    assert_eq!(
        ask(&client, "select pgq.insert_events('q', null, null)").await,
        "0"
    );
    ask(&client, "select pgq.ticker('q')").await;
    ask(&client, "select pgq.next_batch('q', 'c')").await;
    assert_eq!(
        ask(
            &client,
            "select count(*), bool_and(ev_id = ev_data::int and ev_type = 't' || ev_data and ev_extra1 is null \
             and ev_extra2 is not distinct from nullif(ev_id % 2, 0)::text) from pgq.get_batch_events(1)"
        )
        .await,
        "1000 t"
    );
    for (statement, expected) in [
        (
            "select pgq.insert_events('q', array['a'], array['b', 'c'])",
            "2202E",
        ),
        (
            "select pgq.insert_events('q', array['a'], array['b'], array['c', 'd'])",
            "2202E",
        ),
        (
            "select pgq.insert_events('q', array['a', 'trunkline.1.rows'], array['b', 'c'])",
            "42501",
        ),
        (
            "select pgq.insert_events('nope', array['a'], array['b'])",
            "XX000",
        ),
        (
            "select pgq.insert_events(null, array['a'], array['b'])",
            "XX000",
        ),
    ] {
        assert_eq!(code(&client, statement).await, expected, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_event_knows_each_of_many_queues_and_tables_that_were_added_during_a_call() {
    let (cluster, client) = with_queue().await;
    ask(
        &client,
        "select pgq.create_queue('queue ' || i) from generate_series(1, 40) i",
    )
    .await;
    for number in [1, 7, 20, 40] {
        let insert = format!("select pgq.insert_event('queue {number}', 't', '{number}')");
        assert_eq!(ask(&client, &insert).await, "1");
        let table = format!("select ev_data from pgq.event_{}", number + 1);
        assert_eq!(ask(&client, &table).await, number.to_string());
    }
    ask(&client, "select pgq.drop_queue('queue 7')").await;
    assert_eq!(
        try_ask(&client, "select pgq.insert_event('queue 7', 't', 'd')")
            .await
            .unwrap_err(),
        "No such queue"
    );
    // Made by a transaction that is not over: its own events go the long way or the short one, and all arrive.
    client.batch_execute("begin").await.unwrap();
    ask(&client, "select pgq.create_queue('fresh')").await;
    assert_eq!(
        ask(&client, "select pgq.insert_event('fresh', 't', 'd')").await,
        "1"
    );
    client.batch_execute("commit").await.unwrap();
    let other = cluster.connect("postgres").await;
    assert_eq!(
        ask(&other, "select pgq.insert_event('fresh', 't', 'd')").await,
        "2"
    );
    // A table more than the function's text knows, and a second that says so.
    other
        .batch_execute(
            "select pgq.insert_event('q', 't', 'known'); \
             create table pgq.event_1_3 () inherits (pgq.event_1); \
             alter table pgq.queue disable trigger queue_changed; \
             update pgq.queue set queue_ntables = 4, queue_cur_table = 3 where queue_name = 'q'; \
             alter table pgq.queue enable always trigger queue_changed; \
             select set_config('trunkline.q_1', '', false); \
             select pgq.insert_event('q', 't', 'unknown')",
        )
        .await
        .unwrap();
    assert_eq!(
        ask(&client, "select ev_data from pgq.event_1_3").await,
        "unknown"
    );
    // The setting is the session's: what it says leads to a table of the queue or to the long way.
    for forged in ["nonsense", "", "00000000000", "'; drop table t; --"] {
        client
            .execute("select set_config('trunkline.q_1', $1, false)", &[&forged])
            .await
            .unwrap();
        ask(&client, "select pgq.insert_event('q', 't', 'forged')").await;
    }
    assert_eq!(
        ask(
            &client,
            "select count(*) from pgq.event_1 where ev_data = 'forged'"
        )
        .await,
        "4"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_sub_consumers_and_bulk_work_on_every_version() {
    // The first is the version on which the triggers were compared with PgQ's.
    let mut servers = vec![Server::debian15()];
    let others = choose("versions", Server::majors().collect(), vec![10, 13, 18]);
    servers.extend(others.into_iter().map(Server::version));
    let mut written = None;
    for server in servers {
        let major = server.major();
        let cluster = Cluster::builder(&server).start();
        let client = install_queue(&cluster).await;
        client
            .batch_execute(
                "create table t (id int primary key, d date, z timestamptz, p numeric, \"Q q\" text[], b bool); \
                 create trigger a after insert or update or delete on t for each row \
                     execute procedure pgq.logutriga('q', 'backup', 'when=id < 9', 'ev_extra3=d + 1'); \
                 create trigger b after insert or update or delete on t for each row execute procedure pgq.sqltriga('q'); \
                 create trigger c after insert or update or delete on t for each row execute procedure pgq.jsontriga('q'); \
                 create trigger e after truncate on t for each statement execute procedure pgq.sqltriga('q'); \
                 set timezone = 'Asia/Tokyo'; set datestyle = 'german'; \
                 insert into t values (1, '2024-02-03', '2024-02-03 00:00+00', 1.50, array['x y', null], true); \
                 update t set p = null, d = null where id = 1; update t set id = 2; \
                 insert into t (id) values (8), (9); update t set b = false; delete from t where id <> 2; truncate t",
            )
            .await
            .unwrap();
        let events = "select string_agg(concat_ws('|', ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3), E'\\n' \
                      order by ev_id) from pgq.event_1";
        let events = ask(&client, events).await;
        assert_eq!(events.lines().count(), 30, "{events}");
        assert_eq!(
            &events,
            written.get_or_insert_with(|| events.clone()),
            "PostgreSQL {major}"
        );
        assert_eq!(
            ask(
                &client,
                "select current_setting('timezone'), current_setting('datestyle')"
            )
            .await,
            "Asia/Tokyo German, DMY"
        );
        ask(&client, "select pgq.ticker('q')").await;
        ask(
            &client,
            "select pgq_coop.register_subconsumer('q', 'c', 'a')",
        )
        .await;
        assert_eq!(
            ask(
                &client,
                "select pgq.insert_events('q', array['a', 'b'], array['c', 'd'])"
            )
            .await,
            "2"
        );
        ask(&client, "select pgq.ticker('q')").await;
        let batch = ask(
            &client,
            "select pgq_coop.next_batch('q', 'c', 'b', '1 hour')",
        )
        .await;
        assert_eq!(
            ask(
                &client,
                &format!("select ev_type, ev_data from pgq.get_batch_events({batch})")
            )
            .await,
            "a c b d"
        );
        assert_eq!(
            ask(&client, &format!("select pgq_coop.finish_batch({batch})")).await,
            "1"
        );
        assert_eq!(
            ask(&client, "select pgq_ext.set_batch_done('c', 1)").await,
            "t"
        );
        assert_eq!(
            code(&client, "select pgq.insert_event('nope', 'a', 'b')").await,
            "XX000"
        );
    }
}
