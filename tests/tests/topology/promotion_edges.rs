//! What keeps a standby from becoming the provider, and who comes late: the former provider after a long time, and
//! those who follow a log that has ended.

use tests::{Cluster, Node, Scratch, Server, configure, wait_until};

use crate::SOON;
use crate::hosts::Hosts;
use crate::link::DB;
use crate::promotion::{Follower, TABLES_10, promote};

#[test]
fn whatever_would_differ_or_be_missing_keeps_a_standby_from_being_promoted() {
    let hosts = Hosts::standbys(&[15, 10]);
    hosts.wait_ready(1);
    let reasons = |set: &str| {
        let asked =
            "select coalesce(string_agg(reason, '; '), '') from trunkline.not_promotable('q1'";
        hosts.on(1, &format!("{asked}, {set})"))
    };
    let whole = || format!("'{}'", hosts.on(0, "select trunkline.set_state('q1')"));
    assert_eq!(reasons(&whole()), "");
    // It would put right what is done here.
    hosts.replays[1].run(&["stop"]).ok();
    for (node, doing, undoing, wanted) in [
        (
            1,
            "update trunkline.position set paused = true",
            "update trunkline.position set paused = false",
            "paused",
        ),
        (
            1,
            "update trunkline.table_state set ignored = 1 where table_name = 'log'",
            "update trunkline.table_state set ignored = 0",
            "changes of table public.log were left out",
        ),
        (
            1,
            "update trunkline.table_state set merge_filter = '(id > 0)', merge_form = '(\"{1}\" > 0)', merge_columns = '{id}' \
             where table_name = 't'",
            "update trunkline.table_state set merge_filter = null, merge_form = null, merge_columns = null",
            "table public.t is merged with rows of other providers (replay add --merge)",
        ),
        (
            1,
            "alter table t disable trigger deny_trunkline",
            "alter table t enable trigger deny_trunkline",
            "can be written there still",
        ),
        (
            1,
            "update trunkline.sequence_state set error = 'no'",
            "update trunkline.sequence_state set error = null",
            "sequence public.t_id_seq: no",
        ),
        (
            0,
            "create table more (id int primary key); select trunkline.add_table('q1', 'other', 'public', 'more')",
            "select trunkline.remove_table('q1', 'other', 'public', 'more')",
            "the provider's table public.more is not replicated there",
        ),
        (
            0,
            "create sequence late; select trunkline.add_sequence('q1', 'other', 'public', 'late')",
            "select trunkline.remove_sequence('q1', 'other', 'public', 'late')",
            "the provider's sequence public.late is not carried over there",
        ),
        (
            0,
            "insert into trunkline.position (consumer, job, queue, epoch, tick_id, tick_tag, tick_time) values ('j', 'j', 'other', 1, 1, 1, now()); \
             insert into trunkline.table_state (consumer, schema_name, table_name, provider_oid) values ('j', 'public', 't', 1)",
            "delete from trunkline.table_state; delete from trunkline.position",
            "t is written by replication job j there",
        ),
    ] {
        hosts.on(node, doing);
        let said = reasons(&whole());
        assert!(said.contains(wanted), "{doing}: {said}");
        hosts.on(node, undoing);
    }
    assert_eq!(reasons(&whole()), "");

    // Neither at another place, nor for an operation that is over: nothing changes.
    let operation = hosts.begin(0, 1);
    let (set, role) = (
        hosts.on(0, "select trunkline.set_state('q1')"),
        hosts.role(1),
    );
    let here = hosts.on(
        1,
        "select epoch || ',' || tick_id || ',' || tick_tag from trunkline.position",
    );
    let refused = |operation: &str, place: &str, words: &[&str]| {
        let sql = format!(
            "begin read write; {}; commit",
            promote(operation, place, &set)
        );
        hosts.nodes[1].try_psql(DB, &sql).code(1).says(words);
        assert_eq!(hosts.role(1), role);
    };
    refused(&operation, "1,2,3", &["the log ends at tick 2"]);
    hosts.on(1, "update trunkline.operation set step = 'aborted'");
    refused(&operation, &here, &[]);
}

#[test]
fn a_former_provider_comes_back_after_two_further_ones_and_after_ddl_of_its_own() {
    let hosts = Hosts::standbys(&[15, 15, 15]);
    hosts.on(
        0,
        "insert into t (v) select g from generate_series(1, 50) g",
    );
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.assert_same(node);
    }
    hosts.replays[0].run(&["stop"]).ok();
    hosts.switch(0, 1);
    let held = "select string_agg(co_name, ',' order by co_name) from pgq.subscription join pgq.consumer on co_id = sub_consumer";
    assert_eq!(hosts.on(1, held), "castor,helen");
    for node in [2, 0, 1] {
        hosts.on(node, "alter table t add column w int");
    }
    hosts.on(
        1,
        "update t set w = 1 where id < 20; insert into t (v) values ('b')",
    );
    hosts.assert_same_as(1, 2);
    hosts.wait_ready(2);
    hosts.switch(1, 2);
    hosts.wait_role(1, "standby 3");
    hosts.on(
        2,
        "update t set w = 2 where id < 10; delete from t where id = 1",
    );
    // Its log ends where that of pollux begins, and it has heard of neither.
    hosts.replays[0].run(&["start", "-d"]).ok();
    hosts.wait_log(0, "joined");
    hosts.wait_role(0, "standby 3");
    hosts.assert_same_as(2, 0);
    assert!(!hosts.replays[0].log().contains("copied"));

    // A fence that was written through belongs to no other node: it stays what it is, and says so.
    hosts.assert_same_as(2, 1);
    hosts.wait_ready(1);
    let operation = hosts.begin(2, 1);
    let place = hosts.on(
        2,
        "select epoch || ',' || tick_id || ',' || tick_tag from trunkline.fence('q1')",
    );
    let set = hosts.on(2, "select trunkline.set_state('q1')");
    hosts.replays[2].run(&["stop"]).ok();
    let at = "select epoch || ',' || tick_id || ',' || tick_tag from trunkline.position";
    wait_until("the final tick", SOON, || hosts.on(1, at) == place);
    hosts.on(
        2,
        "alter table t disable trigger deny_trunkline; insert into t (v) values ('lost'); \
                 alter table t enable trigger deny_trunkline",
    );
    hosts.on(1, &promote(&operation, &place, &set));
    hosts.replays[2].run(&["start", "-d"]).ok();
    hosts.wait_log(2, "lost changes found");
    assert_eq!(hosts.role(2), "fenced 3");
    // A further fence does not move the end of a log that others have gone on from.
    let again = hosts.on(
        2,
        "select epoch || ',' || tick_id || ',' || tick_tag from trunkline.fence('q1')",
    );
    assert_eq!(again, place);
}

