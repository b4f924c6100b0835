//! Tables of every identity among the lost changes, a log that does not hold them, and columns that came between.

use tests::{compare, wait_until};

use crate::SOON;
use crate::rejoin::tells;
use crate::set::{DB, Hosts};

const TABLES: &str = "\
    create table log (at int, line text); \
    create table added (at int, line text); \
    create table fine (id numeric primary key, v text); \
    create table \"My t\" (\"I d\" int, b text, c text, primary key (b, \"I d\")); \
    create table made (id int generated always as identity primary key, a int, \
                       twice int generated always as (a * 2) stored); \
    create table parent (id int primary key); \
    create table child (id int primary key, of int references parent, u int unique); \
    create table p (id int, at int, v text, primary key (id, at)) partition by range (at); \
    create table p1 partition of p for values from (0) to (100); \
    create table p2 partition of p for values from (100) to (200)";

fn prepared() -> Hosts {
    let hosts = Hosts::standbys_keyless(
        &[18, 15],
        TABLES,
        &[("public.log", "full"), ("public.added", "insert-only")],
    );
    hosts.on(
        0,
        "insert into log values (1, 'a'), (1, 'a'), (2, 'b'); insert into added values (1, 'a'), (2, 'b'); \
         insert into fine values (1.0, 'a'), (2.0, 'b'); \
         insert into \"My t\" values (1, 'x,(\"', 'a'), (2, 'y', 'b'), (3, '', 'c'); \
         insert into made (a) values (1), (2), (3); insert into parent values (1), (2), (3); \
         insert into child values (1, 1, 1), (2, 2, 2), (3, 3, 3); \
         insert into p values (1, 1, 'a'), (2, 2, 'b'), (3, 150, 'c')",
    );
    hosts.wait_ready(1);
    hosts.assert_same(1);
    for replay in &hosts.replays {
        replay.run(&["stop"]).ok();
    }
    hosts.fail_over(0, 1);
    hosts
}

#[test]
fn tables_of_every_identity_come_into_step_and_those_without_keys_are_copied_when_somebody_says_so()
{
    let hosts = prepared();
    for statement in [
        "delete from log where ctid = (select min(ctid) from log)",
        // An identity that leaves updates out does not make them undone.
        "update added set line = 'lost' where at = 1",
        "update fine set v = 'lost' where id = 1",
        "update \"My t\" set c = 'lost' where \"I d\" = 1",
        "update \"My t\" set b = 'z' where \"I d\" = 2",
        "delete from \"My t\" where \"I d\" = 3",
        "insert into made (a) values (7), (8)",
        "update made set a = 10 where id = 1",
        "delete from child where id = 3; delete from parent where id = 3",
        "insert into parent values (8); insert into child values (8, 8, 9)",
        "update p set at = 120 where id = 1",
        "alter table parent add column more text",
        "update parent set more = 'lost' where id = 1",
        "alter table parent drop column more",
    ] {
        hosts.nodes[0].psql(DB, statement);
    }
    for statement in [
        "insert into child values (4, 3, 9)",
        "update child set u = 30 where id = 3",
        "insert into \"My t\" values (2, 'z', 'new')",
        "insert into made (a) values (70)",
        "update p set at = 130 where id = 1",
        "update log set line = 'new' where at = 2",
        "insert into added values (9, 'new')",
    ] {
        hosts.nodes[1].psql(DB, statement);
    }
    hosts.heal();
    hosts.wait_lost(0);
    let plan = hosts.replays[0].run(&["rejoin", "--dry-run"]).ok();
    tells(
        &plan,
        &[
            "public.child: 2 changes; the rows of their keys are fetched",
            "public.fine: 1 changes; must be copied again: keys that are equal can have different texts",
            "public.log: 1 changes; must be copied again: its rows are not told apart by a key",
            "public.added: 1 changes; must be copied again",
            "public.p: 2 changes; the rows of their keys are fetched",
        ],
    );
    hosts.replays[0]
        .run(&["rejoin", "--yes"])
        .code(3)
        .says(&["--copy-others", "--lost copy"]);
    assert_eq!(hosts.role(0), "fenced 1");
    hosts.replays[0]
        .run(&["rejoin", "--copy-others", "--yes"])
        .ok();
    hosts.assert_same_as(1, 0);
    let told = |log: &str| {
        ["table copied", "table repaired by keys"].map(|what| log.matches(what).count())
    };
    // A line comes after what it tells of.
    wait_until("all tables to be told", SOON, || {
        told(&hosts.replays[0].log()).iter().sum::<usize>() >= 8
    });
    let log = hosts.replays[0].log();
    assert_eq!(told(&log), [3, 5], "{log}");
    assert!(!log.contains("table parked"), "{log}");
    let handled =
        "select handled_as ->> 'public.log' || (handled_as ->> 'public.p') from trunkline.lost";
    assert_eq!(hosts.on(0, handled), "copykeys");
}

