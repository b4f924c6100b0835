//! Standbys of a set of three log what they apply, so that those who have applied less go on at the one that is
//! promoted after the provider's death.

use tests::{Stop, wait_until};

use crate::SOON;
use crate::hosts::{Hosts, NAMES};
use crate::link::DB;

impl Hosts {
    /// The provider is dead: a standby becomes the provider where it stands. By SQL: `trunkline failover` waits until
    /// nobody has met the provider for ten seconds, and refuses where it answers.
    #[track_caller]
    pub(crate) fn fail_over(&self, old: usize, new: usize) {
        let old_id = self.on(
            new,
            &format!(
                "select node_id from trunkline.member where name = '{}'",
                NAMES[old]
            ),
        );
        let new_id = self.on(new, "select node_id from trunkline.node");
        let operation = self.on(new, "select (random() * 1e15)::bigint");
        self.on(
            new,
            &format!(
                "select trunkline.begin_operation('q1', {operation}, 'failover', {old_id}, 'old', {new_id}, \
                 'new', false)"
            ),
        );
        // Its replay may just be applying a last batch of the provider that is dead.
        let promote = format!(
            "begin read write; \
             select trunkline.promote('q1', {operation}, 'failover', epoch, tick_id, tick_tag, null) \
               from trunkline.position; commit"
        );
        let mut refused = String::new();
        wait_until("the promotion", SOON, || {
            let output = self.nodes[new].try_psql(DB, &promote);
            if output.code != 0 && output.stderr != refused {
                println!("{}", output.stderr);
                refused = output.stderr;
            }
            output.code == 0
        });
        let over = "select trunkline.open_tables('q1')";
        wait_until("all tables to be open", SOON, || self.on(new, over) == "0");
        self.on(
            new,
            "update trunkline.operation set step = 'done' where step <> 'done'",
        );
    }

    /// Ticks of the first node, some of which another one applies and the last one does not.
    pub(crate) fn drift(&self, provider: usize, ahead: usize, behind: usize) {
        self.replays[ahead].wait_level();
        self.replays[behind].wait_level();
        // The one that goes ahead makes no ticks of its own meanwhile, so that the place of the other is between two of
        // them.
        self.tickers[ahead].run(&["stop"]).ok();
        let number = |text: String| text.parse::<i64>().unwrap();
        let at = |node: usize| number(self.on(node, "select tick_id from trunkline.position"));
        for round in 0..6 {
            self.on(
                provider,
                &format!(
                    "insert into t (v) select 'round {round}' from generate_series(1, 20); \
                     update t set v = v || '.' where id % 3 = {round} % 3; delete from t where id = 10 + {round}; \
                     update p set at = (at + 50) % 200 where id % 5 = {round} % 5"
                ),
            );
            let tick = number(self.on(provider, "select pgq.force_tick('q1')"));
            wait_until("a tick to be applied", SOON, || at(ahead) > tick);
            if round == 2 {
                wait_until("a tick to be applied", SOON, || at(behind) > tick);
                self.replays[behind].run(&["stop"]).ok();
            }
        }
        self.tickers[ahead].run(&["start", "-d"]).ok();
    }
}

#[test]
fn who_is_behind_goes_on_at_the_standby_that_is_promoted_and_so_does_everybody_after_a_second_failover()
 {
    let hosts = Hosts::standbys(&[15, 18, 11]);
    hosts.on(
        0,
        "insert into t (v) select g from generate_series(1, 500) g; \
         insert into p select g, g % 200, 'x' from generate_series(1, 500) g",
    );
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.wait_relaying(node);
        hosts.assert_same(node);
    }
    let copies = |node: usize| hosts.replays[node].log().matches("copied").count();
    let before: Vec<usize> = (0..3).map(copies).collect();

    hosts.drift(0, 1, 2);
    hosts.replays[0].run(&["stop"]).ok();
    hosts.tickers[0].run(&["stop"]).ok();
    hosts.nodes[0].stop(Stop::Immediate);
    hosts.fail_over(0, 1);
    hosts.on(1, "insert into t (v) values ('of term 2')");
    hosts.replays[2].run(&["start", "-d"]).ok();
    hosts.assert_same_as(1, 2);
    let hopped = |node: usize| -> Vec<String> {
        let log = hosts.replays[node].log();
        let hops = log.lines().filter(|line| line.contains("hopped"));
        hops.map(str::to_owned).collect()
    };
    hosts.wait_log(2, "hopped");
    let last = hopped(2);
    assert!(
        last.last()
            .is_some_and(|hop| hop.contains("once_more=true")),
        "{last:?}"
    );
    let after: Vec<usize> = (0..3).map(copies).collect();
    assert_eq!(before, after, "nothing was copied");
    assert_eq!(
        hosts.on(2, "select count(*) from trunkline.conflict"),
        "0",
        "what is applied once more is no conflict"
    );
}

