//! Trunkline, through its commands, with its default settings.

use tests::{Node, configure};

use crate::pair::{DB, Pair};
use crate::peer::Peer;

/// A ticker and a replay.
#[derive(Default)]
pub(crate) struct Trunkline {
    nodes: Option<(Node, Node)>,
}

impl Trunkline {
    #[allow(
        clippy::expect_used,
        reason = "set_up is the first call, or the workload is wrong"
    )]
    fn nodes(&self) -> &(Node, Node) {
        self.nodes.as_ref().expect("set_up was called")
    }

    fn replay(&self, args: &[&str]) -> tests::Output {
        self.nodes().1.run(args).ok()
    }
}

impl Peer for Trunkline {
    fn set_up(&mut self, pair: &Pair) {
        let (ticker, replay) = configure(
            &pair.scratch,
            DB,
            &pair.provider,
            &[&pair.subscriber],
            "",
            "",
        );
        ticker.run(&["install"]).ok();
        ticker.run(&["start", "-d"]).ok();
        replay.run(&["install"]).ok();
        replay.run(&["start", "-d"]).ok();
        self.nodes = Some((ticker, replay));
    }

    fn add_all(&mut self, _pair: &Pair) {
        self.replay(&["add", "--all"]);
    }

    fn in_sync(&mut self, _pair: &Pair) -> bool {
        // The log is cheaper to look at than a command is to run.
        self.nodes().1.log().contains("all tables in sync")
    }

    fn stop_apply(&mut self, _pair: &Pair) {
        self.replay(&["stop"]);
    }

    fn start_apply(&mut self, _pair: &Pair) {
        self.replay(&["start", "-d"]);
    }

    fn peak_rss_kb(&self) -> Option<u64> {
        tests::peak_rss_kb(self.nodes().1.pid()?)
    }

    fn tear_down(&mut self, _pair: &Pair) {
        if let Some((ticker, replay)) = &self.nodes {
            replay.kill9();
            ticker.kill9();
        }
    }
}
