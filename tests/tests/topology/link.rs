//! Nodes in a row or in a ring: databases, and between two of them a ticker and a replay.

use std::time::Duration;

use tests::{
    Cluster, ClusterBuilder, Daemons, Node, Scratch, compare, configure, unclean_lines, wait_until,
};

/// The database on every node.
pub(crate) use crate::set::DB;

/// One job: the ticker of its provider, and its replay.
#[derive(Debug)]
pub(crate) struct Link {
    // The first field is dropped first: daemons end before their servers.
    _daemons: Daemons,
    /// The ticker of the provider.
    pub(crate) ticker: Node,
    /// The job's replay.
    pub(crate) replay: Node,
    _scratch: Scratch,
}

impl Link {
    /// Writes the config files of job `replayN`; nothing is installed or started. All queues have one name.
    pub(crate) fn new(number: usize, from: &Cluster, to: &Cluster, replay_lines: &str) -> Link {
        let scratch = Scratch::new();
        let (ticker, replay) = configure(&scratch, DB, from, &[to], "", replay_lines);
        let text = std::fs::read_to_string(&replay.config).unwrap();
        let job = format!("replay{number}");
        std::fs::write(&replay.config, text.replace("replay1", &job)).unwrap();
        let replay = Node::new("replay", &scratch, &replay.config, &job);
        Link {
            _daemons: Daemons(vec![replay.clone(), ticker.clone()]),
            ticker,
            replay,
            _scratch: scratch,
        }
    }

    /// Installs both ends and starts both daemons.
    #[track_caller]
    pub(crate) fn start(&self) {
        self.ticker.run(&["install"]).ok();
        self.ticker.run(&["start", "-d"]).ok();
        self.replay.run(&["install"]).ok();
        self.replay.run(&["start", "-d"]).ok();
    }

    /// The states of the job's tables, without those that are in sync.
    fn unfinished(&self) -> Vec<String> {
        let said = self.replay.run(&["tables"]).ok().stdout;
        let tables = said.lines().skip(1);
        tables
            .filter(|line| !line.ends_with(" ok"))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until every table of the job is `ok`.
    #[track_caller]
    pub(crate) fn wait_ok(&self) {
        wait_until("all tables to be ok", Duration::from_secs(180), || {
            self.unfinished().is_empty()
        });
    }

    /// Waits until what is committed on the provider now is applied.
    #[track_caller]
    pub(crate) fn sync(&self) {
        self.replay.wait_level();
    }

    /// Lines of WARN and ERROR of both daemons, without those that hold an allowed text.
    pub(crate) fn unclean(&self, allowed: &[&str]) -> Vec<String> {
        [&self.ticker, &self.replay]
            .into_iter()
            .flat_map(|node| unclean_lines(&node.log(), allowed))
            .collect()
    }
}

/// Nodes in a row, each replicated into the next one.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The jobs, in the order of the nodes; the last one may lead back to the first node.
    pub(crate) links: Vec<Link>,
    /// The nodes, the first one on top.
    pub(crate) nodes: Vec<Cluster>,
}

impl Chain {
    /// Starts the servers, with an empty database each, and writes the config files.
    pub(crate) fn make(clusters: Vec<ClusterBuilder>, ring: bool) -> Chain {
        let nodes: Vec<Cluster> = clusters.into_iter().map(ClusterBuilder::start).collect();
        for node in &nodes {
            node.create_db(DB);
        }
        let count = nodes.len();
        let links = (1..count + usize::from(ring))
            .map(|number| Link::new(number, &nodes[number - 1], &nodes[number % count], ""))
            .collect();
        Chain { links, nodes }
    }

    /// Starts all jobs, with tables that `sql` makes on all nodes.
    #[track_caller]
    pub(crate) fn start(&self, sql: &str) {
        self.everywhere(sql);
        for link in &self.links {
            link.start();
        }
    }

    /// Adds all tables along the chain, and waits until all are in sync.
    #[track_caller]
    pub(crate) fn add_all(&self) {
        for link in &self.links {
            link.replay.run(&["add", "--all"]).ok();
        }
        self.wait_ok();
    }

    /// Runs SQL on every node.
    #[track_caller]
    pub(crate) fn everywhere(&self, sql: &str) {
        for node in &self.nodes {
            node.psql(DB, sql);
        }
    }

    /// Runs SQL on a node.
    #[track_caller]
    pub(crate) fn on(&self, node: usize, sql: &str) -> String {
        self.nodes[node].psql(DB, sql)
    }

    /// Waits until every table of every job is `ok`.
    #[track_caller]
    pub(crate) fn wait_ok(&self) {
        for link in &self.links {
            link.wait_ok();
        }
    }

    /// Waits until what is committed on the first node now is applied on the last.
    #[track_caller]
    pub(crate) fn sync(&self) {
        for link in &self.links {
            link.sync();
        }
    }

    /// After a sync: all nodes have the same rows in all tables of the first one.
    #[track_caller]
    pub(crate) fn assert_same(&self) {
        let tables = tests::tables_of(&self.nodes[0], DB);
        assert!(!tables.is_empty());
        for table in &tables {
            for (place, node) in self.nodes.iter().enumerate().skip(1) {
                compare((&self.nodes[0], DB), (node, DB), table)
                    .unwrap_or_else(|difference| panic!("node {place}: {difference}"));
            }
        }
    }

    /// The end of every scenario: all nodes are the same, no row was other than its change said, and the logs are clean
    /// but for lines with an allowed text.
    #[track_caller]
    pub(crate) fn assert_followed(&self, allowed: &[&str]) {
        self.sync();
        self.assert_same();
        for link in &self.links {
            assert_eq!(link.unclean(allowed), Vec::<String>::new());
        }
    }

    /// Checks on all nodes but the first that every row was as its change said.
    #[track_caller]
    pub(crate) fn assert_no_conflicts(&self) {
        for node in 1..self.nodes.len() {
            let conflicts = "select coalesce(sum(conflicts), 0) from trunkline.position";
            assert_eq!(self.on(node, conflicts), "0", "conflicts on node {node}");
        }
    }
}