#[test]
fn a_former_provider_logs_again_for_those_behind_it() {
    let hosts = Hosts::standbys(&[15, 15, 11]);
    hosts.on(
        0,
        "insert into t (v) select g from generate_series(1, 200) g",
    );
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.wait_relaying(node);
    }
    hosts.on(
        1,
        "insert into trunkline.left_upstream (consumer, epoch) values ('pollux', 77)",
    );
    let epoch = || hosts.on(0, "select queue_epoch from pgq.queue");
    let before = epoch();
    hosts.switch(0, 1);
    hosts.wait_role(0, "standby 2");
    wait_until("a log of another identity", SOON, || epoch() != before);
    hosts.wait_relaying(0);
    wait_until(
        "nobody to read the new log and to hold its events",
        SOON,
        || hosts.on(0, "select count(*) from pgq.subscription") == "0",
    );
    assert_eq!(
        hosts.on(
            1,
            "select count(*) from trunkline.left_upstream where epoch = 77"
        ),
        "1",
        "where a consumer may be left is known to the provider, too"
    );
    for node in [0, 2] {
        hosts.wait_role(node, "standby 2");
        hosts.wait_ready(node);
        hosts.assert_same_as(1, node);
    }
    hosts.drift(1, 0, 2);
    hosts.replays[1].run(&["stop"]).ok();
    hosts.tickers[1].run(&["stop"]).ok();
    hosts.nodes[1].stop(Stop::Immediate);
    hosts.fail_over(1, 0);
    hosts.replays[2].run(&["start", "-d"]).ok();
    hosts.assert_same_as(0, 2);
}

fn told(hosts: &Hosts, node: usize) -> String {
    let events = "select string_agg(event, ' ' order by event_id) from trunkline.event \
                   where event like 'relay%'";
    hosts.nodes[node].psql(DB, events)
}

#[test]
fn a_pair_logs_nothing_and_a_set_of_three_not_what_it_may_not() {
    let hosts = Hosts::standbys(&[15; 3]);
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.wait_relaying(node);
    }
    let always =
        r"select count(*) from pg_trigger where tgname like 'trunkline\_%' and tgenabled = 'A'";
    // One that shall not.
    let config = std::fs::read_to_string(&hosts.replays[2].config).unwrap();
    std::fs::write(
        &hosts.replays[2].config,
        config.replacen("standby = true", "standby = true\nrelay = false", 1),
    )
    .unwrap();
    hosts.replays[2].run(&["reload"]).ok();
    wait_until("helen to log nothing", SOON, || hosts.on(2, always) == "0");
    // One that has nobody beside the provider any more.
    hosts.replays[2].run(&["stop"]).ok();
    hosts.tickers[2].run(&["stop"]).ok();
    let helen = hosts.on(2, "select node_id from trunkline.node");
    assert_eq!(told(&hosts, 2), "relay_on relay_off");
    let logs = hosts.logs(&[0, 1]);
    hosts.nodes[2].stop(Stop::Fast);
    hosts.wait_silent(&logs);
    for node in [0, 1] {
        hosts.on(
            node,
            &format!("select trunkline.forget_member('q1', {helen})"),
        );
    }
    wait_until("pollux to log nothing", SOON, || hosts.on(1, always) == "0");
    assert_eq!(told(&hosts, 1), "relay_on relay_off");
    // What is written now is in no log: who stood before it finds no place here, and a promotion lets the log begin
    // anew.
    hosts.on(0, "insert into t (v) values ('in no log')");
    hosts.assert_same(1);
    hosts.switch(0, 1);
    assert_eq!(
        hosts.on(1, "select min(tick_id) from pgq.tick"),
        hosts.on(
            1,
            "select max(tick_id) from trunkline.history where term = 2"
        ),
    );
    hosts.wait_role(0, "standby 2");
    hosts.assert_same_as(1, 0);
}
