//! PgQ itself, as Debian packages it: ticked by our ticker as it is, and taken over.

use std::time::Duration;

use tests::{Cluster, Daemons, Scratch, Session, wait_until};
use tokio_postgres::Client;

use crate::setup::{assert_chain, consume, event, install_provider, number, tick, value};
use crate::ticking::ticker;

const SOON: Duration = Duration::from_secs(120);

/// A server with PgQ, and the ticker's program for its database postgres.
fn with_pgq() -> (Cluster, Scratch, Daemons) {
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    cluster.psql("postgres", "create extension pgq");
    let daemons = ticker(&scratch, &cluster, "postgres", "");
    (cluster, scratch, daemons)
}

/// Waits until PgQ's ticks show an event inserted now.
fn assert_ticks(session: &Session) {
    let event = session.ask("select pgq.insert_event('q', 't', 'x')");
    wait_until("a tick after an event", SOON, || {
        session.ask(&format!(
            "select count(*) > 0 from pgq.tick t, pgq.event_1 e where e.ev_id = {event} \
             and txid_visible_in_snapshot(e.ev_txid, t.tick_snapshot)"
        )) == "t"
    });
}

#[test]
fn our_ticker_ticks_rotates_and_retries_in_pgq_and_outlives_its_replacement() {
    let (cluster, _scratch, daemons) = with_pgq();
    let node = &daemons.0[0];
    let session = Session::new(&cluster, "postgres");
    session.ask(
        "select pgq.create_queue('q'), pgq.create_queue('paused'), pgq.register_consumer('q', 'c')",
    );
    session.ask("select pgq.set_queue_config('paused', 'ticker_paused', 'true')");
    session.ask("update pgq.queue set queue_ticker_max_lag = '0.1 s', queue_ticker_max_count = 1");
    node.run(&["start", "-d"]).ok();
    node.wait_log("ticking queues of PgQ, not of Trunkline");
    assert_ticks(&session);
    // A batch may be empty, if its tick was made just before the event.
    wait_until("an event to be asked for again", SOON, || {
        let batch = session.ask("select pgq.next_batch('q', 'c')");
        if batch.is_empty() {
            return false;
        }
        let asked = session.ask(&format!("select pgq.batch_retry({batch}, 0)"));
        session.ask(&format!("select pgq.finish_batch({batch})"));
        asked == "1"
    });
    wait_until("the event to come back", SOON, || {
        session.ask("select count(*) from pgq.event_1 where ev_owner is not null") == "1"
    });
    wait_until("all to be done", SOON, || {
        let batch = session.ask("select pgq.next_batch('q', 'c')");
        if !batch.is_empty() {
            session.ask(&format!("select pgq.finish_batch({batch})"));
        }
        assert_ticks(&session);
        session.ask("update pgq.queue set queue_rotation_period = '0.1 s'");
        session.ask("select queue_cur_table from pgq.queue where queue_name = 'q'") != "0"
    });
    let status = node.run(&["status", "--json"]).ok();
    let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
    let queues = status["databases"][0]["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 2);
    assert_eq!(queues[1]["error"], serde_json::Value::Null);
    assert!(!node.log().contains("ERROR"), "{}", node.log());

    // FA-24: the extension goes, and comes back as another one, under the running daemon.
    session.ask("drop extension pgq cascade");
    wait_until("the ticker to miss it", SOON, || {
        node.log().contains("not installed")
    });
    install_ours(&cluster);
    session.ask("select trunkline.create_queue('q')");
    assert_ticks(&session);
}

fn install_ours(cluster: &Cluster) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = cluster.connect("postgres").await;
        install_provider(&mut client).await;
    });
}

