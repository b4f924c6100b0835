//! Least privilege: what each role may do, and that no setting or prefix is a way to more.

use sql::install::{Component, install};
use tests::Cluster;
use tokio_postgres::Client;

use crate::one::{ask, code, session, try_ask};

const EVERYTHING: [Component; 6] = [
    Component::Pgq,
    Component::Coop,
    Component::Ext,
    Component::Provider,
    Component::Subscriber,
    Component::Member,
];

/// All our schemas.
const OURS: &str = "('pgq', 'pgq_coop', 'pgq_ext', 'trunkline')";

async fn lint(client: &Client, when: &str) {
    let loose = format!(
        "select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p \
           join pg_namespace n on n.oid = p.pronamespace \
          where n.nspname in {OURS} and p.prosecdef \
            and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)"
    );
    assert_eq!(ask(client, &loose).await, "", "{when}: search_path");
    let open = format!(
        "select coalesce(string_agg(p.oid::regprocedure::text, ', ' order by p.oid), '') from pg_proc p \
           join pg_namespace n on n.oid = p.pronamespace \
          cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a \
          where n.nspname in {OURS} and a.grantee = 0 and p.proname <> 'version' and p.proname !~ '^get_.*_info$' \
            and p.oid::regprocedure::text not in ('trunkline.my_role(text)', 'trunkline.serves(text)')"
    );
    assert_eq!(ask(client, &open).await, "", "{when}: open functions");
    let create = format!(
        "select coalesce(string_agg(n.nspname, ', '), '') from pg_namespace n cross join aclexplode(n.nspacl) a \
          where n.nspname in {OURS} and a.grantee <> n.nspowner and a.privilege_type = 'CREATE'"
    );
    assert_eq!(ask(client, &create).await, "", "{when}: CREATE on a schema");
    let write = format!(
        "select coalesce(string_agg(c.relname || ' ' || a.privilege_type, ', '), '') from pg_class c \
           join pg_namespace n on n.oid = c.relnamespace \
          cross join lateral (select * from aclexplode(c.relacl) union all \
                select x.* from pg_attribute b cross join aclexplode(b.attacl) x where b.attrelid = c.oid) a \
          where n.nspname in {OURS} and a.grantee <> c.relowner and a.privilege_type not in ('SELECT') \
            and a.grantee <> (select r.oid from pg_roles r where r.rolname = 'pgq_admin')"
    );
    assert_eq!(ask(client, &write).await, "", "{when}: writes");
    let names = "select has_column_privilege('pgq_admin', 'pgq.queue', 'queue_data_pfx', 'update') \
                     or has_column_privilege('pgq_admin', 'pgq.queue', 'queue_event_seq', 'update') \
                     or has_column_privilege('pgq_admin', 'pgq.queue', 'queue_tick_seq', 'update') \
                     or has_table_privilege('pgq_admin', 'pgq.queue', 'insert')";
    assert_eq!(ask(client, names).await, "f", "{when}: names of tables");
}

