//! A standby: a subscriber whose tables ordinary sessions do not write.

use tests::{Cluster, Node, Replication, Server, Session, wait_until};

use crate::{SOON, fence, operator, sqlstate};

/// The replay's config file with other lines, read again by the daemon.
fn configure(replication: &Replication, from: &str, to: &str) {
    let text = std::fs::read_to_string(&replication.replay.config).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&replication.replay.config, text.replace(from, to)).unwrap();
    replication.replay.run(&["reload"]).ok();
}

fn write(cluster: &Cluster, sql: &str) -> String {
    sqlstate(cluster, "db1", &format!("begin read write; {sql}"))
}

#[test]
fn a_standby_follows_and_takes_no_writes_of_others() {
    let replication = Replication::builder().replay_line("standby = true").running(
        "create table t (id int primary key, v text); insert into t select g, 'a' from generate_series(1, 100) g;
         create table p (id int primary key, v text) partition by range (id);
         create table p_1 partition of p for values from (0) to (100)",
    );
    let standby = &replication.subscribers[0];
    let role = "select concat_ws(' ', role, term) from trunkline.my_role('q1')";
    assert_eq!(replication.on_provider(role), "provider 1");
    assert_eq!(replication.on_subscriber(role), "standby 1");
    for sql in [
        "insert into t values (0)",
        "delete from t",
        "truncate p",
        "insert into p_1 values (1)",
    ] {
        assert_eq!(write(standby, sql), "25006", "{sql}");
    }
    let refused = standby.try_psql("db1", "begin read write; delete from t");
    assert!(
        refused.stderr.contains("Write on the provider."),
        "{}",
        refused.stderr
    );
    assert_eq!(sqlstate(standby, "db1", "create table x (id int)"), "25006");

    // Everything that replay does goes on: changes, TRUNCATE, a copy again, tables and partitions that come.
    replication.on_provider("update t set v = 'b' where id < 50; delete from t where id > 90; insert into p values (5, 'x')");
    replication.sync();
    replication.on_provider("truncate p; insert into p values (6, 'y')");
    replication.replay.run(&["resync", "t", "--swap"]).ok();
    let made = "create table late (id int primary key); create table p_2 partition of p for values from (100) to (200)";
    replication.on_subscriber(&format!("begin read write; {made}; commit"));
    replication.on_provider(made);
    replication.replay.run(&["add", "late"]).ok();
    assert_eq!(write(standby, "insert into late values (1)"), "25006");
    wait_until("the new partition to be closed", SOON, || {
        write(standby, "insert into p_2 values (150)") == "25006"
    });
    replication.on_provider("insert into late values (1); insert into p values (150, 'z')");
    replication.wait_ok();
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();

    // libpq finds the provider, whatever the order.
    for (first, second) in [
        (standby, &replication.provider),
        (&replication.provider, standby),
    ] {
        let conninfo = format!(
            "host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname=db1 target_session_attrs=read-write",
            first.port(),
            second.port()
        );
        let found = tests::run(standby.client("psql", "db1").args([
            "-XAtq",
            "-d",
            &conninfo,
            "-c",
            "show port",
        ]));
        assert_eq!(found.ok().text(), replication.provider.port().to_string());
    }
    let subscriber = Node::new(
        "trunkline",
        &replication.scratch,
        &replication.replay.config,
        "replay1",
    );
    let said = subscriber.run(&["probe", "serve"]).code(1);
    assert_eq!(said.text(), "no: database db1 is standby for queue q1");
    subscriber
        .run(&["probe", "standby", "--max-lag", "60"])
        .ok();
    operator(&replication).run(&["probe", "serve"]).ok();
    // A standby is not fenced, nor unfenced.
    assert_eq!(write(standby, "select trunkline.unfence('q1')"), "55000");

    // An owner who opens a table is told, and the table is closed again.
    replication
        .on_subscriber("begin read write; alter table t disable trigger deny_trunkline; commit");
    wait_until("the table to be closed again", SOON, || {
        write(standby, "delete from t") == "25006"
    });

    // A table that leaves takes writes.
    replication.replay.run(&["remove", "late"]).ok();
    wait_until("the table to be open", SOON, || {
        write(standby, "insert into late values (9)") == "ok"
    });

    // The way back: a plain subscriber.
    configure(&replication, "standby = true", "");
    replication.replay.run(&["install"]).ok();
    assert_eq!(
        replication.on_subscriber("select count(*) from trunkline.role"),
        "0"
    );
    replication.on_subscriber("insert into t values (1000, 'own'); delete from t where id = 1000");
    assert_eq!(
        replication
            .on_subscriber("select count(*) from pg_trigger where tgname = 'deny_trunkline'"),
        "0"
    );
    replication.on_provider("insert into t values (2000, 'c')");
    replication.assert_followed(&[]);
}

