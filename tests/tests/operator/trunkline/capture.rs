//! `trunkline capture`, and what `--force` of its neighbours does: the end of what a subscriber has left that is gone.

use serde_json::json;

use super::queue::Desk;

/// A queue with two tables and a sequence that are captured for `c1`, one of the tables for `c2` as well.
fn captured() -> Desk {
    let desk = Desk::new();
    desk.run(&["queue", "create", "--replication", "q1"]).ok();
    desk.sql("create table a (id int primary key); create table \"B b\" (id int primary key); create sequence s");
    for consumer in ["c1", "c2", "c1#copy:7"] {
        desk.run(&["consumer", "register", "q1", consumer]).ok();
    }
    for (consumer, table) in [("c1", "a"), ("c1", "B b"), ("c2", "a")] {
        desk.sql(&format!(
            "select trunkline.add_table('q1', '{consumer}', 'public', '{table}')"
        ));
    }
    desk.sql("select trunkline.add_sequence('q1', 'c1', 'public', 's')");
    desk
}

/// What capture has left: triggers of tables, functions of tables, and writers that fail without them.
fn left(desk: &Desk) -> String {
    desk.sql("insert into a select coalesce(max(id), 0) + 1 from a");
    desk.sql("insert into \"B b\" select coalesce(max(id), 0) + 1 from \"B b\"");
    desk.sql(
        "select (select count(*) from pg_trigger t where t.tgfoid::regproc::text like 'trunkline.%' \
          and t.tgrelid in ('a'::regclass, '\"B b\"'::regclass)), \
         (select count(*) from pg_proc where proname ~ '^capture_[0-9]+_')",
    )
}

#[test]
fn u10_capture_of_a_subscriber_that_is_gone_is_listed_and_dropped() {
    let desk = captured();
    desk.run(&["consumer", "unregister", "q1", "c1"])
        .ok()
        .says(&[
            "3 tables and sequences are still captured for c1",
            "1 of its helpers",
            "--force",
        ]);
    let listed = desk.run(&["capture", "list", "q1"]).ok().stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines,
        [
            "Database Queue Kind Name Consumers Form State",
            "db1 q1 table public.U&\"B\\0020b\" c1(gone) statements ok",
            "db1 q1 table public.a c1(gone),c2 statements ok",
            "db1 q1 sequence public.s c1(gone) - ok",
        ]
    );
    desk.run(&["queue", "drop", "q1"])
        .code(3)
        .says(&["tables are captured into it", "trunkline capture drop"]);

    desk.run(&["capture", "drop", "q1", "public.a", "public.nosuch"])
        .code(3)
        .says(&["not captured into queue q1: public.nosuch"]);
    // One is gone and one is there.
    desk.run(&["capture", "drop", "q1", "a"])
        .code(1)
        .says(&["not dropped: public.a: consumer c2 is registered"]);
    assert_eq!(
        desk.json(&["capture", "list", "q1", "--json"])[1]["consumers"],
        json!([{"name": "c2", "registered": true}])
    );
    desk.run(&["capture", "drop", "q1", "--all", "--consumer", "c1"])
        .ok();
    assert_eq!(
        desk.json(&["capture", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    desk.run(&["capture", "drop", "q1", "--all"])
        .code(3)
        .says(&["c2 is registered"]);
    desk.run(&["capture", "drop", "q1", "--all", "--force"])
        .ok();
    assert_eq!(left(&desk), "0|0");
    desk.sql("drop table a, \"B b\"");
    desk.run(&["consumer", "unregister", "q1", "c2"]).ok();
    desk.run(&["consumer", "unregister", "q1", "c1#copy:7"])
        .ok();
    desk.run(&["queue", "drop", "q1"]).ok();
}

#[test]
fn u10_force_ends_capture_with_the_consumer_or_the_queue() {
    let desk = captured();
    desk.run(&["consumer", "unregister", "q1", "c1", "--force"])
        .ok();
    let left_over = desk.json(&["capture", "list", "--json"]);
    assert_eq!(left_over.as_array().unwrap().len(), 1, "{left_over}");
    assert_eq!(left_over[0]["name"], "public.a");
    let consumers = desk.json(&["consumer", "list", "--json"]);
    assert_eq!(consumers.as_array().unwrap().len(), 1, "{consumers}");
    // Repeated, and of one that has left nothing.
    desk.run(&["consumer", "unregister", "q1", "c1", "--force"])
        .code(3)
        .says(&["no consumer c1"]);
    // A table that was dropped, and a sequence.
    desk.sql(
        "select trunkline.add_sequence('q1', 'c2', 'public', 's'); drop table a; drop sequence s",
    );
    let dropped = desk.json(&["capture", "list", "--json"]);
    assert_eq!(dropped[0]["dropped"], true, "{dropped}");
    desk.sql("create table a (id int primary key)");
    desk.run(&["queue", "drop", "q1"]).code(3);
    desk.run(&["queue", "drop", "q1", "--force"]).ok();
    assert_eq!(left(&desk), "0|0");
    assert_eq!(
        desk.sql("select count(*) from trunkline.captured_sequence"),
        "0"
    );
}
