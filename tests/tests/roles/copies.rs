//! A database that was restored elsewhere has the rows of the node that it was copied from, and serves nobody.

use tests::{Cluster, Node, Replication, Scratch, configure, run};

use crate::{fence, operator};

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