/// Columns, defaults, keys and storage of the tables of schema pgq that every queue shares.
async fn shape(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "select x.line from ( \
               select format('%s.%s %s null=%s default=%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), \
                             not a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) as line \
                 from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                 left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum \
                where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' and c.relname !~ '^event_[0-9]' \
               union all \
               select format('%s %s', c.relname, pg_get_constraintdef(o.oid)) from pg_constraint o \
                 join pg_class c on c.oid = o.conrelid \
                where c.relnamespace = 'pgq'::regnamespace and c.relname !~ '^event_[0-9]' and o.contype <> 'n' \
               union all \
               select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid \
                where c.relnamespace = 'pgq'::regnamespace and c.relname !~ '^event_[0-9]' \
               union all \
               select format('%s %s', c.relname, c.reloptions) from pg_class c \
                where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' and c.relname !~ '^event_[0-9]' \
               union all \
               select format('%s %s %s', p.oid::regprocedure, l.lanname, p.proconfig) from pg_proc p \
                 join pg_language l on l.oid = p.prolang where p.pronamespace = 'pgq'::regnamespace and p.proname !~ '^_insert_[0-9]' \
             ) x order by 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_over_pgq_keeps_queues_consumers_events_retries_and_rights() {
    let (cluster, _scratch, daemons) = with_pgq();
    let node = &daemons.0[0];
    let client = cluster.connect("postgres").await;
    client
        .batch_execute(
            "select pgq.create_queue('q'), pgq.create_queue('other'); \
             select pgq.register_consumer('q', 'ahead'), pgq.register_consumer('q', 'behind'); \
             create role app; grant execute on function pgq.insert_event(text, text, text) to app with grant option; \
             grant usage on schema pgq to app; \
             update pgq.queue set queue_ticker_max_lag = '1 min' where queue_name = 'other'",
        )
        .await
        .unwrap();
    let pgq_tick = async || {
        client
            .batch_execute("select pgq.force_tick('q')")
            .await
            .unwrap();
        tick(&client).await.unwrap();
    };
    let one = event(&client, "one").await;
    pgq_tick().await;
    let batch = number(&client, "pgq.next_batch('q', 'ahead')").await;
    number(&client, &format!("pgq.event_retry({batch}, {one}, 0)")).await;
    number(&client, &format!("pgq.finish_batch({batch})")).await;
    let two = event(&client, "two").await;
    pgq_tick().await;
    let open_batch = number(&client, "pgq.next_batch('q', 'ahead')").await;
    let late = cluster.connect("postgres").await;
    late.batch_execute("begin").await.unwrap();
    let three = event(&late, "three").await;
    pgq_tick().await;
    let four = event(&client, "four").await;

    node.run(&["install"]).code(3).says(&["--upgrade-from-pgq"]);
    let installing = std::thread::spawn({
        let mut command = node.command(&["install", "--upgrade-from-pgq"]);
        move || tests::run(&mut command)
    });
    // It waits for the transaction that has written events, and nobody waits for it.
    for _ in 0..6 {
        let asked = std::time::Instant::now();
        number(&client, "select count(*) from pgq.queue").await;
        assert!(
            asked.elapsed() < Duration::from_secs(20),
            "{:?}",
            asked.elapsed()
        );
        crate::setup::pause(200).await;
    }
    late.batch_execute("commit").await.unwrap();
    let installed = installing.join().unwrap().ok();
    assert!(
        installed
            .text()
            .contains("installed, with the queues and consumers of PgQ")
    );
    for again in [&["install", "--upgrade-from-pgq"][..], &["install"]] {
        let said = node.run(again).ok();
        assert!(said.text().contains("nothing to do"), "{}", said.text());
    }

    cluster.create_db("fresh");
    let mut fresh = cluster.connect("fresh").await;
    install_provider(&mut fresh).await;
    let (taken, made) = (shape(&client).await, shape(&fresh).await);
    let lacks = |one: &[String], of: &[String]| -> Vec<String> {
        of.iter()
            .filter(|line| !one.contains(line))
            .cloned()
            .collect()
    };
    assert_eq!(lacks(&taken, &made), lacks(&made, &taken));
    assert!(made.len() > 100);
    assert_eq!(
        number(
            &client,
            "select count(*) from pg_extension where extname = 'pgq'"
        )
        .await,
        0
    );
    assert_eq!(
        value(
            &client,
            "select queue_ticker_max_lag from pgq.queue where queue_name = 'other'"
        )
        .await
        .unwrap(),
        "00:01:00"
    );
    client
        .batch_execute("set role app; select pgq.insert_event('other', 't', 'by app'); reset role")
        .await
        .unwrap();
    assert_eq!(
        value(&client, "select has_function_privilege('app', 'pgq.insert_event(text, text, text)', 'execute with grant option')").await.unwrap(),
        "true"
    );

    // The open batch goes on under its number.
    let events = format!("select string_agg(ev_data, ' ') from pgq.get_batch_events({open_batch})");
    assert_eq!(value(&client, &events).await.unwrap(), "two");
    sql::queue::set(&client, "q", "ticker_max_lag", "0")
        .await
        .unwrap();
    assert!(tick(&client).await.is_some());
    assert_eq!(
        sql::queue::maintenance::retry_events(&client)
            .await
            .unwrap(),
        1
    );
    assert!(tick(&client).await.is_some());
    assert_eq!(
        consume(&client, "ahead")
            .await
            .into_iter()
            .collect::<Vec<_>>(),
        [(one, 1), (two, 1), (three, 1), (four, 1)]
    );
    assert_eq!(
        consume(&client, "behind")
            .await
            .into_iter()
            .collect::<Vec<_>>(),
        [(one, 1), (two, 1), (three, 1), (four, 1)]
    );
    assert_chain(&client).await;
    sql::queue::drop(&client, "other", false).await.unwrap();
    for _ in 0..4 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
        crate::setup::rotate(&client).await;
    }
    assert_eq!(consume(&client, "ahead").await.len(), 4);
}

