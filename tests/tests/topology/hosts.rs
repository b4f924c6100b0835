//! Several hosts in `provider_db`, the same config on each of them: who follows whom, and what is said about it.

use tests::wait_until;

use crate::SOON;
use crate::set::DB;
pub(crate) use crate::set::{Hosts, NAMES, TABLE};

#[test]
fn with_one_config_everywhere_the_provider_rests_and_the_others_follow_it_alone() {
    let hosts = Hosts::make(&[15; 3], "standby = true", TABLE);
    let [castor, pollux, helen] = hosts.replays.as_slice() else {
        panic!("three nodes");
    };
    // Each of them could be it.
    pollux
        .run(&["install"])
        .code(3)
        .says(&["could be the provider", "replay install --first"]);
    castor.run(&["start", "-d"]).ok();
    hosts.wait_log(0, "follows nobody");
    castor.run(&["stop"]).ok();
    castor.run(&["install", "--first"]).ok();
    assert!(
        castor
            .run(&["install"])
            .ok()
            .stdout
            .contains("applies nothing")
    );
    pollux
        .run(&["install", "--first"])
        .code(3)
        .says(&["is the provider of set q1", "replay install"]);
    for replay in [castor, pollux, helen] {
        replay.run(&["install"]).ok();
        replay.run(&["start", "-d"]).ok();
    }
    castor
        .run(&["add", "--all"])
        .code(3)
        .says(&["this database is provider"]);
    hosts.on(
        0,
        "insert into t select g, 'a' from generate_series(1, 100) g",
    );
    for replay in [pollux, helen] {
        replay.run(&["add", "--all", "--wait"]).ok();
    }
    hosts.on(
        0,
        "update t set v = 'b' where id > 50; delete from t where id < 10",
    );
    hosts.assert_same(1);
    hosts.assert_same(2);

    // All see all.
    let seen = "select string_agg(concat_ws(' ', name, role, term, upstream_name), ', ' order by name) \
                  from trunkline.members('q1')";
    for (node, wanted) in [
        (0, "helen standby 1 castor, pollux standby 1 castor"),
        (1, "castor provider 1, helen standby 1 castor"),
        (2, "castor provider 1, pollux standby 1 castor"),
    ] {
        wait_until("the set to be known", SOON, || {
            hosts.on(node, seen) == wanted
        });
    }
    let status = pollux.run(&["status"]).ok().stdout;
    assert!(
        status.contains("castor: provider for ") && status.contains("helen: standby for "),
        "{status}"
    );
    let status = castor.run(&["status"]).ok().stdout;
    assert!(
        status.contains("subscriber: resting")
            && status.contains("pollux: standby for ")
            && status.contains("follows castor"),
        "{status}"
    );
    assert!(!status.contains("critical"), "{status}");
    hosts.wait_in_order(0, &["role", "fence"]);

    // Nothing but meetings goes to a host that is not followed.
    let sessions = "select coalesce(string_agg(distinct application_name, ','), '') from pg_stat_activity \
         where application_name like 'trunkline % pollux'";
    wait_until("meetings alone", SOON, || {
        hosts.on(2, sessions) == "trunkline meeting pollux"
    });
    wait_until("pollux to read", SOON, || {
        hosts.on(0, sessions).contains("trunkline queue pollux")
    });

    // A fence by hand: its standbys get the last change, and nobody is promoted.
    hosts.on(0, "insert into t values (1000, 'last')");
    hosts.operator(0).run(&["fence", "q1"]).ok();
    for node in [1, 2] {
        wait_until("the last change", SOON, || {
            hosts.on(node, "select v from t where id = 1000") == "last"
        });
    }
    wait_until("the fence to be known", SOON, || {
        hosts.on(1, seen).starts_with("castor fenced 1")
    });
    hosts.operator(0).run(&["unfence", "q1"]).ok();
    hosts.on(0, "insert into t values (1001, 'open')");
    hosts.assert_same(1);
    for node in 0..3 {
        // On a busy machine a host may take longer than a meeting waits.
        let allowed: &[&str] = if node == 0 {
            &["follows nobody", "does not answer"]
        } else {
            &["does not answer"]
        };
        assert_eq!(
            tests::unclean_lines(&hosts.replays[node].log(), allowed),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_set_that_a_node_knows_or_may_know_gets_no_second_first_provider() {
    let hosts = Hosts::make(&[15; 3], "", TABLE);
    let [castor, pollux, helen] = hosts.replays.as_slice() else {
        panic!("three nodes");
    };
    // A silent host may know a set.
    let starts = |node: usize, word: &str| {
        hosts.nodes[node].psql(
            "postgres",
            &format!(
                "alter database {DB} allow_connections {word}; \
         select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{DB}'"
            ),
        )
    };
    starts(2, "false");
    let port = format!("port {}", hosts.nodes[2].port());
    castor.run(&["install", "--first"]).code(3).says(&[
        port.as_str(),
        "cannot be asked",
        "take it out of provider_db",
    ]);
    assert_eq!(hosts.on(0, "select count(*) from trunkline.role"), "0");
    starts(2, "true");
    castor.run(&["install", "--first"]).ok();
    let again = castor.run(&["install", "--first"]).ok().stdout;
    assert!(again.contains("stays the first provider"), "{again}");
    helen.run(&["install"]).ok();
    helen.run(&["start", "-d"]).ok();
    wait_until("helen to hear castor", SOON, || {
        hosts.on(2, "select count(*) from trunkline.members('q1')") != "0"
    });
    // The provider is away, and only a node that follows it answers.
    helen.run(&["stop"]).ok();
    starts(0, "false");
    pollux
        .run(&["install", "--first"])
        .code(3)
        .says(&["is reader for queue q1", port.as_str()]);
    // Nor has helen forgotten it, when it follows no more.
    hosts.on(2, "delete from trunkline.position");
    helen
        .run(&["install", "--first"])
        .code(3)
        .says(&["this database knows term 1 of set q1"]);
    // An install that is older than meetings says its role, too.
    hosts.on(
        2,
        "drop function trunkline.meet(text, jsonb); \
         insert into trunkline.role (queue_name, role, term) values ('q1', 'standby', 1)",
    );
    pollux
        .run(&["install", "--first"])
        .code(3)
        .says(&["is standby for queue q1", port.as_str()]);
    assert_eq!(hosts.on(1, "select count(*) from trunkline.role"), "0");
}

#[test]
fn a_node_that_cannot_reach_the_provider_goes_on_at_one_that_can_and_comes_back() {
    let hosts = Hosts::running(&[18, 15, 10], TABLE);
    // Pollux logs what it applies.
    hosts.on(
        1,
        "select pgq.register_consumer('q1', 'keeper'); \
         select trunkline.add_table('q1', 'keeper', 'public', 't')",
    );
    let known = "select bool_and(tick_origins is not null) from \
        (select tick_origins from pgq.tick order by tick_id desc limit 1) t";
    hosts.on(0, "insert into t values (1, 'a')");
    wait_until("pollux's ticks to say what they contain", SOON, || {
        hosts.on(1, known) == "t"
    });
    hosts.assert_same(2);
    let copies = "select sum(copy_attempt) from trunkline.table_state";
    let copied = hosts.on(2, copies);
    // Helen's way to castor is cut: its sessions end, and it gets no others.
    hosts.on(0, "create role helen login superuser");
    let text = std::fs::read_to_string(&hosts.replays[2].config).unwrap();
    for node in [1, 2] {
        hosts.on(node, "create role helen login superuser");
    }
    std::fs::write(
        &hosts.replays[2].config,
        text.replace("user=walker", "user=helen"),
    )
    .unwrap();
    hosts.replays[2].run(&["restart"]).ok();
    hosts.assert_same(2);
    let follows = |node: usize| {
        let port = format!("port='{}'", hosts.nodes[node].port());
        hosts
            .on(2, "select address from trunkline.position")
            .contains(&port)
    };
    assert!(follows(0));
    hosts.on(
        0,
        "alter role helen nologin; \
         select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'helen'",
    );
    hosts.on(
        0,
        "insert into t values (2, 'b'); update t set v = 'c' where id = 1",
    );
    wait_until("helen to follow pollux", SOON, || follows(1));
    wait_until("the change to come", SOON, || {
        hosts.on(2, "select string_agg(v, '' order by id) from t") == "cb"
    });
    hosts.wait_log(2, "host of the set does not answer");
    wait_until("status to say that helen goes on", SOON, || {
        let status = hosts.replays[2].run(&["status"]).ok().stdout;
        status.contains("level") || status.contains("behind")
    });
    hosts.on(0, "alter role helen login");
    hosts.on(0, "delete from t where id = 1");
    wait_until("helen to follow castor", SOON, || follows(0));
    hosts.on(0, "insert into t values (3, 'd')");
    hosts.assert_same(2);
    assert_eq!(hosts.on(2, copies), copied);
    let moves = "select string_agg(concat_ws(' ', event, other_name), ', ' order by event_id) from trunkline.events('q1')";
    assert_eq!(hosts.on(2, moves), "hopped pollux, hopped castor");
    assert_eq!(
        hosts.on(2, "select sum(conflicts) from trunkline.position"),
        "0"
    );
}

#[test]
fn of_two_providers_nobody_follows_either_until_one_is_fenced_or_a_later_term_is_heard() {
    let hosts = Hosts::running(&[15; 3], TABLE);
    hosts.on(0, "insert into t values (1, 'a')");
    hosts.assert_same(2);
    // Somebody decides otherwise on pollux.
    hosts.replays[1].run(&["remove", "--all"]).ok();
    hosts.replays[1].run(&["stop"]).ok();
    hosts.on(
        1,
        "delete from trunkline.position; select trunkline.begin_set('q1')",
    );
    hosts.replays[1].run(&["start", "-d"]).ok();
    let told = "select count(*) from trunkline.events('q1') where event = 'two_providers' and not ok and told_at is not null";
    for node in 0..3 {
        hosts.wait_log(node, "two providers");
        assert!(hosts.replays[node].log().contains("ERROR"));
        wait_until("it to be told once", SOON, || hosts.on(node, told) == "1");
    }
    for node in [0, 1] {
        wait_until("check to say so", SOON, || {
            let said = hosts.operator(node).run(&["check", "role"]);
            said.code == 2 && said.stdout.contains("two providers of term 1")
        });
    }
    hosts.wait_log(2, "follows nobody");
    // What stands in the log is stored afterwards.
    wait_until("status to say so", SOON, || {
        let status = hosts.replays[2].run(&["status"]).stdout;
        status.contains("critical") && status.contains("two providers")
    });
    hosts.on(0, "insert into t values (2, 'b')");
    hosts.replays[2]
        .run(&["wait", "--timeout", "3"])
        .code(3)
        .says(&["two providers of term 1", "trunkline fence"]);
    assert_eq!(hosts.on(2, "select count(*) from t"), "1");

    // Castor is heard of with a later term: pollux is fenced without anybody's hand, and helen goes on.
    hosts.on(0, "update trunkline.role set term = 2");
    wait_until("pollux to be fenced", SOON, || {
        hosts.on(1, "select role from trunkline.my_role('q1')") == "fenced"
    });
    wait_until("the fence to be told", SOON, || {
        (0..3).any(|node| hosts.log_has(node, "stale provider fenced"))
    });
    hosts.assert_same(2);
    assert_eq!(hosts.on(2, "select count(*) from t"), "2");
    hosts.wait_in_order(0, &["role"]);
    let reason = hosts.on(1, "select reason from trunkline.my_role('q1')");
    assert_eq!(reason, "node castor has term 2");
}
