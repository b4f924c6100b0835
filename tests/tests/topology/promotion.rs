//! A standby becomes the provider where the log of a fenced one ends, by the functions that `trunkline switchover`
//! calls; the former provider joins it, and the others go on there.

use tests::{Cluster, Daemons, Node, Scratch, Server, compare, configure, wait_until};

use crate::SOON;
use crate::hosts::{Hosts, NAMES};
use crate::link::DB;

const TABLES: &str = "\
    create table t (id serial primary key, v text); \
    create table p (id int, at int, v text, primary key (id, at)) partition by range (at); \
    create table p1 partition of p for values from (0) to (100); \
    create table p2 partition of p for values from (100) to (200); \
    create table log (at int, line text); \
    create sequence free";

/// What version 10 knows.
pub(crate) const TABLES_10: &str =
    "create table t (id serial primary key, v text); create table log (at int, line text)";

impl Hosts {
    pub(crate) fn standbys(versions: &[u32]) -> Hosts {
        let tables = if versions.contains(&10) {
            TABLES_10
        } else {
            TABLES
        };
        Hosts::standbys_with(versions, tables)
    }

    /// With these tables, of which `log` has no key.
    pub(crate) fn standbys_with(versions: &[u32], tables: &str) -> Hosts {
        Hosts::standbys_keyless(versions, tables, &[("public.log", "full")])
    }

    /// With these tables, and the identities of those that have no key.
    pub(crate) fn standbys_keyless(
        versions: &[u32],
        tables: &str,
        keyless: &[(&str, &str)],
    ) -> Hosts {
        let hosts = Hosts::make(versions, "standby = true", tables);
        hosts.replays[0].run(&["install", "--first"]).ok();
        for replay in &hosts.replays {
            replay.run(&["install"]).ok();
            replay.run(&["start", "-d"]).ok();
        }
        for replay in &hosts.replays[1..] {
            for (table, identity) in keyless {
                replay.run(&["add", table, "--identity", identity]).ok();
            }
            replay.run(&["add", "--all", "--with-seqs", "--wait"]).ok();
            replay.run(&["add-seq", "--all"]).ok();
        }
        hosts
    }

    #[track_caller]
    pub(crate) fn wait_ready(&self, node: usize) {
        let why =
            "select coalesce(string_agg(reason, '; '), '') from trunkline.not_promotable('q1')";
        wait_until(&format!("{} to be promotable", NAMES[node]), SOON, || {
            self.on(node, why).is_empty()
        });
    }

    /// Moves the provider from one node to another, as the command does it.
    #[track_caller]
    pub(crate) fn switch(&self, old: usize, new: usize) {
        let operation = self.begin(old, new);
        let place = self.on(
            old,
            "select epoch || ',' || tick_id || ',' || tick_tag from trunkline.fence('q1')",
        );
        let set = self.on(old, "select trunkline.set_state('q1')");
        self.wait_at(new, &place);
        self.on(new, &promote(&operation, &place, &set));
        let over = "select trunkline.open_tables('q1')";
        wait_until("all tables to be open", SOON, || self.on(new, over) == "0");
        for node in [old, new] {
            self.on(
                node,
                "update trunkline.operation set step = 'done' where step <> 'done'",
            );
        }
    }

    pub(crate) fn begin(&self, old: usize, new: usize) -> String {
        let id = |node: usize| self.on(node, "select node_id from trunkline.node");
        let operation = self.on(old, "select (random() * 1e15)::bigint");
        let begin = format!(
            "select trunkline.begin_operation('q1', {operation}, 'switchover', {}, 'old', {}, 'new', false)",
            id(old),
            id(new)
        );
        self.on(new, &begin);
        self.on(old, &begin);
        operation
    }

    #[track_caller]
    fn wait_at(&self, node: usize, place: &str) {
        let at = "select epoch || ',' || tick_id || ',' || tick_tag from trunkline.position";
        wait_until("the standby to have the final tick", SOON, || {
            self.on(node, at) == place
        });
    }
}

pub(crate) fn promote(operation: &str, place: &str, set: &str) -> String {
    format!("select trunkline.promote('q1', {operation}, 'switchover', {place}, '{set}')")
}

