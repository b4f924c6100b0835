//! A chain whose last node is moved to another provider.

use tests::{Cluster, ClusterBuilder, Server, wait_until};

use crate::SOON;
use crate::link::{Chain, DB};

/// A chain of three nodes with the tables that `sql` makes, all in sync. The node in the middle logs what it applies,
/// whether or not the last one reads there.
pub(crate) fn chain(clusters: Vec<ClusterBuilder>, sql: &str) -> Chain {
    let chain = Chain::make(clusters, false);
    chain.start(sql);
    for link in &chain.links {
        link.replay.run(&["add", "--all", "--truncate"]).ok();
        link.wait_ok();
    }
    keep_logging(&chain);
    wait_known(&chain);
    chain
}

pub(crate) fn three() -> Vec<ClusterBuilder> {
    let server = Server::debian15();
    (0..3).map(|_| Cluster::builder(&server)).collect()
}

/// Waits until the last node knows its tables by their numbers on the first one.
pub(crate) fn wait_known(chain: &Chain) {
    let known =
        "select bool_and(origin_oids is not null) from trunkline.table_state where state = 'ok'";
    wait_until("the tables to be known further up", SOON, || {
        chain.on(2, known) == "t"
    });
}

/// Registers another reader on the node in the middle.
pub(crate) fn keep_logging(chain: &Chain) {
    chain.on(1, "select pgq.register_consumer('q1', 'keeper')");
    chain.on(
        1,
        "select trunkline.add_table('q1', 'keeper', schema_name, table_name) from trunkline.captured",
    );
}

/// How often the last node has moved.
pub(crate) fn hops(chain: &Chain) -> usize {
    let log = chain.links[1].replay.log();
    log.lines().filter(|line| line.contains(" hopped ")).count()
}

/// The last line that tells of a move.
pub(crate) fn last_hop(chain: &Chain) -> String {
    let log = chain.links[1].replay.log();
    let mut lines = log.lines().filter(|line| line.contains(" hopped "));
    lines.next_back().unwrap_or_default().to_owned()
}

/// Has the config of the last node's job name another provider.
pub(crate) fn point(chain: &Chain, to: usize) {
    let link = &chain.links[1];
    let text = std::fs::read_to_string(&link.replay.config).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("provider_db") {
            format!("provider_db = \"{}\"", chain.nodes[to].conninfo(DB))
        } else {
            line.to_owned()
        }
    });
    let text: Vec<String> = lines.collect();
    std::fs::write(&link.replay.config, text.join("\n")).unwrap();
}

/// Moves the last node to another one, and waits until it has moved.
pub(crate) fn hop(chain: &Chain, to: usize) {
    let before = hops(chain);
    point(chain, to);
    chain.links[1].replay.run(&["reload"]).ok();
    wait_hops(chain, before + 1);
}

pub(crate) fn wait_hops(chain: &Chain, number: usize) {
    wait_until("the last node to have moved", SOON, || {
        hops(chain) >= number
    });
}

/// Whether the last node's consumer is registered on a node.
pub(crate) fn is_registered(chain: &Chain, node: usize) -> bool {
    chain.on(
        node,
        "select exists (select from pgq.subscription join pgq.consumer on co_id = sub_consumer \
          where co_name like 'replay2%') \
         or exists (select from trunkline.captured where 'replay2' = any (consumers))",
    ) == "t"
}

/// How often tables were copied into the last node, ever.
pub(crate) fn copies(chain: &Chain) -> String {
    chain.on(2, "select sum(copy_attempt) from trunkline.table_state")
}

/// Lines that a node that is away, or a move, brings with it.
pub(crate) const EXPECTED: [&str; 3] = ["subscriber waits", "table tasks wait", "consumer left"];

/// Stops the last node between two ticks of the node in the middle: row 100 is there, and gone on the first node.
pub(crate) fn between_two_ticks(chain: &Chain) {
    hop(chain, 0);
    chain.sync();
    chain.links[0].replay.run(&["stop"]).ok();
    chain.on(
        0,
        "insert into t values (100, 'comes'); update t set v = 'x' where id = 1",
    );
    chain.links[1].sync();
    chain.links[1].replay.run(&["stop"]).ok();
    assert_eq!(chain.on(2, "select v from t where id = 100"), "comes");
}

/// Lets the node in the middle go on, without a tick of its own before it is asked, and the last one move there.
pub(crate) fn move_into_the_middle(chain: &Chain) {
    chain.links[1].ticker.run(&["stop"]).ok();
    chain.links[0].replay.run(&["start", "-d"]).ok();
    chain.links[0].sync();
    let before = hops(chain);
    point(chain, 1);
    chain.links[1].replay.run(&["start", "-d"]).ok();
    wait_hops(chain, before + 1);
    chain.links[1].ticker.run(&["start", "-d"]).ok();
}
