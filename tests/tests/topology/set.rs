//! Nodes that all name each other, each with a ticker and a replay whose subscriber is the node itself. Also for the
//! tests of what stands around a set (`tests/tests/ha`).

use tests::{Cluster, Daemons, Node, Scratch, Server, compare, configure, wait_until};

use crate::SOON;

pub(crate) const DB: &str = "db1";

pub(crate) const NAMES: [&str; 3] = ["castor", "pollux", "helen"];

/// Nodes that all name each other, each with a ticker and a replay whose subscriber is the node itself.
pub(crate) struct Hosts {
    // The first field is dropped first: daemons end before their servers.
    _daemons: Daemons,
    pub(crate) tickers: Vec<Node>,
    pub(crate) replays: Vec<Node>,
    pub(crate) nodes: Vec<Cluster>,
    pub(crate) scratches: Vec<Scratch>,
}

impl Hosts {
    /// Nothing is installed yet but the queues.
    pub(crate) fn make(versions: &[u32], lines: &str, tables: &str) -> Hosts {
        let nodes: Vec<Cluster> = versions
            .iter()
            .map(|version| Cluster::builder(&Server::version(*version)).start())
            .collect();
        let mut hosts = Hosts {
            _daemons: Daemons::default(),
            tickers: Vec::new(),
            replays: Vec::new(),
            scratches: Vec::new(),
            nodes,
        };
        let ports: Vec<String> = hosts
            .nodes
            .iter()
            .map(|one| one.port().to_string())
            .collect();
        let list = format!(
            "host={} port={} user=walker dbname={DB}",
            vec!["127.0.0.1"; ports.len()].join(","),
            ports.join(",")
        );
        for (node, name) in hosts.nodes.iter().zip(NAMES) {
            node.create_db(DB);
            node.psql(DB, "create role walker login superuser");
            node.psql(DB, tables);
            let scratch = Scratch::new();
            let (ticker, replay) = configure(
                &scratch,
                DB,
                node,
                &[node],
                "",
                &format!(
                    "node = \"{name}\"\nlost_dir = \"{}\"\n{lines}",
                    scratch.path().join("lost").display()
                ),
            );
            let text = std::fs::read_to_string(&replay.config).unwrap();
            let text = text
                .replace("replay1", name)
                .replacen(&node.conninfo(DB), &list, 1);
            std::fs::write(&replay.config, text).unwrap();
            let replay = Node::new("replay", &scratch, &replay.config, name);
            ticker.run(&["install"]).ok();
            ticker.run(&["start", "-d"]).ok();
            hosts._daemons.0.extend([replay.clone(), ticker.clone()]);
            hosts.tickers.push(ticker);
            hosts.replays.push(replay);
            hosts.scratches.push(scratch);
        }
        hosts
    }

    /// Servers with an empty database each, the first one with these tables; nothing is installed.
    pub(crate) fn bare(versions: &[u32], tables: &str) -> Hosts {
        let nodes: Vec<Cluster> = versions
            .iter()
            .map(|version| Cluster::builder(&Server::version(*version)).start())
            .collect();
        for node in &nodes {
            node.create_db(DB);
        }
        nodes[0].psql(DB, tables);
        Hosts {
            _daemons: Daemons::default(),
            tickers: Vec::new(),
            replays: Vec::new(),
            scratches: vec![Scratch::new()],
            nodes,
        }
    }

    /// Has these daemons ended when the hosts are dropped.
    pub(crate) fn end_at_last(&mut self, daemons: impl IntoIterator<Item = Node>) {
        self._daemons.0.extend(daemons);
    }

    /// The first node is the provider, the others follow it.
    pub(crate) fn running(versions: &[u32], tables: &str) -> Hosts {
        let hosts = Hosts::make(versions, "", tables);
        hosts.replays[0].run(&["install", "--first"]).ok();
        for replay in &hosts.replays {
            replay.run(&["install"]).ok();
            replay.run(&["start", "-d"]).ok();
        }
        for replay in &hosts.replays[1..] {
            replay.run(&["add", "--all", "--wait"]).ok();
        }
        hosts
    }

    #[track_caller]
    pub(crate) fn on(&self, node: usize, sql: &str) -> String {
        self.nodes[node].psql(DB, &format!("begin read write; {sql}; commit"))
    }

    pub(crate) fn log_has(&self, node: usize, text: &str) -> bool {
        self.replays[node].log().contains(text)
    }

    #[track_caller]
    pub(crate) fn wait_log(&self, node: usize, text: &str) {
        wait_until(&format!("{} to say {text}", NAMES[node]), SOON, || {
            self.log_has(node, text)
        });
    }

    /// Waits until `trunkline check` of a node says that all is in order.
    #[track_caller]
    pub(crate) fn wait_in_order(&self, node: usize, checks: &[&str]) {
        let args = [&["check"], checks].concat();
        let mut said = String::new();
        wait_until(&format!("{} to be in order", NAMES[node]), SOON, || {
            let output = self.operator(node).run(&args);
            if output.stdout != said {
                println!("{}: {}", NAMES[node], output.stdout);
                said = output.stdout;
            }
            output.code == 0
        });
    }

    /// Kills a node's replay, and waits until what it had begun in its database is committed or rolled back.
    #[track_caller]
    pub(crate) fn kill_replay(&self, node: usize) {
        self.replays[node].kill9();
        self.nodes[node].wait_left(&format!("trunkline % {}", NAMES[node]));
    }

