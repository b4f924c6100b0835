//! Connections to real servers: which host, which password, which settings, and their end.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use tests::{Cluster, Scratch, Server, choose, wait_until};

fn name() -> ApplicationName {
    ApplicationName::new(Purpose::Status, "j")
}

fn info(text: &str) -> ConnectInfo {
    text.parse().unwrap()
}

async fn show(session: &Session, setting: &str) -> String {
    session
        .query_one("select pg_catalog.current_setting($1)", &[&setting])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn every_session_has_the_same_settings_whatever_the_role_and_the_database_say() {
    for major in choose("versions", Server::majors().collect(), vec![10, 18]) {
        let cluster = Cluster::builder(&Server::version(major)).start();
        cluster.psql(
            "postgres",
            "alter role postgres set datestyle = 'german'; alter role postgres set timezone = 'Asia/Kabul';
             alter role postgres set search_path = public; alter role postgres set bytea_output = 'escape';
             alter role postgres set extra_float_digits = 0; alter role postgres set statement_timeout = '7s';
             alter database postgres set default_transaction_isolation = 'serializable';
             alter database postgres set lock_timeout = '9s'; alter role postgres set client_encoding = 'latin1'",
        );
        if major >= 17 {
            cluster.psql(
                "postgres",
                "alter role postgres set transaction_timeout = '5s'",
            );
        }
        if major >= 14 {
            cluster.psql(
                "postgres",
                "alter role postgres set idle_session_timeout = '5s'",
            );
        }
        let session = info(&cluster.conninfo("postgres"))
            .connect(&ApplicationName::new(Purpose::Apply, "j"))
            .await
            .unwrap();
        for (setting, expected) in [
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("search_path", "pg_catalog, pg_temp"),
            ("bytea_output", "hex"),
            ("extra_float_digits", "3"),
            ("statement_timeout", "0"),
            ("lock_timeout", "0"),
            ("default_transaction_isolation", "read committed"),
            ("client_encoding", "UTF8"),
            ("application_name", "trunkline apply j"),
        ] {
            assert_eq!(
                show(&session, setting).await,
                expected,
                "{setting} on {major}"
            );
        }
        if major >= 17 {
            assert_eq!(show(&session, "transaction_timeout").await, "0");
        }
        if major >= 14 {
            assert_eq!(show(&session, "idle_session_timeout").await, "0");
        }
    }
}

#[tokio::test]
async fn notifications_arrive_while_nobody_looks_and_end_with_the_connection() {
    let cluster = Cluster::start();
    let mut listener = info(&cluster.conninfo("postgres"))
        .connect(&ApplicationName::new(Purpose::Listen, "j"))
        .await
        .unwrap();
    listener
        .batch_execute("listen trunkline_tick")
        .await
        .unwrap();
    cluster.psql("postgres", "notify trunkline_tick, 'q1'");
    let first = listener.notification().await.unwrap();
    assert_eq!((first.channel(), first.payload()), ("trunkline_tick", "q1"));
    cluster.psql(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trunkline listen j'",
    );
    assert!(listener.notification().await.is_none());
    assert!(listener.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_session_leaves_the_server_even_in_the_middle_of_a_statement() {
    let cluster = Cluster::start();
    let gone = |name: &str| {
        let sql = format!(
            "select count(*) from pg_stat_activity where application_name = 'trunkline status {name}'"
        );
        wait_until("the session's end", Duration::from_secs(120), || {
            cluster.psql("postgres", &sql) == "0"
        });
    };
    let idle = info(&cluster.conninfo("postgres"))
        .connect(&ApplicationName::new(Purpose::Status, "idle"))
        .await
        .unwrap();
    drop(idle);
    gone("idle");
    // 13 has no client_connection_check_interval; a server of 14 notices a dead client by it.
    let busy = info(&cluster.conninfo("postgres"))
        .connect(&ApplicationName::new(Purpose::Status, "busy"))
        .await
        .unwrap();
    busy.batch_execute("set client_connection_check_interval = '100ms'")
        .await
        .unwrap();
    let statement = busy.batch_execute("select pg_sleep(600)");
    let _ = tokio::time::timeout(Duration::from_millis(300), statement).await;
    drop(busy);
    gone("busy");
}

#[tokio::test]
async fn se_17_a_password_comes_from_the_string_or_a_private_file_and_is_never_shown() {
    let cluster = Cluster::builder(&Server::debian15())
        .host_auth("scram-sha-256")
        .start();
    cluster.psql("postgres", "alter role postgres password 'hunter2'");
    let base = cluster.conninfo("postgres");
    info(&format!("{base} password=hunter2"))
        .connect(&name())
        .await
        .unwrap();

    let wrong = info(&format!("{base} password=swordfish"));
    let error = wrong.connect(&name()).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "28P01");
    assert!(error.hint().unwrap().contains("password"));
    for text in [format!("{error} {error:?}"), format!("{wrong} {wrong:?}")] {
        assert!(!text.contains("swordfish"), "{text}");
    }
    let message = error.to_string();
    let place = format!("host 127.0.0.1, port {}", cluster.port());
    for part in [
        "database postgres",
        "as postgres",
        &place,
        "password authentication failed",
    ] {
        assert!(message.contains(part), "{message}");
    }

    let scratch = Scratch::new();
    let line = format!("127.0.0.1:{}:postgres:postgres:hunter2\n", cluster.port());
    let file = scratch.file("pgpass", &line);
    let with_file = info(&format!("{base} passfile={}", file.display()));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    with_file.connect(&name()).await.unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let error = with_file.connect(&name()).await.unwrap_err();
    assert!(error.to_string().contains("password missing"), "{error}");
    assert!(error.hint().unwrap().contains("PGPASSFILE"));
}

#[tokio::test]
async fn hosts_are_tried_in_turn_and_all_are_named_when_none_answers() {
    let (one, two) = (Cluster::start(), Cluster::start());
    let ports = format!("{},{}", one.port(), two.port());
    let both = format!("host=127.0.0.1,127.0.0.1 port={ports} user=postgres dbname=postgres");
    one.psql(
        "postgres",
        "alter role postgres set default_transaction_read_only = on",
    );
    let port = |session: Session| async move { show(&session, "port").await };
    let any = info(&both).connect(&name()).await.unwrap();
    assert_eq!(port(any).await, one.port().to_string());
    let writable = format!("{both} target_session_attrs=read-write");
    let session = info(&writable).connect(&name()).await.unwrap();
    assert_eq!(port(session).await, two.port().to_string());
    let standby = format!("{both} target_session_attrs=standby");
    let error = info(&standby)
        .connect(&name())
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error.matches("not a standby server").count(), 2, "{error}");
    let socket = info(&two.socket_conninfo("postgres"))
        .connect(&name())
        .await
        .unwrap();
    assert_eq!(port(socket).await, two.port().to_string());
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let started = Instant::now();
    let silent = info(&format!(
        "host=127.0.0.1 port={port} user=u connect_timeout=2"
    ));
    let error = silent.connect(&name()).await.unwrap_err().to_string();
    assert!(error.contains("no answer within 2 s"), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_pool_gives_sessions_with_fresh_settings() {
    let cluster = Cluster::start();
    let pool = info(&cluster.conninfo("postgres"))
        .pool(&ApplicationName::new(Purpose::CopyIn, "j"), 1, &[])
        .unwrap();
    let client = pool.get().await.unwrap();
    client
        .batch_execute("set timezone = 'Asia/Kabul'; set lock_timeout = '3s'")
        .await
        .unwrap();
    drop(client);
    let client = pool.get().await.unwrap();
    let row = client
        .query_one(
            "select current_setting('TimeZone'), current_setting('lock_timeout')",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1)), ("UTC", "0"));
    // Two at once share one connection only in turn, and a dead one is replaced.
    cluster.psql(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%copy-in%'",
    );
    drop(client);
    let client = pool.get().await.unwrap();
    client.batch_execute("select 1").await.unwrap();
}