#[test]
fn a_move_that_is_tried_again_does_not_end_the_capture_that_it_has_come_for() {
    let hosts = Hosts::standbys(&[15, 15, 15]);
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.assert_same(node);
    }
    // The move fails where it would be stored, after helen was registered at pollux. A sequence counts what is rolled
    // back.
    hosts.on(
        2,
        "create sequence tries; \
         create function fail() returns trigger language plpgsql as \
         $$begin perform nextval('public.tries'); raise 'no room' using errcode = '53100'; end$$; \
         create trigger fail before update of epoch on trunkline.position for each row \
         when (new.epoch <> old.epoch) execute procedure fail(); \
         alter table trunkline.position enable always trigger fail",
    );
    hosts.replays[0].run(&["stop"]).ok();
    hosts.switch(0, 1);
    wait_until("helen to have tried several times", SOON, || {
        hosts
            .on(2, "select last_value from tries")
            .parse::<i64>()
            .unwrap()
            >= 5
    });
    let captured = "select string_agg(table_name, ',' order by table_name collate \"C\") from trunkline.captured";
    assert_eq!(hosts.on(1, captured), "log,p,t");
    hosts.on(2, "drop trigger fail on trunkline.position");
    hosts.on(
        1,
        "insert into t (v) values ('b'); insert into log values (1, 'b')",
    );
    hosts.assert_same_as(1, 2);
}

#[test]
fn a_log_that_has_ended_says_so_to_who_follows_it_and_to_who_comes() {
    let hosts = Hosts::standbys(&[10, 15]);
    let stuck = Follower::of(&hosts, 0);
    hosts.on(
        0,
        "insert into t (v) select g from generate_series(1, 50) g",
    );
    stuck.assert_same(&hosts, 0);
    hosts.wait_ready(1);
    hosts.switch(0, 1);
    hosts.wait_role(0, "standby 2");
    wait_until("the follower to say that the log has ended", SOON, || {
        stuck
            .replay
            .run(&["status"])
            .stdout
            .contains("the log of queue 'q1' ends")
    });

    // Nobody can come to follow a log that does not go on, while somebody has yet to read the rest of it.
    let ended = hosts.on(0, "select queue_epoch from pgq.queue");
    hosts.on(0, "select pgq.register_consumer_at('q1', 'slow', 1)");
    let late = Follower::configured(&hosts, 0, "late");
    late.replay.run(&["install"]).code(3).says(&[
        "its log has ended",
        "is still to be read: slow",
        "follow the provider",
    ]);
    assert_eq!(hosts.on(0, "select queue_epoch from pgq.queue"), ended);
    // Then it begins anew, as another log.
    hosts.on(0, "select pgq.unregister_consumer('q1', 'slow')");
    late.follow();
    assert_ne!(hosts.on(0, "select queue_epoch from pgq.queue"), ended);
    hosts.on(1, "insert into t (v) values ('after')");
    hosts.assert_same_as(1, 0);
    late.assert_same(&hosts, 0);
    wait_until("status to go on saying so", SOON, || {
        stuck.replay.run(&["status"]).stdout.contains("critical")
    });
}

#[test]
fn a_node_without_a_queue_hears_the_others_too() {
    let hosts = Hosts::standbys(&[15, 15]);
    let node = Cluster::builder(&Server::version(15)).start();
    node.create_db(DB);
    node.psql(DB, TABLES_10);
    let scratch = Scratch::new();
    let (_, replay) = configure(&scratch, DB, &hosts.nodes[0], &[&node], "", "");
    let own = std::fs::read_to_string(&replay.config).unwrap();
    let list = std::fs::read_to_string(&hosts.replays[0].config).unwrap();
    let list = list
        .lines()
        .find(|line| line.contains("provider_db"))
        .unwrap();
    let own: Vec<&str> = own
        .lines()
        .map(|line| {
            if line.contains("provider_db") {
                list
            } else {
                line
            }
        })
        .collect();
    std::fs::write(&replay.config, own.join("\n")).unwrap();
    let replay = Node::new("replay", &scratch, &replay.config, "replay1");
    replay.run(&["install"]).ok();
    replay.run(&["start", "-d"]).ok();
    let heard = "select count(*) from trunkline.member where role = 'provider'";
    wait_until("the reader to hear the provider", SOON, || {
        node.psql(DB, heard) == "1"
    });
    let log = replay.log();
    replay.run(&["stop"]).ok();
    assert!(!log.contains("takes in nothing"), "{log}");
}
