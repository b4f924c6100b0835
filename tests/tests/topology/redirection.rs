//! Who is the provider is told to the programs that lead clients there: after each start, and whenever that changes.

use tests::wait_until;

use crate::SOON;
use crate::events::{KEEPER, Told, configure, events, wait_told};
use crate::hosts::{Hosts, TABLE};
#[test]
fn redirection_is_a_state_that_is_told_after_each_start_and_each_change() {
    let hosts = Hosts::make(&[15; 3], "client_db = 'host=replay1'", TABLE);
    let (told, path) = Told::handler(&hosts, 2, "redirect", KEEPER);
    configure(&hosts, 2, &format!("redirect_command = '{path} %a %c %E'"));
    hosts.replays[0].run(&["install", "--first"]).ok();
    for replay in &hosts.replays[1..] {
        replay.run(&["install"]).ok();
    }
    for replay in &hosts.replays {
        replay.run(&["start", "-d"]).ok();
    }
    let calls = || -> Vec<String> {
        let calls = told.calls();
        calls.iter().map(|call| call[..3].join(" ")).collect()
    };
    let wait = |wanted: &[&str]| {
        wait_until("the redirection", SOON, || calls().len() >= wanted.len());
        assert_eq!(calls(), wanted);
    };
    let castor = "castor host=castor 1";
    wait(&[castor]);
    hosts.replays[2].run(&["restart"]).ok();
    wait(&[castor; 2]);
    hosts.on(
        0,
        "select trunkline.add_table('q1', 'keeper', 'public', 't')",
    );
    // A fence that ends leaves the provider as it was: nothing is to be done.
    hosts.operator(0).run(&["fence", "q1"]).ok();
    let seen = "select role from trunkline.members('q1') where name = 'castor'";
    wait_until("the fence to be heard", SOON, || {
        hosts.on(2, seen) == "fenced"
    });
    hosts.operator(0).run(&["unfence", "q1"]).ok();
    wait_until("its end to be heard", SOON, || {
        hosts.on(2, seen) == "provider"
    });

    // Pollux becomes the provider of the next term, while the rules cannot be made.
    told.while_there("fail", true);
    hosts.replays[1].run(&["stop"]).ok();
    hosts.on(
        1,
        "delete from trunkline.position; \
         insert into trunkline.role (queue_name, role, term) values ('q1', 'provider', 2)",
    );
    hosts.replays[1].run(&["start", "-d"]).ok();
    hosts.wait_log(2, "not redirected");
    let log = hosts.replays[2].log();
    assert!(
        log.contains("provider=pollux term=2") && log.contains("no rules for host=pollux"),
        "{log}"
    );
    wait_until("the failure to be an event", SOON, || {
        events(&hosts, 2).contains("redirect_failed")
    });
    assert_eq!(calls().len(), 2);
    told.while_there("fail", false);
    wait(&[castor, castor, "pollux host=pollux 2"]);
    // Castor has heard of it, too, and was fenced by it.
    wait_until("castor to be fenced", SOON, || {
        events(&hosts, 0).ends_with("fenced stale_provider_fenced")
    });
    let other = "select m.name from trunkline.event e join trunkline.member m on m.node_id = e.other_node \
                  where e.event = 'stale_provider_fenced'";
    assert_eq!(hosts.on(0, other), "pollux");
    let refused = hosts.nodes[0].try_psql(
        crate::link::DB,
        "begin read write; insert into t values (9)",
    );
    assert!(
        refused.stderr.contains("Its provider is node pollux"),
        "{}",
        refused.stderr
    );
    // A further term of the same provider is another state.
    hosts.on(1, "update trunkline.role set term = 3");
    wait(&[
        castor,
        castor,
        "pollux host=pollux 2",
        "pollux host=pollux 3",
    ]);
    assert_eq!(events(&hosts, 2).matches("redirect_failed").count(), 1);
}

#[test]
fn a_switchover_is_told_on_both_nodes_and_leads_clients_to_the_new_provider() {
    let hosts = Hosts::standbys(&[15; 2]);
    let redirects: Vec<Told> = (0..2)
        .map(|node| {
            let (told, path) = Told::handler(&hosts, node, "redirect", KEEPER);
            configure(
                &hosts,
                node,
                &format!("client_db = 'host=replay{node}'\nredirect_command = '{path} %a %c %E'"),
            );
            hosts.replays[node].run(&["install"]).ok();
            hosts.replays[node].run(&["reload"]).ok();
            told
        })
        .collect();
    let wait = |provider: &str| {
        for told in &redirects {
            wait_until("clients to be led there", SOON, || {
                let calls = told.calls();
                calls
                    .last()
                    .is_some_and(|call| call[..3].join(" ") == provider)
            });
        }
    };
    wait("castor host=replay0 1");
    hosts.wait_ready(1);
    hosts.switch(0, 1);
    wait("pollux host=replay1 2");
    for (node, wanted) in [
        (
            0,
            "primary_register switchover_started fenced node_rejoin standby_follow",
        ),
        (
            1,
            "standby_register switchover_started standby_promote standby_switchover",
        ),
    ] {
        wait_until("all to be told", SOON, || events(&hosts, node) == wanted);
        wait_told(&hosts, node);
        let others = "select string_agg(distinct coalesce(other_name, '-'), ' ') from trunkline.events('q1') \
                       where event not in ('primary_register', 'standby_register', 'fenced')";
        assert_eq!(hosts.on(node, others), ["pollux", "castor"][node]);
    }
}