#[test]
fn what_is_called_pgq_and_is_not_pgq3_or_cannot_be_taken_over_is_refused_with_advice() {
    let (cluster, _scratch, daemons) = with_pgq();
    let node = &daemons.0[0];
    let before = || {
        cluster.psql(
            "postgres",
            "select string_agg(oid::text || xmin::text, ',' order by oid) from pg_proc where pronamespace = 'pgq'::regnamespace",
        )
    };
    // A function of somebody's that is bound to a C function which we do not have.
    cluster.psql(
        "postgres",
        "create function pgq.mine() returns trigger language c as '$libdir/pgq_triggers', 'pgq_sqltriga'; \
         create table t (id int primary key); \
         create trigger mine after insert on t for each row execute procedure pgq.mine('q')",
    );
    let there = before();
    node.run(&["install", "--upgrade-from-pgq"])
        .code(3)
        .says(&["pgq.mine()", "trigger mine on table public.t"]);
    assert_eq!(before(), there, "nothing was changed");
    cluster.psql(
        "postgres",
        "drop table t; drop function pgq.mine(); create extension pgq_node",
    );
    node.run(&["install", "--upgrade-from-pgq"]).code(3).says(&[
        "extension pgq_node needs the extension pgq",
        "drop it first",
    ]);
    cluster.psql(
        "postgres",
        "drop extension pgq cascade; create schema pgq; create table pgq.queue (queue_id int)",
    );
    node.run(&["install", "--upgrade-from-pgq"])
        .code(3)
        .says(&["schema pgq is no PgQ 3", "renamed or dropped"]);
    cluster.psql("postgres", "drop schema pgq cascade");
    node.run(&["install", "--upgrade-from-pgq"]).ok();
}
#[test]
fn triggers_of_user_tables_are_bound_to_our_functions_or_named() {
    let (cluster, _scratch, daemons) = with_pgq();
    let node = &daemons.0[0];
    cluster.psql(
        "postgres",
        "select pgq.create_queue('q'); create table t (id int primary key, v text); \
         create trigger queue_t after insert or update or delete on t \
             for each row execute procedure pgq.logutriga('q'); \
         insert into t values (1, 'by C')",
    );
    node.run(&["install", "--upgrade-from-pgq"]).ok();
    cluster.psql("postgres", "insert into t values (2, 'by us')");
    assert_eq!(
        cluster.psql("postgres", "select string_agg(ev_type || ' ' || ev_data || ' ' || ev_extra1, '; ' order by ev_id) from pgq.event_1"),
        "I:id id=1&v=by+C public.t; I:id id=2&v=by+us public.t"
    );
}