    /// Kills a node's ticker, and waits until it makes no tick any more.
    #[track_caller]
    pub(crate) fn kill_ticker(&self, node: usize) {
        self.tickers[node].kill9();
        self.nodes[node].wait_left("trunkline % ticker1");
    }

    /// Waits until this many nodes have met a host in vain whose server has ended: what they have heard of it before is
    /// stored by then. `logs` are the lengths of their logs before that end.
    #[track_caller]
    pub(crate) fn wait_silent(&self, logs: &[(usize, usize)]) {
        for (node, from) in logs {
            self.replays[*node].wait_log_from(*from, "host of the set does not answer");
        }
    }

    /// The lengths of the logs of these nodes' replays.
    pub(crate) fn logs(&self, nodes: &[usize]) -> Vec<(usize, usize)> {
        let length = |node: &usize| (*node, self.replays[*node].log().len());
        nodes.iter().map(length).collect()
    }

    #[track_caller]
    pub(crate) fn assert_same(&self, node: usize) {
        self.assert_same_as(0, node);
    }

    /// The node has all that the provider has.
    #[track_caller]
    pub(crate) fn assert_same_as(&self, provider: usize, node: usize) {
        self.replays[node].wait_level();
        for table in tests::tables_of(&self.nodes[provider], DB) {
            compare((&self.nodes[provider], DB), (&self.nodes[node], DB), &table)
                .unwrap_or_else(|difference| panic!("{}: {difference}", NAMES[node]));
        }
    }

    /// All tables of the node are logged, tick by tick, from some place on.
    #[track_caller]
    pub(crate) fn wait_relaying(&self, node: usize) {
        let silent = "select count(*) from trunkline.table_state where logged_from is null";
        wait_until(&format!("{} to log for others", NAMES[node]), SOON, || {
            self.on(node, silent) == "0"
        });
    }

    pub(crate) fn operator(&self, node: usize) -> Node {
        let config = &self.tickers[node].config;
        Node::new("trunkline", &self.scratches[node], config, "ticker1")
    }
}

pub(crate) const TABLE: &str = "create table t (id int primary key, v text)";

impl Hosts {
    /// The first node is the provider of these tables, and the others are its standbys.
    pub(crate) fn standbys_of(versions: &[u32], tables: &str) -> Hosts {
        let hosts = Hosts::make(versions, "standby = true", tables);
        hosts.replays[0].run(&["install", "--first"]).ok();
        for replay in &hosts.replays {
            replay.run(&["install"]).ok();
            replay.run(&["start", "-d"]).ok();
        }
        for replay in &hosts.replays[1..] {
            replay.run(&["add", "--all", "--with-seqs", "--wait"]).ok();
        }
        hosts
    }

    /// A further queue in the databases of all nodes, with this table; each node's replay of it is a standby's. Gives
    /// these replays; their configs, and those of queue q1, are in a directory `set` of each node's scratch.
    pub(crate) fn further_queue(&mut self, queue: &str, table: &str) -> Vec<Node> {
        let mut replays = Vec::new();
        for (node, name) in NAMES.iter().enumerate().take(self.nodes.len()) {
            self.on(
                node,
                &format!("create table {table} (id int primary key, v text)"),
            );
            let (scratch, ticker) = (&self.scratches[node], &self.tickers[node]);
            let text = std::fs::read_to_string(&ticker.config).unwrap();
            let text = text.replace("queues = [", &format!("queues = [\"{queue}\", "));
            std::fs::write(&ticker.config, text).unwrap();
            ticker.run(&["install"]).ok();
            ticker.run(&["reload"]).ok();
            let first = std::fs::read_to_string(&self.replays[node].config).unwrap();
            scratch.file("set/q1.toml", &first);
            let job = format!("{name}-{queue}");
            let text = first
                .replace(
                    &format!("job_name = \"{name}\""),
                    &format!("job_name = \"{job}\""),
                )
                .replace("\"q1\"", &format!("\"{queue}\""));
            let config = scratch.file(&format!("set/{queue}.toml"), &text);
            replays.push(Node::new("replay", scratch, &config, &job));
        }
        replays[0].run(&["install", "--first"]).ok();
        for replay in &replays {
            replay.run(&["install"]).ok();
            replay.run(&["start", "-d"]).ok();
        }
        for replay in &replays[1..] {
            replay.run(&["add", table, "--wait"]).ok();
        }
        self._daemons.0.extend(replays.iter().cloned());
        replays
    }

    pub(crate) fn role(&self, node: usize) -> String {
        self.role_of(node, "q1")
    }

    pub(crate) fn role_of(&self, node: usize, queue: &str) -> String {
        let role = format!("select role || ' ' || term from trunkline.my_role('{queue}')");
        self.on(node, &role)
    }

    #[track_caller]
    pub(crate) fn wait_role(&self, node: usize, role: &str) {
        wait_until(&format!("{} to be {role}", NAMES[node]), SOON, || {
            self.role(node) == role
        });
    }
}

/// `trunkline` with the config of a node's replay.
pub(crate) fn command(hosts: &Hosts, node: usize) -> Node {
    let config = &hosts.replays[node].config;
    Node::new("trunkline", &hosts.scratches[node], config, NAMES[node])
}

/// Waits until a switchover to this node would not be refused.
#[track_caller]
pub(crate) fn wait_can(hosts: &Hosts, new: usize) {
    let dry = ["switchover", "q1", "--to", NAMES[new], "--dry-run"];
    wait_until(&format!("{} to be fit", NAMES[new]), SOON, || {
        command(hosts, new).run(&dry).code == 0
    });
}
