//! A database that was restored elsewhere has the rows of the node that it was copied from, and serves nobody.

use tests::{Cluster, Daemons, Node, Replication, Scratch, configure, run, wait_until};

use crate::{SOON, fence, operator};

#[test]
fn a_database_that_was_restored_elsewhere_is_a_copy_until_somebody_says_what_it_is() {
    let replication = Replication::running("create table t (id int primary key)");
    let provider = operator(&replication);
    fence(&provider);
    provider.run(&["unfence", "q1"]).ok();
    let dump = replication.scratch.path().join("dump");
    run(replication
        .provider
        .client("pg_dump", "db1")
        .args(["-Fc", "-x", "-f"])
        .arg(&dump))
    .ok();
    let other = Cluster::start();
    // The clusters of tests have the same number, because they come from one initdb: the database's number tells.
    other.create_db("first");
    other.create_db("db1");
    run(other
        .client("pg_restore", "db1")
        .args(["-d", "db1"])
        .arg(&dump))
    .ok();

    let scratch = Scratch::new();
    let (ticker, _) = configure(&scratch, "db1", &other, &[&other], "", "");
    let copy = Node::new("trunkline", &scratch, &ticker.config, "ticker1");
    let said = copy.run(&["probe", "serve"]).code(1);
    assert_eq!(said.text(), "no: database db1 is copy for queue q1");
    copy.run(&["check", "role"]).code(2);
    copy.run(&["fence", "q1"])
        .code(3)
        .says(&["restored elsewhere", "keep_identity"]);
    provider.run(&["probe", "serve"]).ok();

    // The same in one cluster, by a template.
    replication.ticker.run(&["stop"]).ok();
    replication.replay.run(&["stop"]).ok();
    let said = replication
        .provider
        .psql("postgres", "create database twin template db1");
    assert_eq!(said, "");
    let role = "select string_agg(role, ',') from trunkline.my_role()";
    assert_eq!(replication.provider.psql("twin", role), "copy");
    assert_eq!(replication.provider.psql("db1", role), "provider");

    other.psql("db1", "select trunkline.keep_identity()");
    copy.run(&["probe", "serve"]).ok();
    copy.run(&["check", "role"]).ok();
}

/// A subscriber whose file has this line is copied by a template, and the copy's replay is started beside its own.
fn a_copy_of_a_subscriber_applies_nothing(line: &str) {
    let replication = Replication::builder()
        .replay_line(line)
        .running("create table t (id int primary key); insert into t values (1)");
    let there = &replication.subscribers[0];
    replication.replay.run(&["stop"]).ok();
    let made = "create database twin template db1";
    assert_eq!(there.psql("postgres", made), "");
    replication.replay.run(&["start", "-d"]).ok();

    let scratch = Scratch::new();
    let (_, twin) = configure(&scratch, "twin", there, &[there], "", line);
    let host = replication.provider.conninfo("db1");
    let own = std::fs::read_to_string(&twin.config).unwrap();
    let own = own.replacen(&there.conninfo("twin"), &host, 1);
    std::fs::write(&twin.config, &own).unwrap();
    let _daemons = Daemons(vec![twin.clone()]);
    let on_twin = |sql: &str| there.psql("twin", &format!("begin read write; {sql}; commit"));
    let says = |text: &str| {
        wait_until(&format!("the copy to say {text}"), SOON, || {
            twin.log().contains(text)
        });
    };
    let said = "select trunkline.introduce('q1') ->> 'role'";
    assert_eq!(on_twin(said), "copy");
    twin.run(&["start", "-d"]);
    says("this database is a copy");
    says("keep_identity");
    replication.on_provider("insert into t values (2)");
    replication.wait_ok();
    replication.assert_followed(&[]);
    // What stands in the log is stored afterwards.
    let is_shown = || {
        wait_until("status to say so", SOON, || {
            let status = twin.run(&["status"]).stdout;
            status.contains("critical") && status.contains("keep_identity")
        });
    };
    is_shown();
    twin.run(&["stop"]).ok();

    // The same where several hosts are met, of which none hears the copy.
    let twice = format!(
        "host=127.0.0.1,127.0.0.1 port={0},{0} user=postgres dbname=db1",
        replication.provider.port()
    );
    std::fs::write(&twin.config, own.replace(&host, &twice)).unwrap();
    twin.run(&["install"])
        .code(3)
        .says(&["this database is a copy", "keep_identity"]);
    twin.run(&["start", "-d"]);
    says("follows nobody");
    is_shown();
    twin.run(&["stop"]).ok();
    let heard = "select count(*) from trunkline.member";
    assert_eq!(replication.on_provider(heard), "0");
    assert_eq!(on_twin("select string_agg(id::text, ',') from t"), "1");

    // The original is gone, and the copy is told so.
    replication.replay.run(&["stop"]).ok();
    assert_eq!(on_twin("select trunkline.keep_identity()"), "t");
    std::fs::write(&twin.config, own).unwrap();
    twin.run(&["start", "-d"]).ok();
    wait_until("the row to come", SOON, || {
        on_twin("select count(*) from t") == "2"
    });
}

#[test]
fn a_copy_of_a_standby_applies_nothing_until_somebody_says_what_it_is() {
    a_copy_of_a_subscriber_applies_nothing("standby = true");
}

#[test]
fn a_copy_of_a_reader_applies_nothing_until_somebody_says_what_it_is() {
    a_copy_of_a_subscriber_applies_nothing("node = \"pollux\"");
}
