//! Tables whose changes are in an archive, and whose rows are in no base of it.

use tests::Replication;

use super::{
    assert_whole,
    restore::{database, with_damaged},
    segments,
};

/// Another subscriber's table is named as such; one that the archive has got since is named by the call that ends a
/// restore, whichever call has passed it.
pub(super) fn are_told(replication: &Replication) {
    let (replay, cluster) = (&replication.replay, &replication.provider);
    replication.on_provider(
        "alter table log add primary key (id); select pgq.register_consumer('q1', 'spare'); \
         select trunkline.add_table('q1', 'spare', 'public', 'log'); insert into log values (1)",
    );
    assert_whole(replication);
    let into = database(cluster, "others");
    let said = replay.run(&["restore", "--into", &into]).ok().stderr;
    let words = "not restored: public.log: the archive did not keep it when the base was made";
    assert!(said.contains(words), "{said}");
    // What was left out at the base and has come since is the archive's, whatever the base says of it.
    replay
        .run(&["add", "--subscriber", "backup", "public.log"])
        .ok();
    replication.on_provider("insert into log values (2)");
    assert_whole(replication);
    let into = database(cluster, "kept_since");
    replay
        .run(&["restore", "--into", &into])
        .code(1)
        .says(&["not restored: public.log: the archive keeps it since after the base"]);
    replication.on_provider("create table later (id int primary key)");
    replay.run(&["add", "public.later"]).ok();
    replication.on_provider("insert into later values (1)");
    assert_whole(replication);
    replication.on_provider("insert into t (v) values ('last')");
    assert_whole(replication);
    let into = database(cluster, "resumed");
    let last = segments(replication).pop().unwrap();
    with_damaged(&last, || {
        replay.run(&["restore", "--into", &into]).code(3);
    });
    replay
        .run(&["restore", "--into", &into])
        .code(1)
        .says(&["not restored: public.later: the archive keeps it since after the base"]);
}
