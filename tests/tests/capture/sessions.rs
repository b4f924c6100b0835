//! Who writes: roles with no right of ours, hostile search paths, replica sessions, forged settings, stale choices.

use tests::ask;

use crate::provider::{Provider, refused};

#[tokio::test]
async fn a_role_with_rights_on_the_table_alone_is_captured_and_can_do_nothing_else() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v text); create role app login; grant insert, update, delete, truncate, select on t to app").await;
    p.add("t").await;
    let app = p.cluster.connect("p").await;
    app.batch_execute(
        "set session authorization app;
         create temp table newt (id int); create temp table pgq (id int); create temp table event_1_0 (ev_id int);
         set search_path = pg_temp, public",
    )
    .await
    .unwrap();
    app.batch_execute("insert into public.t values (1, 'a'), (2, 'b')")
        .await
        .unwrap();
    app.batch_execute(
        "update public.t set v = 'c' where id = 1; delete from public.t where id = 2",
    )
    .await
    .unwrap();
    app.batch_execute(
        "do $$ begin update public.t set id = 7; update public.t set v = 'x'; end $$",
    )
    .await
    .unwrap();
    p.check("app").await;
    app.batch_execute("truncate public.t").await.unwrap();
    p.check("truncate").await;
    for attempt in [
        "select * from pgq.event_1",
        "select * from trunkline.captured",
        "insert into pgq.event_1_0 (ev_id, ev_time) values (1, now())",
        "select trunkline.put_1('trunkline.1.rows', 'public.t', '1', 'insert', '(1,a)')",
        "select trunkline.make_put(1)",
        "select trunkline.add_table('q', 'job', 'public', 't')",
        "select trunkline.remove_table('q', 'job', 'public', 't')",
        "select trunkline.log_shape(1, '{}', null, false)",
    ] {
        assert_eq!(refused(&app, attempt).await.0, "42501", "{attempt}");
    }
    let trap = format!(
        "create temp table trap (id int); create trigger x after insert on trap execute procedure trunkline.capture_{}_truncate()",
        p.ask("select 't'::regclass::oid").await
    );
    assert_eq!(
        refused(&app, &trap).await.0,
        "42501",
        "our functions cannot be hung on other tables"
    );
}

#[tokio::test]
async fn every_definer_function_pins_its_search_path_and_is_closed_to_the_public() {
    let p = Provider::start().await;
    p.run("create table t (id int primary key, at timestamptz)")
        .await;
    p.add("t").await;
    let open = "select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p
        where p.pronamespace = 'trunkline'::regnamespace
          and ((p.prosecdef and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false))
            or (p.proname <> 'capture_mode' and has_function_privilege('public', p.oid, 'execute')))";
    p.run("create role nobody").await;
    assert_eq!(
        p.ask(&open.replace("'public', p.oid", "'nobody', p.oid"))
            .await,
        ""
    );
}

#[tokio::test]
async fn replica_sessions_are_not_captured() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key)").await;
    p.add("t").await;
    p.events().await;
    p.run("set session_replication_role = replica; insert into t values (1); update t set id = 2; truncate t; reset session_replication_role").await;
    assert_eq!(p.events().await, []);
}

#[tokio::test]
async fn forged_settings_and_stale_choices_lose_nothing() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v int)").await;
    p.add("t").await;
    p.events().await;
    let oid = p.ask("select 't'::regclass::oid").await;
    let second = "left(encode(timestamptz_send(statement_timestamp()), 'hex'), 11)";
    for (id, forged) in [
        "''".to_owned(),
        "'x'".to_owned(),
        format!("{second} || '7'"),
        format!("{second} || '2'"),
        format!("{second} || '; drop'"),
    ]
    .into_iter()
    .enumerate()
    {
        p.run(&format!(
            "select set_config('trunkline.q_1', {forged}, false); insert into t values ({id}, 0)"
        ))
        .await;
        p.run(&format!("select set_config('trunkline.m_{oid}', {forged}, false); update t set v = v + 1 where id = {id}")).await;
        p.check(&forged).await;
    }
    p.run("begin; insert into t values (100, 0); reset all; update t set v = 5 where id = 100; commit").await;
    p.check("reset all").await;
    // A rotation: the session follows within a second or two, and readers look everywhere in between.
    p.run("update pgq.queue set queue_cur_table = 1").await;
    p.run("insert into t values (200, 0)").await;
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    p.run("insert into t values (201, 0)").await;
    p.check("rotation").await;
    assert!(
        p.ask("select count(*) from pgq.event_1_1")
            .await
            .parse::<i32>()
            .unwrap()
            > 0
    );
    // A queue that got a table more than the functions know.
    p.run("create table pgq.event_1_3 () inherits (pgq.event_1); update pgq.queue set queue_ntables = 4, queue_cur_table = 3").await;
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    p.run("insert into t values (300, 0)").await;
    p.run("insert into t values (301, 0), (302, 0)").await;
    p.check("a table more").await;
    assert_eq!(p.ask("select count(*) from pgq.event_1_3").await, "2");
}

#[tokio::test]
async fn an_error_leaves_the_writers_session_as_it_was() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, at timestamptz, iv interval)")
        .await;
    p.add("t").await;
    p.run(
        "set datestyle = 'German'; set intervalstyle = 'iso_8601'; set timezone = 'Asia/Kolkata';
         create function fail() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
         create trigger zz after insert on t for each statement when (pg_trigger_depth() = 0) execute procedure fail()",
    )
    .await;
    refused(&p.client, "insert into t values (1, now(), '1 day')").await;
    for (name, value) in [
        ("datestyle", "German, DMY"),
        ("intervalstyle", "iso_8601"),
        ("timezone", "Asia/Kolkata"),
        ("enable_seqscan", "on"),
        ("enable_hashagg", "on"),
    ] {
        assert_eq!(p.ask(&format!("show {name}")).await, value);
    }
    p.run("drop trigger zz on t; insert into t values (1, now(), '1 day'), (2, now(), '2 days')")
        .await;
    p.check("after it").await;
}

#[tokio::test]
async fn concurrent_writers_log_in_the_order_of_the_row_locks() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 5) i").await;
    p.run("create table keep as select * from t; truncate t")
        .await;
    p.add("t").await;
    p.run("insert into t select * from keep").await;
    p.check_claims = false;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let client = p.cluster.connect("p").await;
        writers.spawn(async move {
            for round in 0..150 {
                let (a, b) = ((writer + round) % 5 + 1, (writer * 7 + round * 3) % 5 + 1);
                let sql = match round % 4 {
                    0 => format!("update t set v = v + 1 where id in ({a}, {b})"),
                    1 => format!("delete from t where id = {a}"),
                    2 => format!("insert into t values ({a}, {round}) on conflict (id) do update set v = t.v + 1"),
                    _ => format!("begin; update t set v = {round} where id = {b}; delete from t where id = {a}; insert into t values ({a}, 1); commit"),
                };
                if client.batch_execute(&sql).await.is_err() {
                    let _ = client.batch_execute("rollback").await;
                }
            }
        });
    }
    writers.join_all().await;
    p.check("six writers").await;
    assert_eq!(
        ask(&p.client, "select count(*) > 500 from pgq.event_1").await,
        "t"
    );
}
