//! Commands that are killed half way, given again, and given twice, while a replication runs.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::{Replication, Transfers, full, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// What an operator changes, in an order in which each has something to do, and what is said of one that has been done
/// before, with exit code 3. The others end with 0 then.
const CHANGES: [(&[&str], Option<&str>); 8] = [
    (&["pause"], None),
    (&["remove", "t"], Some("is not replicated")),
    (&["add", "t", "--truncate"], None),
    (&["resume"], None),
    (&["resync", "t"], None),
    (&["add-seq", "s"], None),
    (&["seqs", "--sync"], None),
    (&["remove-seq", "s"], Some("is not carried over")),
];

#[test]
fn op_02_each_command_may_be_killed_half_way_and_repeated_while_changes_flow() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, replication.db());
    replication.on_provider(
        "create table t (id int primary key, v text); create index on t (v); create sequence s; \
         insert into t select g, 'v' || g from generate_series(1, 2000) g",
    );
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication.wait_ok();
    let load = replication.load(1, Duration::from_millis(5), &Transfers::writes());
    for round in 0..if full() { 30 } else { 3 } {
        for (args, done_before) in CHANGES {
            let mut child = replication.replay.command(args).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(random.random_range(0..80)));
            // One that has ended already was not killed; both may be.
            let _ = child.kill();
            child.wait().unwrap();
            for again in ["again", "twice"] {
                let said = replication.replay.run(args);
                let is_done =
                    done_before.is_some_and(|words| said.code == 3 && said.stderr.contains(words));
                assert!(
                    said.code == 0 || is_done,
                    "round {round}, {args:?} {again}: {said:?}"
                );
            }
            replication.on_provider(&format!("update t set v = v || '+' where id % 7 = {round}"));
        }
    }
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.wait_ok();
    replication.sync();
    wait_until("the index to be back", SOON, || {
        replication.on_subscriber("select count(*) from pg_indexes where tablename = 't'") == "2"
    });
    replication.assert_same();
    let state = "select count(*) from trunkline.table_state where table_name = 't'";
    assert_eq!(replication.on_subscriber(state), "1");
    // A change of its kind that was lost would stay: the sequence is not carried any more.
    let seqs = replication.replay.run(&["seqs"]).ok();
    assert!(!seqs.stdout.contains("public.s"), "{}", seqs.stdout);
    replication.assert_no_conflicts();
}