#[tokio::test(flavor = "multi_thread")]
async fn se_01_the_catalog_of_all_our_schemas_is_clean() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &EVERYTHING).await.unwrap();
    lint(&client, "after the install").await;
    client
        .batch_execute(
            "select pgq.create_queue('q'); select pgq.create_queue('r'); create table t (id int primary key); \
             select pgq.register_consumer('q', 'c')",
        )
        .await
        .unwrap();
    lint(&client, "after a queue").await;
    client
        .batch_execute(
            "create table of_another (id int primary key); create role another; alter table of_another owner to another; \
             select trunkline.add_table('q', 'c', 'public', 't'), trunkline.add_table('q', 'c', 'public', 'of_another'); \
             insert into t values (1)",
        )
        .await
        .unwrap();
    let readers = "select count(*) from pg_proc where proowner = 'another'::regrole and prosecdef";
    assert_eq!(ask(&client, readers).await, "2");
    lint(&client, "after a table").await;
    client
        .batch_execute(
            "update pgq.queue set queue_switch_time = now() - interval '1 year', queue_disable_insert = true; \
             select pgq.maint_rotate_tables_step1('q'); select pgq.drop_queue('r', true); select pgq.upgrade_schema()",
        )
        .await
        .unwrap();
    lint(&client, "after a rotation").await;
    // The subscriber's side alone.
    cluster.create_db("subscriber");
    let mut client = cluster.connect("subscriber").await;
    install(
        &mut client,
        &[Component::Pgq, Component::Provider, Component::Subscriber],
    )
    .await
    .unwrap();
    lint(&client, "on a subscriber").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn se_04_an_application_without_rights_is_captured_and_can_do_nothing_else() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &EVERYTHING).await.unwrap();
    client
        .batch_execute(
            "create role app login; create table t (id int primary key, v text); \
             grant select, insert, update, delete, truncate on t to app; \
             select pgq.create_queue('q'); select pgq.register_consumer('q', 'c'); \
             select trunkline.add_table('q', 'c', 'public', 't')",
        )
        .await
        .unwrap();
    let app = session(&cluster, "postgres", "app").await;
    app.batch_execute(
        "insert into t values (1, 'a'); update t set v = 'b'; delete from t; insert into t values (2, 'c'); truncate t",
    )
    .await
    .unwrap();
    let captured = "select count(*) from pgq.event_1 where ev_type in ('trunkline.1.rows', 'trunkline.1.truncate')";
    assert_eq!(ask(&client, captured).await, "5");
    for attempt in [
        "select * from pgq.event_1",
        "select * from pgq.event_1_0",
        "select * from pgq.event_template",
        "select * from pgq.retry_queue",
        "insert into pgq.event_1_0 (ev_id, ev_time, ev_type) values (1, now(), 'x')",
        "update pgq.event_1 set ev_data = 'x'",
        "delete from pgq.event_1",
        "truncate pgq.event_1_0",
        "update pgq.queue set queue_disable_insert = true",
        "delete from pgq.subscription",
        "insert into pgq.tick (tick_queue, tick_id, tick_event_seq) values (1, 99, 1)",
        "select nextval('pgq.event_1_id_seq')",
        "select pgq.insert_event('q', 'x', 'y')",
        "select pgq.insert_event('q', 'x', 'y', null, null, null, null)",
        "select pgq.insert_events('q', array['x'], array['y'])",
        "select pgq.insert_event_raw('q', null, null, null, null, 'x', 'y', null, null, null, null)",
        "select pgq._insert_1('x', 'y', null, null, null, null)",
        "select pgq._make_insert(1)",
        "select pgq._make_insert_event()",
        "select pgq._set_position(s, 1, null, null) from pgq.subscription s",
        "select pgq.current_event_table('q')",
        "select pgq.ticker('q')",
        "select pgq.ticker()",
        "select pgq.force_tick('q')",
        "select pgq.next_batch('q', 'c')",
        "select pgq.finish_batch(1)",
        "select pgq.register_consumer('q', 'mine')",
        "select pgq.unregister_consumer('q', 'c')",
        "select pgq.event_retry(1, 1, 1)",
        "select pgq.get_batch_events(1)",
        "select pgq.batch_event_sql(1)",
        "select pgq.create_queue('mine')",
        "select pgq.drop_queue('q', true)",
        "select pgq.set_queue_config('q', 'ticker_paused', '1')",
        "select pgq.maint_rotate_tables_step1('q')",
        "select pgq_coop.next_batch('q', 'c', 's')",
        "select pgq_coop.register_subconsumer('q', 'c', 's')",
        "select pgq_ext.set_last_tick('c', 1)",
        "insert into pgq_ext.completed_tick values ('c', '', 1)",
        "create table pgq.mine (id int)",
        "create function pgq.mine() returns int language sql as 'select 1'",
    ] {
        assert_eq!(code(&app, attempt).await, "42501", "{attempt}");
    }
    // A trigger of PgQ's kind inserts as the writer, who needs pgq_writer, as in PgQ.
    client
        .batch_execute(
            "create table u (id int primary key); grant all on u to app; create trigger u after insert on u \
             for each row execute procedure pgq.logutriga('q')",
        )
        .await
        .unwrap();
    assert_eq!(code(&app, "insert into u values (1)").await, "42501");
    client
        .batch_execute("grant pgq_writer to app")
        .await
        .unwrap();
    let app = session(&cluster, "postgres", "app").await;
    app.batch_execute("insert into u values (1)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_moved_finished_and_dropped_by_its_role_or_an_admin_only() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &EVERYTHING).await.unwrap();
    client
        .batch_execute(
            "create role one login in role pgq_reader; create role two login in role pgq_reader; \
             create role three login in role one; create role boss login in role pgq_admin; \
             select pgq.create_queue('q'); select pgq.set_queue_config('q', 'ticker_max_lag', '0')",
        )
        .await
        .unwrap();
    let one = session(&cluster, "postgres", "one").await;
    let two = session(&cluster, "postgres", "two").await;
    let three = session(&cluster, "postgres", "three").await;
    let boss = session(&cluster, "postgres", "boss").await;
    ask(&one, "select pgq.register_consumer('q', 'c')").await;
    ask(
        &one,
        "select pgq_coop.register_subconsumer('q', 'group', 'w')",
    )
    .await;
    ask(&client, "select pgq.insert_event('q', 't', 'd')").await;
    ask(&boss, "select pgq.ticker('q')").await;
    let batch = ask(&one, "select pgq.next_batch('q', 'c')").await;
    let work = ask(&one, "select pgq_coop.next_batch('q', 'group', 'w')").await;
    for attempt in [
        "select pgq.next_batch('q', 'c')".to_owned(),
        "select pgq.next_batch_custom('q', 'c', null, null, null)".to_owned(),
        format!("select pgq.finish_batch({batch})"),
        format!("select pgq.event_retry({batch}, 1, 1)"),
        format!("select pgq.batch_retry({batch}, 1)"),
        "select pgq.register_consumer_at('q', 'c', 1)".to_owned(),
        "select pgq.unregister_consumer('q', 'c')".to_owned(),
        "select pgq.unregister_consumer('q', 'group')".to_owned(),
        "select pgq.unregister_consumer('q', 'group.w')".to_owned(),
        "select pgq_coop.register_subconsumer('q', 'group', 'mine')".to_owned(),
        "select pgq_coop.register_subconsumer('q', 'c', 'mine')".to_owned(),
        "select pgq_coop.next_batch('q', 'group', 'w')".to_owned(),
        "select pgq_coop.next_batch('q', 'group', 'mine')".to_owned(),
        "select pgq_coop.next_batch('q', 'group', 'mine', '0')".to_owned(),
        format!("select pgq_coop.finish_batch({work})"),
        "select pgq_coop.unregister_subconsumer('q', 'group', 'w', 1)".to_owned(),
        // Another way to the session's role is none.
        "set role one".to_owned(),
    ] {
        assert_eq!(code(&two, &attempt).await, "42501", "{attempt}");
    }
    // Its members and admins may.
    assert_eq!(ask(&three, "select pgq.next_batch('q', 'c')").await, batch);
    assert_eq!(
        ask(&boss, &format!("select pgq.finish_batch({batch})")).await,
        "1"
    );
    assert_eq!(
        ask(&three, &format!("select pgq_coop.finish_batch({work})")).await,
        "1"
    );
    assert_eq!(
        ask(&boss, "select pgq.unregister_consumer('q', 'group')").await,
        "2"
    );
    assert_eq!(
        ask(&one, "select pgq.unregister_consumer('q', 'c')").await,
        "1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_of_the_queue_is_no_way_to_the_owners_rights() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &EVERYTHING).await.unwrap();
    client
        .batch_execute(
            "create role boss login in role pgq_admin; create table secret (ev_id bigint, v text); \
             insert into secret values (1, 'secret'); select pgq.create_queue('q')",
        )
        .await
        .unwrap();
    let boss = session(&cluster, "postgres", "boss").await;
    for attempt in [
        "update pgq.queue set queue_data_pfx = 'public.secret'",
        "update pgq.queue set queue_event_seq = 'public.secret'",
        "update pgq.queue set queue_tick_seq = 'x'",
        "update pgq.queue set queue_ntables = 5",
        "insert into pgq.queue (queue_name, queue_data_pfx, queue_event_seq, queue_tick_seq) values ('x', 'a', 'b', 'c')",
        "delete from pgq.queue",
        "truncate pgq.event_1_0",
        "create function pgq.mine() returns int language sql as 'select 1'",
        "select pgq._make_insert(1)",
        "alter table pgq.queue disable trigger all",
    ] {
        assert_eq!(code(&boss, attempt).await, "42501", "{attempt}");
    }
    // What PgQ's admins change by hand, they can, and it holds at once.
    boss.batch_execute("update pgq.queue set queue_per_tx_limit = 1")
        .await
        .unwrap();
    let two = "select pgq.insert_event('q', 't', i::text) from generate_series(1, 2) i";
    assert!(
        try_ask(&boss, two)
            .await
            .unwrap_err()
            .contains("allows max 1 events")
    );
    // A queue's extra maintenance runs functions of maintenance only: others are not listed, least of all those that
    // run their argument, as trunkline.ask_N does.
    boss.batch_execute(
        "update pgq.queue set queue_extra_maint = array['public.evil', 'pgq.maint_more', 'pgq.drop_queue', 'trunkline.ask_1', 'pgq_node.none', 'pg_catalog.pg_sleep', \
         'pgq.\"odd name\"', 'pgq.maint_more(); drop table secret', 'PGQ.Evil', 'evil', null]",
    )
    .await
    .unwrap();
    let listed = "select string_agg(func_name, ' ') from pgq.maint_operations() where func_name !~ '^pgq.maint_(rot|rec|trunc|ret)'";
    assert_eq!(ask(&boss, listed).await, "pgq.maint_more");
    // Names of queues and consumers are data wherever they go.
    let name = "x'); drop table secret; --\"$$ {0}%s";
    let made = client
        .query_one(
            "select pgq.create_queue($1), pgq.register_consumer($1, $1)",
            &[&name],
        )
        .await
        .unwrap();
    assert_eq!(made.get::<_, i32>(0), 1);
    let row = client
        .query_one("select pgq.insert_event($1, 't', 'd')", &[&name])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    client
        .execute("select pgq.drop_queue($1, true)", &[&name])
        .await
        .unwrap();
    assert_eq!(ask(&client, "select count(*) from secret").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_of_a_cursor_runs_with_the_callers_rights() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &EVERYTHING).await.unwrap();
    client
        .batch_execute(
            "create role reader login in role pgq_reader; create table secret (v text); \
             insert into secret values ('secret'); grant create on schema public to reader; \
             select pgq.create_queue('q'); select pgq.set_queue_config('q', 'ticker_max_lag', '0')",
        )
        .await
        .unwrap();
    let reader = session(&cluster, "postgres", "reader").await;
    ask(&reader, "select pgq.register_consumer('q', 'c')").await;
    ask(&client, "select pgq.insert_event('q', 't', 'd')").await;
    ask(&client, "select pgq.ticker('q')").await;
    let batch = ask(&reader, "select pgq.next_batch('q', 'c')").await;
    let with = |condition: &str| {
        format!("select count(*) from pgq.get_batch_cursor({batch}, 'c', 10, $w${condition}$w$)")
    };
    reader.batch_execute("begin").await.unwrap();
    assert_eq!(ask(&reader, &with("true")).await, "1");
    reader.batch_execute("rollback").await.unwrap();
    reader
        .batch_execute(
            "create function public.who() returns text language sql as 'select current_user::text'",
        )
        .await
        .unwrap();
    for (condition, expected) in [
        ("exists (select from secret)", "42501"),
        ("pg_read_file('/etc/hostname') <> ''", "42501"),
        ("public.who() = 'reader'", ""),
        ("public.who() <> 'reader'", "none"),
    ] {
        reader.batch_execute("begin").await.unwrap();
        match expected {
            "" => assert_eq!(ask(&reader, &with(condition)).await, "1", "{condition}"),
            "none" => assert_eq!(ask(&reader, &with(condition)).await, "0", "{condition}"),
            denied => assert_eq!(code(&reader, &with(condition)).await, denied, "{condition}"),
        }
        reader.batch_execute("rollback").await.unwrap();
    }
}
