//! Trunkline, through its commands, with its default settings.

use tests::{Cluster, Node, Scratch, configure};

use crate::pair::{DB, Pair};
use crate::peer::Peer;

/// A ticker and a replay.
#[derive(Default)]
pub(crate) struct Trunkline {
    nodes: Option<(Node, Node)>,
    /// The subscriber's tables are captured there for a further one, so replay's writes are logged.
    relays: bool,
    /// The ticker of the subscriber, where it relays, and the directory of its files.
    below: Option<(Node, Scratch)>,
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

    /// The same, with a subscriber that somebody follows: of its queue nothing is read.
    pub(crate) fn relaying() -> Trunkline {
        Trunkline {
            relays: true,
            ..Trunkline::default()
        }
    }

    fn capture_on_the_subscriber(&mut self, pair: &Pair) {
        let scratch = Scratch::new();
        let (ticker, _) = configure(&scratch, DB, &pair.subscriber, &[], "", "");
        ticker.run(&["install"]).ok();
        ticker.run(&["start", "-d"]).ok();
        pair.subscriber
            .psql(DB, "select pgq.register_consumer('q1', 'below')");
        for table in pair.tables() {
            let add = format!(
                "select trunkline.add_table('q1', 'below', n.nspname, c.relname) \
                   from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = '{table}'::regclass"
            );
            pair.subscriber.psql(DB, &add);
        }
        self.below = Some((ticker, scratch));
    }
}

impl Peer for Trunkline {
    fn set_up(&mut self, pair: &Pair) {
        let several: String = match pair.targets.as_slice() {
            [_] => String::new(),
            targets => targets
                .iter()
                .map(|target| {
                    format!(
                        "\n[[subscriber]]\nname = \"{target}\"\ndb = \"{}\"\n",
                        pair.subscriber.conninfo(target)
                    )
                })
                .collect(),
        };
        let one: &[&Cluster] = if several.is_empty() {
            &[&pair.subscriber]
        } else {
            &[]
        };
        let (ticker, replay) = configure(&pair.scratch, DB, &pair.provider, one, "", &several);
        ticker.run(&["install"]).ok();
        ticker.run(&["start", "-d"]).ok();
        replay.run(&["install"]).ok();
        replay.run(&["start", "-d"]).ok();
        self.nodes = Some((ticker, replay));
        if self.relays {
            self.capture_on_the_subscriber(pair);
        }
    }

    fn add_all(&mut self, _pair: &Pair) {
        self.replay(&["add", "--all"]);
    }

    fn in_sync(&mut self, pair: &Pair) -> bool {
        pair.every_subscriber(
            "select (count(*) filter (where state <> 'ok') = 0 and count(*) > 0)::text \
             from trunkline.table_state",
        )
    }

    fn stop_apply(&mut self, _pair: &Pair) {
        self.replay(&["stop"]);
    }

    fn start_apply(&mut self, _pair: &Pair) {
        self.replay(&["start", "-d"]);
    }

    fn daemons(&self, _pair: &Pair) -> Vec<i32> {
        let (ticker, replay) = self.nodes();
        ticker.pid().into_iter().chain(replay.pid()).collect()
    }

    fn peak_rss_kb(&self) -> Option<u64> {
        tests::peak_rss_kb(self.nodes().1.pid()?)
    }

    fn tear_down(&mut self, _pair: &Pair) {
        if let Some((ticker, replay)) = &self.nodes {
            replay.kill9();
            ticker.kill9();
        }
        if let Some((ticker, _)) = &self.below {
            ticker.kill9();
        }
    }
}
