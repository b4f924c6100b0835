//! What clients get of a fence: the error 25006 through every way, and a server that libpq passes by.

use tests::{Cluster, Node, Pooler, Replication, Scratch, Session, configure};
use tokio_postgres::error::SqlState;

use crate::{fence, operator, sqlstate};

#[tokio::test]
async fn clients_get_25006_and_find_the_other_server() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    let provider = &replication.provider;
    let driver = provider.connect("db1").await;
    let pooler = Pooler::start(provider, "db1", "session", 5);
    operator.run(&["fence", "q1", "--reason", "new disk"]).ok();

    // A session that was open before.
    let refused = driver
        .execute("insert into t values (1)", &[])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    let answer = refused.as_db_error().unwrap();
    assert!(
        answer
            .message()
            .starts_with("this node takes no writes for queue q1: table public.t"),
        "{answer}"
    );
    assert!(answer.hint().unwrap().contains("new disk"), "{answer}");
    // New ones are read-only, and refused by the trigger if they ask to write.
    for sql in [
        "insert into t values (1)",
        "begin read write; insert into t values (1)",
    ] {
        assert_eq!(sqlstate(provider, "db1", sql), "25006", "{sql}");
    }
    // The pooler lends a session that was open before.
    let pooled = pooler.psql(provider, "db1", "insert into t values (1)");
    pooled.code(1).says(&["takes no writes"]);
    // libpq goes on to the next server, whatever the order.
    let other = &replication.subscribers[0];
    let found = |first: &Cluster, second: &Cluster, attrs: &str| {
        let conninfo = format!(
            "host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname=db1 target_session_attrs={attrs}",
            first.port(),
            second.port()
        );
        let mut psql = provider.client("psql", "db1");
        psql.env_remove("PGOPTIONS");
        tests::run(psql.args(["-XAtq", "-d", &conninfo, "-c", "show port"]))
            .ok()
            .text()
            .to_owned()
    };
    let open = other.port().to_string();
    assert_eq!(found(provider, other, "read-write"), open);
    assert_eq!(found(other, provider, "read-write"), open);
    assert_eq!(
        found(provider, other, "read-only"),
        provider.port().to_string()
    );
    // Our own sessions go on: ticks are made, and the subscriber follows.
    let before = replication.on_provider("select max(tick_id) from pgq.tick");
    replication.on_provider("begin read write; select pgq.force_tick('q1'); commit");
    tests::wait_until("a tick", crate::SOON, || {
        replication.on_provider("select max(tick_id) from pgq.tick") != before
    });
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(
        found(provider, other, "read-write"),
        provider.port().to_string()
    );
    replication.assert_followed(&[]);
}

#[test]
fn a_database_with_another_queue_and_one_with_a_setting_of_its_own_stay_as_they_are() {
    let setting = |cluster: &Cluster| {
        let sql = "select coalesce((select setconfig::text from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
                    where d.datname = 'db1'), '')";
        // A session that the setting does not hold up: it only reads.
        cluster.psql("db1", sql)
    };
    let cluster = Cluster::start();
    cluster.create_db("db1");
    cluster.psql(
        "db1",
        "create table t (id int primary key); create table u (id int primary key)",
    );
    let scratch = Scratch::new();
    let (ticker, _) = configure(&scratch, "db1", &cluster, &[&cluster], "", "");
    ticker.run(&["install"]).ok();
    cluster.psql(
        "db1",
        "select trunkline.create_queue('q2'); select trunkline.add_table('q1', 'c', 'public', 't');
        select trunkline.add_table('q2', 'c', 'public', 'u')",
    );
    let operator = Node::new("trunkline", &scratch, &ticker.config, "ticker1");
    operator.run(&["fence", "q1"]).ok().says(&["another queue"]);
    assert_eq!(setting(&cluster), "");
    assert_eq!(sqlstate(&cluster, "db1", "insert into u values (1)"), "ok");
    assert_eq!(
        sqlstate(&cluster, "db1", "insert into t values (1)"),
        "25006"
    );
    operator.run(&["fence", "q2"]).ok();
    assert_eq!(setting(&cluster), "{default_transaction_read_only=on}");
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(setting(&cluster), "");
    operator.run(&["unfence", "q2"]).ok();
    // What somebody else has set comes back, or stays.
    cluster.psql(
        "db1",
        "alter database db1 set default_transaction_read_only = off",
    );
    operator.run(&["fence", "q1", "--no-read-only"]).ok();
    operator.run(&["fence", "q2"]).ok();
    assert_eq!(setting(&cluster), "{default_transaction_read_only=off}");
    operator.run(&["unfence", "q1"]).ok();
    fence(&operator);
    assert_eq!(setting(&cluster), "{default_transaction_read_only=on}");
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(setting(&cluster), "{default_transaction_read_only=off}");
    let session = Session::new(&cluster, "db1");
    session.ask("alter database db1 set default_transaction_read_only = on");
    operator.run(&["fence", "q1"]).ok();
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(setting(&cluster), "{default_transaction_read_only=on}");
}