#[test]
fn a_partition_that_was_emptied_is_no_matter_of_keys_here_and_none_of_doubt_there() {
    let hosts = prepared();
    hosts.on(0, "update p set v = 'lost' where at > 100");
    hosts.on(0, "insert into p values (5, 5, 'lost')");
    // The values of a column that only this node has are in no row's event.
    hosts.on(0, "alter table parent add column more text default 'lost'");
    hosts.on(1, "truncate p2");
    hosts.on(1, "insert into p values (9, 110, 'new')");
    hosts.on(1, "update p set v = 'new' where id = 2");
    hosts.heal();
    hosts.wait_lost(0);
    let said = hosts.replays[0].run(&["lost"]).code(1);
    tells(&said, &["public.parent 1"]);
    let kept = "select string_agg(change || ' ' || row_now::text, ', ' order by number) from trunkline.lost_change \
                 where table_name = 'parent'";
    for node in [0, 1] {
        assert_eq!(hosts.on(node, kept), "filled {\"more\": \"lost\"}");
    }
    let plan = hosts.replays[0].run(&["rejoin", "--dry-run"]).ok();
    tells(
        &plan,
        &["public.parent: 1 changes; got columns with values"],
    );
    hosts.replays[0].run(&["rejoin", "--yes"]).ok();
    hosts.wait_role(0, "standby 2");
    hosts.on(1, "insert into parent values (30)");
    hosts.replays[0].wait_level();
    hosts.on(0, "alter table parent drop column more");
    hosts.assert_same_as(1, 0);
    assert!(!hosts.log_has(0, "table copied"));
}

#[test]
fn where_the_log_does_not_hold_what_was_written_nothing_joins_in_silence_and_all_is_copied() {
    let hosts = prepared();
    hosts.on(
        0,
        "insert into parent values (50); insert into fine values (7, 'lost')",
    );
    hosts.on(1, "insert into parent values (4)");
    hosts.on(
        0,
        "select pgq.unregister_consumer('q1', co_name) \
           from pgq.subscription join pgq.consumer on co_id = sub_consumer; \
         update pgq.queue set queue_rotation_period = '0'",
    );
    for row in 60..68 {
        // Rotation leaves a table alone as long as another one is empty.
        hosts.on(0, &format!("insert into parent values ({row})"));
        hosts.on(0, "select pgq.force_tick('q1')");
        hosts.on(0, "select pgq.maint_rotate_tables_step1('q1')");
        hosts.nodes[0].psql(DB, "select pgq.maint_rotate_tables_step2()");
    }
    hosts.heal();
    hosts.wait_role(0, "fenced 1");
    hosts.wait_lost(0);
    assert_eq!(
        (hosts.lost(0), hosts.lost(1)),
        (String::new(), String::new())
    );
    assert!(!hosts.log_has(0, "joined"));
    let plan = hosts.replays[0].run(&["rejoin", "--dry-run"]).ok();
    tells(
        &plan,
        &[
            "its log does not hold it any more",
            "public.added: 0 changes; must be copied again",
        ],
    );
    hosts.replays[0]
        .run(&["rejoin", "--yes"])
        .code(3)
        .says(&["--lost copy"]);
    hosts.replays[0]
        .run(&["rejoin", "--lost", "copy", "--yes"])
        .ok();
    hosts.assert_same_as(1, 0);
    compare((&hosts.nodes[1], DB), (&hosts.nodes[0], DB), "public.added").unwrap();
}
