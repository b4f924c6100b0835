//! Initial copy: from the command that adds the tables until all are in sync, beside the same
//! rows moved by hand. Rounds of all peers take turns, so that a loaded machine is loaded for all.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use crate::attempt::attempt;
use crate::measurement::Measurement;
use crate::pair::{DB, Pair};
use crate::peer::{Name, Running};
use crate::workload::{Plan, Workload, median};

/// The pgbench tables.
pub(crate) enum Copy {
    /// pgbench tables of the plan's scale, with their primary keys.
    Plain,
    /// pgbench tables of a scale of their own, accounts with three more indexes.
    Indexed,
}

/// The indexes that a copy takes away and builds again.
const INDEXES: [&str; 3] = [
    "create index accounts_bid on pgbench_accounts (bid, abalance)",
    "create index accounts_abalance on pgbench_accounts (abalance)",
    "create index accounts_filler on pgbench_accounts (filler, aid)",
];

impl Copy {
    fn pair_is_ready(&self, pair: &Pair) {
        if matches!(self, Copy::Indexed) {
            for index in INDEXES {
                pair.subscriber.psql(DB, index);
            }
        }
    }

    fn scale(&self, plan: &Plan) -> u32 {
        match self {
            Copy::Plain => plan.scale,
            Copy::Indexed => plan.indexed_scale,
        }
    }

    fn replicated(&self, name: Name, plan: &Plan, last: &mut Measurement) -> f64 {
        let mut running = Running::set_up(name, self.scale(plan));
        self.pair_is_ready(&running.pair);
        running.pair.settle();
        let started = Instant::now();
        running.peer.add_all(&running.pair);
        running.wait_in_sync();
        let seconds = started.elapsed().as_secs_f64();
        last.peak_rss_kb = running.peer.peak_rss_kb().max(last.peak_rss_kb);
        running.pair.wait_applied();
        last.checked = running.pair.check();
        seconds
    }

    /// What a DBA with a script would do: the large table in two halves at once, without its
    /// indexes, which are then built two at a time; the small tables one after the other.
    fn by_hand(&self, plan: &Plan, last: &mut Measurement) -> anyhow::Result<f64> {
        let pair = Pair::new(self.scale(plan));
        self.pair_is_ready(&pair);
        pair.settle();
        let started = Instant::now();
        pair.subscriber.psql(
            DB,
            "alter table pgbench_accounts drop constraint pgbench_accounts_pkey; \
             drop index if exists accounts_bid, accounts_abalance, accounts_filler",
        );
        let pages: i64 = pair
            .provider
            .psql(DB, "select pg_relation_size('pgbench_accounts') / 8192")
            .parse()
            .context("the table's number of pages")?;
        let half = |sign: &str| format!("ctid {sign} '({},0)'", pages / 2);
        std::thread::scope(|scope| {
            let halves = ["<", ">="].map(|sign| {
                let (pair, half) = (&pair, half(sign));
                scope.spawn(move || pipe(pair, "pgbench_accounts", &half))
            });
            halves.into_iter().try_for_each(|half| {
                half.join()
                    .map_err(|_| anyhow::anyhow!("a half broke off"))?
            })
        })?;
        for table in [
            "pgbench_branches",
            "pgbench_tellers",
            "pgbench_history",
            "bulk",
            "marker",
        ] {
            pipe(&pair, table, "true")?;
        }
        let key = "create unique index pgbench_accounts_pkey on pgbench_accounts (aid)";
        let indexes: &[&str] = match self {
            Copy::Plain => &[],
            Copy::Indexed => &INDEXES,
        };
        let all: Vec<&str> = [key].into_iter().chain(indexes.iter().copied()).collect();
        for two in all.chunks(2) {
            std::thread::scope(|scope| {
                for index in two {
                    let pair = &pair;
                    scope.spawn(move || pair.subscriber.psql(DB, index));
                }
            });
        }
        pair.subscriber.psql(
            DB,
            "alter table pgbench_accounts add primary key using index pgbench_accounts_pkey; \
             analyze",
        );
        let seconds = started.elapsed().as_secs_f64();
        last.checked = pair.check();
        Ok(seconds)
    }
}

/// `psql COPY | psql COPY` of the rows that a condition chooses.
fn pipe(pair: &Pair, table: &str, condition: &str) -> anyhow::Result<()> {
    let mut out = pair.provider.client("psql", DB);
    out.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c"])
        .arg(format!(
            "copy (select * from {table} where {condition}) to stdout (format binary)"
        ));
    let mut into = pair.subscriber.client("psql", DB);
    into.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c"])
        .arg(format!("copy {table} from stdin (format binary)"));
    join(out, into)
}

fn join(mut out: Command, mut into: Command) -> anyhow::Result<()> {
    let mut reading = out
        .stdout(Stdio::piped())
        .spawn()
        .context("start the psql that reads")?;
    into.stdin(reading.stdout.take().context("its output is no pipe")?);
    let mut writing = into.spawn().context("start the psql that writes")?;
    for (psql, does) in [(&mut writing, "writes"), (&mut reading, "reads")] {
        let status = psql
            .wait()
            .with_context(|| format!("wait for the psql that {does}"))?;
        anyhow::ensure!(status.success(), "the psql that {does}: {status}");
    }
    Ok(())
}

impl Workload for Copy {
    fn name(&self) -> String {
        match self {
            Copy::Plain => "copy",
            Copy::Indexed => "copy, three more indexes",
        }
        .to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        vec![plan.clone()]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut who: Vec<Option<Name>> = plan.peers.iter().copied().map(Some).collect();
        who.push(None);
        let mut measured: Vec<(Measurement, Vec<f64>)> = who
            .iter()
            .map(|who| match who {
                Some(name) => (Measurement::new(self.name(), name), Vec::new()),
                None => (Measurement::new(self.name(), "by hand"), Vec::new()),
            })
            .collect();
        for _ in 0..plan.rounds {
            for (who, (last, seconds)) in who.iter().zip(&mut measured) {
                if last.has_failed() {
                    continue;
                }
                let round = attempt(|| match who {
                    Some(name) => Ok(self.replicated(*name, plan, last)),
                    None => self.by_hand(plan, last),
                });
                match (round, who) {
                    (Ok(round), _) => seconds.push(round),
                    (Err(why), Some(name)) => {
                        *last = Measurement::failed(&self.name(), name, &why);
                    }
                    (Err(why), None) => {
                        *last = Measurement::failed(&self.name(), "by hand", &why);
                    }
                }
            }
        }
        Ok(measured
            .into_iter()
            .map(|(mut last, mut seconds)| {
                if last.has_failed() {
                    return last;
                }
                let rows: u64 = last.checked.iter().map(|(_, digest)| digest.rows).sum();
                last.runs.clone_from(&seconds);
                last.seconds = Some(median(&mut seconds));
                last.rate = Some((rows as f64 / median(&mut seconds), "rows/s"));
                last
            })
            .collect())
    }
}
