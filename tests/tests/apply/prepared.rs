//! TX-08 to TX-10: prepared transactions of the provider, also over crashes of either side.

use tests::{Replication, Server, Session, Stop};

use crate::synced_and_clean;

fn durable() -> Replication {
    let server = Server::debian15();
    Replication::builder()
        .provider(tests::Cluster::builder(&server).durable())
        .subscribers(vec![tests::Cluster::builder(&server).durable()])
        .running("create table t (id int primary key, v text); create table other (id int primary key, v text)")
}

fn prepare(replication: &Replication, name: &str, first: i32) {
    let session = Session::holding(
        &replication.provider,
        replication.db(),
        &format!("insert into t select g, '{name}' from generate_series({first}, {first} + 4) g"),
    );
    session.ask(&format!("insert into other values ({first}, '{name}')"));
    session.ask(&format!("prepare transaction '{name}'"));
}

fn seen(replication: &Replication) -> String {
    replication.sync();
    replication.on_subscriber(
        "select coalesce(string_agg(v, ' ' order by v), '') from (select distinct v from t \
         union select distinct v from other) x",
    )
}

#[test]
fn tx_08_tx_09_a_prepared_transaction_arrives_whole_with_its_commit_and_never_without() {
    let replication = durable();
    prepare(&replication, "kept", 1);
    prepare(&replication, "taken back", 11);
    replication.on_provider("insert into t values (100, 'between')");
    assert_eq!(seen(&replication), "between");
    replication.on_provider("rollback prepared 'taken back'");
    replication.on_provider("insert into t values (101, 'between')");
    assert_eq!(seen(&replication), "between");
    replication.on_provider("commit prepared 'kept'");
    assert_eq!(seen(&replication), "between kept");
    assert_eq!(
        replication.on_subscriber("select (select count(*) from t), (select count(*) from other)"),
        "7|1"
    );
    synced_and_clean(&replication);
}

#[test]
fn tx_10_a_prepared_transaction_outlives_crashes_of_the_provider_the_subscriber_and_both() {
    let replication = durable();
    let crash = |clusters: &[&tests::Cluster]| {
        for cluster in clusters {
            cluster.stop(Stop::Immediate);
        }
        for cluster in clusters {
            cluster.start_again();
        }
    };
    let (provider, subscriber) = (&replication.provider, &replication.subscribers[0]);
    let crashes: [&[&tests::Cluster]; 3] = [&[provider], &[subscriber], &[provider, subscriber]];
    for (round, clusters) in (1..).zip(crashes) {
        let name = format!("p{round}");
        prepare(&replication, &name, round * 100);
        replication.on_provider(&format!("insert into t values ({round}, 'before')"));
        crash(clusters);
        replication.on_provider(&format!("insert into t values ({round} + 10, 'after')"));
        replication.sync();
        assert_eq!(
            replication.on_subscriber(&format!("select count(*) from t where v = '{name}'")),
            "0"
        );
        replication.on_provider(&format!("commit prepared '{name}'"));
        replication.sync();
        assert_eq!(
            replication.on_subscriber(&format!("select count(*) from t where v = '{name}'")),
            "5"
        );
    }
    replication.assert_same();
    replication.assert_no_conflicts();
    replication.assert_clean(&["waits", "lost", "could not", "unreachable"]);
}
