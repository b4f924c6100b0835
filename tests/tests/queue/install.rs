//! Installing: all or nothing, once, over nothing that is somebody else's.

use crate::setup::{PROVIDER, install_provider, number, with_queue};
use sql::install::{Component, install, print_sql};
use tests::{Cluster, Scratch, Server, choose};

const ALL: [Component; 3] = [Component::Pgq, Component::Provider, Component::Subscriber];

#[tokio::test(flavor = "multi_thread")]
async fn a_second_install_changes_nothing() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    assert!(install(&mut client, &ALL).await.unwrap().changed);
    let state = "select string_agg(p.oid || ':' || p.xmin, ',' order by p.oid) from pg_proc p \
                 where pronamespace in ('pgq'::regnamespace, 'trunkline'::regnamespace)";
    let before = crate::setup::value(&client, state).await;
    let node = number(&client, "select node_id from trunkline.node").await;
    let report = install(&mut client, &ALL).await.unwrap();
    assert!(!report.changed, "{report:?}");
    assert_eq!(crate::setup::value(&client, state).await, before);
    assert_eq!(
        number(&client, "select node_id from trunkline.node").await,
        node
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn op_01_a_changed_component_is_upgraded_and_keeps_its_rows() {
    let cluster = Cluster::start();
    let mut client = with_queue(&cluster).await;
    crate::setup::event(&client, "x").await;
    client
        .batch_execute("update trunkline.component set digest = 'older' where name = 'pgq'")
        .await
        .unwrap();
    let report = install_provider(&mut client).await;
    assert!(report.changed);
    assert!(
        report
            .components
            .contains(&("pgq", sql::install::Outcome::Upgraded))
    );
    assert!(
        report
            .components
            .contains(&("provider", sql::install::Outcome::Unchanged))
    );
    assert_eq!(number(&client, "select count(*) from pgq.event_1").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn op_01_an_older_program_refuses_a_newer_database() {
    let cluster = Cluster::start();
    let mut client = with_queue(&cluster).await;
    client
        .batch_execute("update trunkline.component set step = 9999 where name = 'pgq'")
        .await
        .unwrap();
    let error = install(&mut client, &PROVIDER).await.unwrap_err();
    assert!(matches!(error, sql::Error::NewerInstall { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_schema_is_refused_and_nothing_is_left() {
    for (schema, statement) in [
        (
            "pgq",
            "create schema pgq; create table pgq.queue (queue_id int)",
        ),
        ("trunkline", "create schema trunkline"),
    ] {
        let cluster = Cluster::start();
        let mut client = cluster.connect("postgres").await;
        client.batch_execute(statement).await.unwrap();
        let error = install(&mut client, &PROVIDER).await.unwrap_err();
        assert!(matches!(error, sql::Error::ForeignSchema { .. }), "{error}");
        assert_eq!(error.class(), sql::Class::Operator);
        let schemas = "select count(*) from pg_namespace where nspname in ('pgq', 'trunkline')";
        assert_eq!(number(&client, schemas).await, 1, "{schema}");
        let roles = "select count(*) from pg_roles where rolname = 'pgq_admin'";
        assert_eq!(number(&client, roles).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installs_at_once_take_turns() {
    let cluster = Cluster::start();
    cluster.create_db("other");
    let mut one = cluster.connect("postgres").await;
    let mut two = cluster.connect("postgres").await;
    let mut three = cluster.connect("other").await;
    let (one, two, three) = tokio::join!(
        install(&mut one, &PROVIDER),
        install(&mut two, &PROVIDER),
        install(&mut three, &PROVIDER)
    );
    let (one, two) = (one.unwrap().changed, two.unwrap().changed);
    assert!(one != two, "one installs, the other finds it");
    assert!(three.unwrap().changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_script_makes_what_the_install_makes() {
    let cluster = Cluster::start();
    cluster.create_db("printed");
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &ALL).await.unwrap();
    let scratch = Scratch::new();
    let script = scratch.file("install.sql", &print_sql(&ALL).unwrap());
    cluster.psql_file("printed", &script).ok();
    let plain = |dump: String| {
        // pg_dump of late minor versions fences its output with a random word.
        let lines = dump.lines().filter(|line| !line.starts_with("\\"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        plain(cluster.dump_schema("postgres")),
        plain(cluster.dump_schema("printed"))
    );
    let mut printed = cluster.connect("printed").await;
    assert!(!install(&mut printed, &ALL).await.unwrap().changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_came_with_a_dump_are_removed_first() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    client
        .batch_execute("create table t (id int primary key)")
        .await
        .unwrap();
    cluster.create_db("restored");
    let scratch = Scratch::new();
    let dump = scratch.file("dump.sql", &cluster.dump_schema("postgres"));
    cluster.psql_file("restored", &dump).ok();
    let mut restored = cluster.connect("restored").await;
    let report = install(&mut restored, &[Component::Subscriber])
        .await
        .unwrap();
    assert!(report.removed_dump);
    assert_eq!(
        number(&restored, "select count(*) from trunkline.node").await,
        1
    );
    assert_eq!(
        number(
            &restored,
            "select count(*) from pg_namespace where nspname = 'pgq'"
        )
        .await,
        0
    );
    assert_eq!(number(&restored, "select count(*) from public.t").await, 0);
    assert!(
        !install(&mut restored, &[Component::Subscriber])
            .await
            .unwrap()
            .changed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_takes_the_install() {
    for major in choose("versions", Server::majors().collect(), vec![10, 14, 18]) {
        let cluster = Cluster::builder(&Server::version(major)).start();
        let mut client = cluster.connect("postgres").await;
        assert!(install(&mut client, &ALL).await.unwrap().changed, "{major}");
        assert!(
            !install(&mut client, &ALL).await.unwrap().changed,
            "{major}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_may_call_what_he_was_not_granted() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &ALL).await.unwrap();
    client
        .batch_execute(
            "create role nobody login; create role reader login in role pgq_reader; \
             create role writer login in role pgq_writer",
        )
        .await
        .unwrap();
    let open = "select string_agg(distinct p.proname, ' ' order by p.proname) from pg_proc p \
                where p.pronamespace = 'pgq'::regnamespace and has_function_privilege('nobody', p.oid, 'execute')";
    assert_eq!(
        crate::setup::value(&client, open).await.unwrap(),
        "get_consumer_info get_queue_info version"
    );
    let loose = "select count(*) from pg_proc p where p.prosecdef \
                 and p.pronamespace in ('pgq'::regnamespace, 'trunkline'::regnamespace) \
                 and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)";
    assert_eq!(number(&client, loose).await, 0);
    sql::queue::create(&client, "q").await.unwrap();
    let as_writer = "set role writer; select pgq.insert_event('q', 'a', 'b'); reset role";
    client.batch_execute(as_writer).await.unwrap();
    // The session's role counts, so these are sessions of their own.
    let session = |role: &str| {
        let text = cluster
            .conninfo("postgres")
            .replace("user=postgres", &format!("user={role}"));
        async move {
            let (client, connection) = tokio_postgres::connect(&text, tokio_postgres::NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            client
        }
    };
    let reader = session("reader").await;
    assert!(
        sql::queue::consumer::register(&reader, "q", "mine")
            .await
            .unwrap()
    );
    assert!(
        sql::queue::consumer::register(&client, "q", "admins")
            .await
            .unwrap()
    );
    let error = sql::queue::consumer::unregister(&reader, "q", "admins")
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    let error = reader
        .execute("select pgq.next_batch('q', 'admins')", &[])
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    assert!(
        sql::queue::consumer::unregister(&client, "q", "mine")
            .await
            .unwrap()
    );
    assert!(reader.execute("select pgq.ticker('q')", &[]).await.is_err());
}
