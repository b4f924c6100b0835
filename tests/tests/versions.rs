//! PostgreSQL 10 to 18 on either side: copied, then changed in every way, between versions
//! that have nothing in common but the protocol.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use tests::{Cluster, Replication, Server, choose};

fn replicates(provider: u32, subscriber: u32) {
    let replication = Replication::builder()
        .provider(Cluster::builder(&Server::version(provider)))
        .subscribers(vec![Cluster::builder(&Server::version(subscriber))])
        .make();
    replication.everywhere(
        "create table t (id int primary key, v text, n numeric, at timestamptz, b bytea, a text[]); \
         create table pair (a int, b text, primary key (b, a)); create sequence s",
    );
    replication.on_provider(
        "insert into t select g, 'v' || g, g / 7.0, now(), decode('00ff', 'hex'), '{x,NULL}' \
         from generate_series(1, 1000) g",
    );
    replication.start();
    replication.add_all();
    replication.replay.run(&["add-seq", "--all"]).ok();
    for sql in [
        "update t set v = v || '!', a = a || 'y'::text where id <= 300",
        "update t set id = -id where id > 900",
        "delete from t where id between 400 and 500",
        "begin; insert into pair values (1, 'x'); update pair set b = 'y'; commit",
        "truncate pair",
        "insert into pair values (2, ''), (3, E'line\\nfeed'); select nextval('s')",
    ] {
        replication.on_provider(sql);
    }
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[]);
    println!("{provider} to {subscriber}: same");
}

#[test]
fn any_version_replicates_into_any_other() {
    let all: Vec<(u32, u32)> = Server::majors()
        .flat_map(|from| Server::majors().map(move |to| (from, to)))
        .collect();
    for (from, to) in choose("version-pairs", all, vec![(10, 18), (18, 10)]) {
        replicates(from, to);
    }
}