#[test]
fn a_plain_subscriber_becomes_a_standby_and_its_provider_can_be_fenced() {
    let replication = Replication::builder()
        .provider(Cluster::builder(&Server::version(18)))
        .subscribers(vec![Cluster::builder(&Server::version(10))])
        .make();
    replication
        .everywhere("create table t (id int primary key); create table u (id int primary key)");
    replication.start();
    replication.add_all();
    let standby = &replication.subscribers[0];
    configure(&replication, "[replay]\n", "[replay]\nstandby = true\n");
    replication.wait_log("standby is set, and the subscriber is none yet");
    assert_eq!(write(standby, "insert into t values (1)"), "ok");
    // A table that somebody has locked is closed later, by the daemon, and holds up no other.
    let holder = Session::holding(
        standby,
        "db1",
        "lock table t in share update exclusive mode",
    );
    let said = replication.replay.run(&["install"]).ok();
    assert!(
        said.stdout.contains("some tables follow"),
        "{}",
        said.stdout
    );
    assert_eq!(write(standby, "insert into u values (1)"), "25006");
    drop(holder);
    wait_until("the table to be closed", SOON, || {
        write(standby, "insert into t values (1)") == "25006"
    });
    // The database's own default is left alone where the config says so, also later.
    let setting = "select count(*) from pg_db_role_setting where setrole = 0";
    assert_eq!(replication.on_subscriber(setting), "1");
    configure(
        &replication,
        "standby = true\n",
        "standby = true\nread_only = false\n",
    );
    replication.replay.run(&["install"]).ok();
    assert_eq!(replication.on_subscriber(setting), "0");
    assert_eq!(write(standby, "insert into t values (1)"), "25006");
    let tick = fence(&operator(&replication));
    crate::wait_tick(&replication, tick);
    operator(&replication).run(&["unfence", "q1"]).ok();
    replication.on_provider("insert into t values (1)");
    replication.assert_followed(&["standby is set, and the subscriber is none yet"]);
}

#[test]
fn a_standby_that_writes_as_an_ordinary_session_or_for_several_is_a_wrong_config() {
    let replication = Replication::builder()
        .replay_line("standby = true\nsession_role = \"origin\"")
        .make();
    replication
        .replay
        .run(&["check-config"])
        .code(2)
        .says(&["standby", "session_role = \"replica\""]);
}

#[test]
fn a_database_that_became_the_provider_gets_nothing_of_the_former_one() {
    let replication = Replication::builder()
        .replay_line("standby = true")
        .running("create table t (id int primary key)");
    // With one host in the config there is nobody to choose: replay stops.
    replication.on_subscriber(
        "begin read write; update trunkline.role set role = 'provider', term = 2; commit",
    );
    replication.replay.run(&["restart"]).ok();
    replication.wait_log("this database is provider for queue q1");
    replication.on_provider("insert into t values (1)");
    // What stands in the log is stored afterwards.
    wait_until("status to say so", SOON, || {
        let status = replication.replay.run(&["status"]).stdout;
        status.contains("stopped") && status.contains("name all hosts of the set")
    });
    assert_eq!(replication.on_subscriber("select count(*) from t"), "0");
    replication.on_subscriber(
        "begin read write; update trunkline.role set role = 'standby', term = 1; commit",
    );
    replication.assert_followed(&["subscriber stopped"]);
}
