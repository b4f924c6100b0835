//! Failovers while each of the nodes in turn is cut off from the others. Each node is a host of its own, in a network
//! namespace: packets to and from it vanish, and its own applications go on.

use serde_json::Value;
use tests::{Output, Stop, wait_until};

use crate::{
    SOON, has_namespaces,
    namespace::{Net, address},
    set::{DB, Hosts, NAMES, TABLE, command},
};

/// The nodes of a set, each at its own port of a switch.
struct Apart {
    // The daemons end before their network does.
    hosts: Hosts,
    net: Net,
}

impl Apart {
    fn new() -> Apart {
        let hosts = Hosts::standbys_of(&[15; 3], TABLE);
        let net = Net::of(NAMES.len());
        let apart = Apart { hosts, net };
        for node in 0..NAMES.len() {
            apart.stop(node, Stop::Fast);
            let cluster = &apart.hosts.nodes[node];
            cluster.append("postgresql.conf", "listen_addresses = '*'\n");
            cluster.append("pg_hba.conf", "host all all 10.9.7.0/24 trust\n");
            let config = &apart.hosts.replays[node].config;
            let text = std::fs::read_to_string(config).unwrap();
            let all = vec!["127.0.0.1"; NAMES.len()].join(",");
            assert!(text.contains(&all));
            let list: Vec<String> = (0..NAMES.len()).map(address).collect();
            std::fs::write(config, text.replace(&all, &list.join(","))).unwrap();
            apart.start(node);
        }
        for node in [1, 2] {
            apart.assert_same_as(0, node);
            apart.hosts.wait_relaying(node);
        }
        apart
    }

    fn start(&self, node: usize) {
        let hosts = &self.hosts;
        self.net.hosts[node].enter(|| {
            hosts.nodes[node].start_again();
            hosts.tickers[node].run(&["start", "-d"]).ok();
            hosts.replays[node].run(&["start", "-d"]).ok();
        });
    }

    fn stop(&self, node: usize, how: Stop) {
        self.hosts.replays[node].kill9();
        self.hosts.tickers[node].kill9();
        self.hosts.nodes[node].stop(how);
    }

    fn replay(&self, node: usize, args: &[&str]) -> Output {
        self.net.hosts[node].enter(|| self.hosts.replays[node].run(args))
    }

    fn fail_over(&self, at: usize, more: &[&str]) -> Output {
        let args = [&["failover", "q1", "--elect", "--fenced", "--json"], more].concat();
        self.net.hosts[at].enter(|| command(&self.hosts, at).run(&args))
    }

    #[track_caller]
    fn assert_same_as(&self, provider: usize, node: usize) {
        self.net.hosts[node].enter(|| self.hosts.assert_same_as(provider, node));
    }
}

/// The node that a failover has made the provider.
#[track_caller]
fn elected(said: &Output) -> usize {
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    let name = json["new"].as_str().unwrap();
    NAMES.iter().position(|one| *one == name).unwrap()
}

#[test]
fn whoever_is_cut_off_there_is_one_provider_in_the_end_and_nothing_is_lost_in_silence() {
    if !has_namespaces() {
        return;
    }
    let apart = Apart::new();
    let hosts = &apart.hosts;
    hosts.on(
        0,
        "insert into t select g, 'old' from generate_series(1, 50) g",
    );
    for node in [1, 2] {
        apart.assert_same_as(0, node);
    }

    // The provider is cut off, and its own applications go on.
    apart.net.cut(0);
    hosts.on(
        0,
        "insert into t values (101, 'cut off'); update t set v = 'cut off' where id = 1",
    );
    let said = apart.fail_over(2, &[]).ok();
    let new = elected(&said);
    let other = 3 - new;
    assert_eq!(hosts.role(new), "provider 2");
    hosts.on(new, "update t set v = 'new' where id in (1, 2)");
    apart.assert_same_as(new, other);
    assert_eq!(hosts.role(0), "provider 1");
    hosts.on(0, "delete from t where id = 3");
    apart.net.heal(0);
    hosts.wait_role(0, "fenced 1");
    hosts.nodes[0]
        .try_psql(DB, "begin read write; delete from t; commit")
        .code(1)
        .says(&["takes no writes"]);
    let waits =
        "select count(*) from trunkline.lost where sent_at is not null and handled_at is null";
    wait_until("what was taken meanwhile to be kept on both", SOON, || {
        hosts.on(0, waits) == "1"
            && hosts.on(new, "select count(*) from trunkline.lost_change") == "3"
    });
    apart.replay(0, &["rejoin", "--yes"]).ok();
    hosts.wait_role(0, "standby 2");
    apart.assert_same_as(new, 0);
    // From here on those behind it could go on there.
    hosts.wait_relaying(0);
    hosts.on(new, "insert into t values (199, 'all have it')");
    for node in [0, other] {
        apart.assert_same_as(new, node);
    }

    // A standby is cut off when the provider dies: nobody goes on without it by himself.
    apart.net.cut(other);
    hosts.on(new, "insert into t values (200, 'while one is cut off')");
    apart.assert_same_as(new, 0);
    apart.stop(new, Stop::Immediate);
    let refused = apart.fail_over(0, &[]);
    let refused = refused.code(3).stdout;
    assert!(
        refused.contains(&format!("--without {}", NAMES[other])),
        "{refused}"
    );
    assert_eq!(hosts.role(0), "standby 2");
    // Nor does the node that is cut off, which sees nobody.
    let refused = apart.fail_over(other, &[]).code(3).stdout;
    assert!(refused.contains("--without castor"), "{refused}");
    assert_eq!(hosts.role(other), "standby 2");
    let said = apart.fail_over(0, &["--without", NAMES[other]]).ok();
    assert_eq!(elected(&said), 0);
    hosts.on(0, "insert into t values (201, 'of term 3')");

    // The node that was elected is cut off at once, and the dead provider comes back: the other two know of nothing.
    apart.net.cut(0);
    apart.net.heal(other);
    apart.start(new);
    hosts.on(
        new,
        "insert into t values (202, 'of term 2'); update t set v = 'of term 2' where id in (4, 199)",
    );
    hosts.on(
        0,
        "insert into t values (203, 'of term 3'); update t set v = 'of term 3' where id in (4, 5)",
    );
    apart.assert_same_as(new, other);
    assert_eq!(
        (hosts.role(0).as_str(), hosts.role(new).as_str()),
        ("provider 3", "provider 2")
    );
    apart.net.heal(0);
    hosts.wait_role(new, "fenced 2");
    // Who has followed the one of before goes back by itself; the one of before waits for a person.
    hosts.wait_log(other, "went back to where the later provider begins");
    hosts.wait_role(other, "standby 3");
    apart.assert_same_as(0, other);
    let lost = "select string_agg(c.key_text, ' ' order by c.key_text) from trunkline.lost_change c \
                  join trunkline.lost l using (queue_name, epoch, tick_id) where l.term = 3";
    wait_until("what was taken meanwhile to be kept on both", SOON, || {
        [0, new]
            .iter()
            .all(|node| hosts.on(*node, lost) == "199 202 4")
    });
    apart.replay(new, &["rejoin", "--yes"]).ok();
    hosts.wait_role(new, "standby 3");
    apart.assert_same_as(0, new);
}