#[test]
fn the_provider_moves_there_and_back_and_everybody_goes_on_without_a_copy() {
    let hosts = Hosts::standbys(&[15, 18, 11]);
    hosts.on(
        0,
        "insert into t (v) select g from generate_series(1, 500) g; \
         insert into p select g, g % 200, 'x' from generate_series(1, 500) g; \
         insert into log select g, 'l' from generate_series(1, 50) g; \
         select nextval('free'), nextval('free')",
    );
    for node in [1, 2] {
        hosts.wait_ready(node);
    }
    let copies = |node: usize| hosts.replays[node].log().matches("copied").count();
    let before: Vec<usize> = (0..3).map(copies).collect();

    let mut provider = 0;
    for (turn, new) in [1, 0, 2, 0].into_iter().enumerate() {
        let old = provider;
        let next: i64 = hosts
            .on(old, "insert into t (v) values ('n') returning id")
            .parse()
            .unwrap();
        hosts.on(
            old,
            "update t set v = v || '.' where id % 7 = 0; delete from t where id = 8; \
             update p set at = (at + 100) % 200 where id % 5 = 0; insert into log values (1, 'again')",
        );
        hosts.switch(old, new);
        provider = new;
        let term = turn + 2;
        assert_eq!(hosts.role(new), format!("provider {term}"));
        // The first number is the next one, and not some hundreds later.
        let first = hosts.on(new, "insert into t (v) values ('m') returning id");
        assert_eq!(first.parse::<i64>().unwrap(), next + 1, "turn {turn}");
        hosts.on(
            new,
            "insert into t (v) select 'many' from generate_series(1, 100); truncate p2; \
             update log set line = 'u' where at = 2",
        );
        for node in 0..3 {
            if node == new {
                continue;
            }
            hosts.wait_role(node, &format!("standby {term}"));
            let write = hosts.nodes[node].try_psql(DB, "begin read write; delete from t; commit");
            write.code(1).says(&["takes no writes"]);
            hosts.assert_same_as(new, node);
        }
        for node in 0..3 {
            if node != new {
                hosts.wait_ready(node);
            }
        }
    }
    let after: Vec<usize> = (0..3).map(copies).collect();
    assert_eq!(before, after, "nothing was copied");
    for node in 0..3 {
        hosts.wait_in_order(node, &[]);
        wait_until("status to say who is the provider", SOON, || {
            let status = hosts.replays[node].run(&["status"]).ok().stdout;
            status.contains("castor: provider") || node == 0
        });
        wait_until("capture for those who are there alone", SOON, || {
            let captured = hosts.operator(node).run(&["capture", "list"]).ok().stdout;
            !captured.contains("gone")
        });
    }
    // Nobody holds the queue of a node that is not read.
    for node in [1, 2] {
        wait_until("consumers to be ended", SOON, || {
            hosts.on(node, "select count(*) from pgq.subscription") == "0"
        });
    }
}

#[test]
fn a_node_that_was_away_reads_the_rest_of_the_old_log_first_and_a_follower_of_the_new_provider_stays()
 {
    let hosts = Hosts::standbys(&[10, 10, 15]);
    let behind = Follower::of(&hosts, 1);
    hosts.on(
        0,
        "insert into t (v) select g from generate_series(1, 100) g",
    );
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.assert_same(node);
    }
    behind.assert_same(&hosts, 1);
    hosts.replays[2].run(&["stop"]).ok();
    hosts.on(0, "update t set v = v || '!' where id > 50; delete from t where id = 3; insert into log values (7, 'l')");
    hosts.switch(0, 1);
    hosts.wait_role(0, "standby 2");
    hosts.on(
        1,
        "delete from t where id = 4; update t set v = 'new' where id = 60",
    );
    hosts.assert_same_as(1, 0);
    // Its place is in the middle of the log that has ended: the former provider gives the rest of it, and no more.
    hosts.on(0, "select pgq.force_tick('q1')");
    hosts.replays[2].run(&["start", "-d"]).ok();
    hosts.assert_same_as(1, 2);
    hosts.wait_log(2, "hopped");
    let log = hosts.replays[2].log();
    let hops: Vec<&str> = log.lines().filter(|line| line.contains("hopped")).collect();
    assert!(
        hops.len() == 1 && hops[0].contains("once_more=false"),
        "{hops:?}"
    );

    // Who follows the new provider's log through all of this has not noticed.
    hosts.on(1, "insert into t (v) values ('last')");
    behind.assert_same(&hosts, 1);
    assert!(!behind.replay.log().contains("hopped"));
    let triggers =
        r"select count(*) from pg_trigger where tgname like 'trunkline\_%' and tgenabled = 'A'";
    wait_until("capture of ordinary sessions alone", SOON, || {
        hosts.on(1, triggers) == "0"
    });
    behind.assert_same(&hosts, 1);
}

/// A plain subscriber whose provider is one node of the set, whatever its role.
pub(crate) struct Follower {
    // The first field is dropped first: daemons end before their servers.
    _daemons: Daemons,
    pub(crate) replay: Node,
    pub(crate) node: Cluster,
    _scratch: Scratch,
}

impl Follower {
    pub(crate) fn of(hosts: &Hosts, upstream: usize) -> Follower {
        let follower = Follower::configured(hosts, upstream, "replay1");
        follower.follow();
        follower
    }

    /// Begins to follow with all tables.
    pub(crate) fn follow(&self) {
        let replay = &self.replay;
        replay.run(&["install"]).ok();
        replay.run(&["start", "-d"]).ok();
        replay
            .run(&["add", "public.log", "--identity", "full"])
            .ok();
        replay.run(&["add", "--all", "--wait"]).ok();
    }

    /// A config and a database.
    pub(crate) fn configured(hosts: &Hosts, upstream: usize, job: &str) -> Follower {
        let node = Cluster::builder(&Server::version(15)).start();
        node.create_db(DB);
        node.psql(DB, TABLES_10);
        let scratch = Scratch::new();
        let (_, replay) = configure(&scratch, DB, &hosts.nodes[upstream], &[&node], "", "");
        let text = std::fs::read_to_string(&replay.config).unwrap();
        std::fs::write(&replay.config, text.replace("replay1", job)).unwrap();
        let replay = Node::new("replay", &scratch, &replay.config, job);
        Follower {
            _daemons: Daemons(vec![replay.clone()]),
            replay,
            node,
            _scratch: scratch,
        }
    }

    #[track_caller]
    pub(crate) fn assert_same(&self, hosts: &Hosts, provider: usize) {
        self.replay.wait_level();
        for table in tests::tables_of(&hosts.nodes[provider], DB) {
            compare((&hosts.nodes[provider], DB), (&self.node, DB), &table)
                .unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
}
