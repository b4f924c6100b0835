//! Which tables are added: by patterns on the command line, and by the running worker (`auto_add`).

use tests::{Replication, wait_until};

use crate::SOON;

fn names(replication: &Replication) -> Vec<String> {
    let tables = replication.tables();
    let mut names: Vec<String> = tables.into_iter().map(|table| table.table).collect();
    names.sort();
    names
}

fn wait_for_log(replication: &Replication, words: &str) {
    wait_until(words, SOON, || replication.replay.log().contains(words));
}

#[test]
fn all_may_be_narrowed_by_schema_and_by_what_is_left_out() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create schema app_1; create schema \"app_B\"; create schema other; \
         create table app_1.t (id int primary key); create table app_1.tmp_t (id int primary key); \
         create table \"app_B\".t (id int primary key); create table \"app_B\".\"TMP_T\" (id int primary key); \
         create table other.t (id int primary key); create table t (id int primary key)",
    );
    replication.start();
    let dry = replication
        .replay
        .run(&["add", "--all", "--schema", "app_*", "--dry-run"])
        .ok();
    assert_eq!(dry.stdout.lines().count(), 4, "{}", dry.stdout);
    assert_eq!(names(&replication), Vec::<String>::new());
    let added = ["add", "--all", "--schema", "app_*", "--exclude", "*.tmp_*"];
    replication.replay.run(&added).ok();
    assert_eq!(
        names(&replication),
        ["\"app_B\".\"TMP_T\"", "\"app_B\".t", "app_1.t"],
        "case counts"
    );
    replication
        .replay
        .run(&["add", "?pp_1.*", "--wait", "120"])
        .ok();
    // A limit that is too short is told apart from a failure, and the table stays in the job.
    replication.ticker.run(&["stop"]).ok();
    replication
        .replay
        .run(&["add", "other.t", "--wait", "0.5"])
        .code(4)
        .says(&["other.t is"]);
    replication.ticker.run(&["start", "-d"]).ok();
    replication.wait_ok();
    assert_eq!(names(&replication).len(), 5);
    replication.assert_clean(&[]);
}

#[test]
fn tables_made_later_are_added_by_the_running_worker() {
    let replication = Replication::builder()
        .replay_line("auto_add = [\"app_*.*\", \"!*.tmp_*\"]")
        .make();
    replication.everywhere("create schema app_1; create schema other");
    replication.start();
    let table = |name: &str| format!("create table {name} (id int primary key, v text)");
    for name in ["app_1.tmp_t", "other.t", "app_1.t"] {
        replication.everywhere(&table(name));
    }
    replication
        .on_provider("insert into app_1.t select i, 'before' from generate_series(1, 100) i");
    wait_until("the table to be added", SOON, || {
        names(&replication) == ["app_1.t"]
    });
    replication.wait_ok();

    // Missing on the subscriber, or without a key: it is said, the others go on, and once the
    // cause is gone it is added.
    replication.on_provider(&table("app_1.late"));
    replication.on_provider("create table app_1.keyless (id int)");
    replication.on_subscriber("create table app_1.keyless (id int primary key)");
    wait_for_log(&replication, "auto_add cannot add a table table=app_1.late");
    wait_for_log(
        &replication,
        "auto_add cannot add a table table=app_1.keyless",
    );
    replication.on_provider("insert into app_1.t values (101, 'after')");
    replication.sync();
    replication.replay.kill9();
    replication.replay.run(&["start", "-d"]).ok();
    replication.on_subscriber(&table("app_1.late"));
    replication.on_provider("alter table app_1.keyless add primary key (id)");
    wait_until("the late ones", SOON, || names(&replication).len() == 3);
    replication.wait_ok();

    // Another list holds after a reload; a bad one is refused, and the old one stays.
    let config = std::fs::read_to_string(&replication.replay.config).unwrap();
    let reload = |list: &str| {
        let new = config.replace("[\"app_*.*\", \"!*.tmp_*\"]", list);
        std::fs::write(&replication.replay.config, new).unwrap();
        replication.replay.run(&["reload"])
    };
    reload("[\"!other.t\"]").code(2).says(&["auto_add"]);
    reload("[\"app_*.*\", \"!*.tmp_*\", \"other.*\"]").ok();
    wait_until("the table of the new list", SOON, || {
        names(&replication).contains(&"other.t".to_owned())
    });
    replication.wait_ok();
    replication
        .replay
        .run(&["remove", "other.t"])
        .ok()
        .says(&["auto_add adds it again"]);
    wait_until("the table to be back", SOON, || {
        names(&replication).contains(&"other.t".to_owned())
    });
    replication.wait_ok();
    assert_eq!(names(&replication).len(), 4);
    replication.assert_followed(&["auto_add cannot add"]);
}

#[test]
fn u4_add_and_resync_wait_for_their_own_tables_and_not_after_a_refusal() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table t (id int primary key, v text); create table other (id int primary key); insert into t values (1, 'a')",
    );
    replication.on_subscriber(
        "create table t (id int primary key, v text check (v <> 'a')); create table other (id int primary key)",
    );
    replication.start();
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_parked("public.t", &["t_v_check"]);
    // Parked long ago, and none of theirs.
    replication
        .replay
        .run(&["add", "other", "--wait", "120"])
        .ok();
    replication
        .replay
        .run(&["resync", "other", "--wait", "120"])
        .ok();
    // Without a limit it would wait for ever.
    replication
        .replay
        .run(&["add", "nosuch", "t", "--wait"])
        .code(3)
        .says(&["public.nosuch"]);
    replication
        .replay
        .run(&["resync", "nosuch", "--wait"])
        .code(3);
    replication
        .replay
        .run(&["add", "t", "--wait", "1"])
        .code(4)
        .says(&["public.t is"]);
    replication.assert_clean(&["table parked table=public.t"]);
}

#[test]
fn u11_sequences_of_added_tables_are_carried_or_named() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create sequence numbers; create sequence of_nobody; \
         create table a (id serial primary key, n int default nextval('numbers')); \
         create table b (id int generated always as identity primary key); create table c (id int primary key)",
    );
    replication.on_provider("insert into a (n) values (default), (default)");
    replication.start();
    let added = replication.replay.run(&["add", "a", "c", "--wait"]).ok();
    assert!(
        added.stdout.contains(
            "sequences of these tables are not carried over: public.a_id_seq, public.numbers (replay add-seq"
        ),
        "{}",
        added.stdout
    );
    let missing = replication.replay.run(&["missing"]).ok();
    assert_eq!(
        missing.stdout,
        "public.b\npublic.a_id_seq (a sequence of public.a: replay add-seq)\n\
         public.numbers (a sequence of public.a: replay add-seq)\n"
    );
    replication
        .replay
        .run(&["add", "b", "--with-seqs", "--wait"])
        .ok();
    let again = replication.replay.run(&["add", "a", "--with-seqs"]).ok();
    assert!(
        !again.stdout.contains("not carried over"),
        "{}",
        again.stdout
    );
    assert_eq!(replication.replay.run(&["missing"]).ok().stdout, "");
    let carried = replication.replay.run(&["seqs"]).ok();
    assert_eq!(
        carried.stdout,
        "Sequence State\npublic.a_id_seq ok\npublic.b_id_seq ok\npublic.numbers ok\n"
    );
    wait_until("the sequence to be ahead", SOON, || {
        replication.on_subscriber("select last_value from a_id_seq") == "1002"
    });
    replication.assert_followed(&[]);
}
