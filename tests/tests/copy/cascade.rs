//! A subscriber's table is no source of a further copy: cascades are refused, whichever of the two
//! jobs comes first (SY-14).

use tests::{Cluster, Daemons, Replication, Scratch, configure};

/// Tables on all three nodes.
const TABLES: &str = "create table t (id int primary key, v text); create table u (id int primary key, v text); \
    create table w (id int primary key, v text); create table w_here (id int primary key, v text); \
    create table free (id int primary key, v text)";

#[test]
fn sy_14_a_table_that_replay_writes_is_refused_as_a_source_and_a_source_as_a_target() {
    let replication = Replication::builder().make();
    replication.everywhere(TABLES);
    replication.start();
    replication.replay.run(&["add", "t"]).ok();
    replication.replay.run(&["add", "w", "--as", "w_here"]).ok();
    replication.wait_ok();

    let last = Cluster::start();
    last.create_db(replication.db());
    last.psql(replication.db(), TABLES);
    let scratch = Scratch::new();
    let middle = &replication.subscribers[0];
    let (ticker, replay) = configure(&scratch, replication.db(), middle, &[&last], "", "");
    let _daemons = Daemons(vec![replay.clone(), ticker.clone()]);
    ticker.run(&["install"]).ok();
    ticker.run(&["start", "-d"]).ok();
    replay.run(&["install"]).ok();
    replay.run(&["start", "-d"]).ok();

    let triggers = "select count(*) from pg_trigger where not tgisinternal \
        and tgrelid in ('t'::regclass, 'w_here'::regclass)";
    for table in ["t", "w_here"] {
        replay.run(&["add", table]).code(3).says(&[
            &format!("public.{table}"),
            "is written by replication job replay1",
        ]);
        assert_eq!(replication.on_subscriber(triggers), "0");
    }
    // What nobody writes there may go on from there ...
    replay.run(&["add", "u", "--wait", "120"]).ok();
    // ... and is then refused as a target: what replay writes is not captured.
    for add in [&["add", "u"][..], &["add", "w", "--as", "u"]] {
        replication.replay.run(&["remove", "w"]);
        replication
            .replay
            .run(add)
            .code(3)
            .says(&["public.u", "is captured there", "cascades"]);
    }
    replay.run(&["add", "--all"]).code(1).says(&["public.t"]);
    let tables = replay.run(&["tables"]).ok().stdout;
    assert!(
        !tables.contains("public.t ") && tables.contains("public.free "),
        "{tables}"
    );
    replication.on_provider("insert into t values (1, 'a')");
    replication.sync();
    assert_eq!(last.psql(replication.db(), "select count(*) from t"), "0");
}
