//! `replay compare` and `replay repair`: of a table that is equal, beside one digest of it that both servers compute at
//! once; and where a thousand of its rows differ. No peer has the like.

use std::time::Instant;

use tests::{Node, Output};

use crate::measurement::Measurement;
use crate::pair::{DB, Pair};
use crate::peer::{Name, Running};
use crate::workload::{Plan, Workload, median};

/// The table that is compared: 100,000 rows for each of the scale.
const TABLE: &str = "pgbench_accounts";

/// Rows that differ, spread over the table.
const DIFFERING: u32 = 1_000;

/// The rows of [`TABLE`] for each of the scale.
const ROWS: u32 = 100_000;

/// A comparison, alone.
pub(crate) struct Compare;

/// One reading of the table by each server, at the same time, as a comparison's hash has it.
fn digest(pair: &Pair) -> f64 {
    let sum = format!(
        "select count(*), sum(('x' || substr(md5(row(t.aid, t.bid, t.abalance, t.filler)::text), 1, 16)) \
         ::bit(64)::bigint) from {TABLE} t"
    );
    let started = Instant::now();
    std::thread::scope(|scope| {
        for cluster in [&pair.provider, &pair.subscriber] {
            let sum = &sum;
            scope.spawn(move || cluster.psql(DB, sum));
        }
    });
    started.elapsed().as_secs_f64()
}

fn timed(replay: &Node, args: &[&str], code: i32) -> (f64, Output) {
    let started = Instant::now();
    let output = replay.run(args).code(code);
    (started.elapsed().as_secs_f64(), output)
}

impl Workload for Compare {
    fn name(&self) -> String {
        "comparison".to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        // No other peer takes part.
        vec![Plan {
            peers: vec![Name::Trunkline],
            ..plan.clone()
        }]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let running = Running::in_sync(Name::Trunkline, plan.scale);
        let pair = &running.pair;
        let config = pair.scratch.path().join("etc/replay.toml");
        let replay = Node::new("replay", &pair.scratch, &config, "replay1");
        let rows = plan.scale * ROWS;
        let differ = format!(
            "update {TABLE} set abalance = abalance + 7 where aid % {} = 1",
            (rows / DIFFERING).max(1)
        );
        let mut times = vec![Vec::new(); 4];
        for _ in 0..plan.rounds {
            let mut round = vec![digest(pair), timed(&replay, &["compare", TABLE], 0).0];
            pair.subscriber.psql(DB, &differ);
            pair.settle();
            let (found, output) = timed(&replay, &["-q", "compare", TABLE], 1);
            let named = output.stderr.lines().count();
            anyhow::ensure!(named == DIFFERING as usize, "{named} rows were named");
            round.push(found);
            round.push(timed(&replay, &["repair", "--apply", TABLE], 0).0);
            for (times, time) in times.iter_mut().zip(round) {
                times.push(time);
            }
            pair.subscriber.psql(DB, &format!("vacuum {TABLE}"));
        }
        pair.wait_applied();
        let checked = pair.check();
        let base = times.first_mut().map_or(f64::NAN, |times| median(times));
        let named = [
            ("equal rows", "one digest, both servers at once"),
            ("equal rows", ""),
            ("1,000 rows differ, found", ""),
            ("1,000 rows differ, found and repaired", ""),
        ];
        let measured = named.iter().zip(&mut times).enumerate();
        Ok(measured
            .map(|(at, ((what, note), times))| {
                let workload = format!("comparison, {what}");
                let mut measurement = match at {
                    0 => Measurement::base(workload),
                    _ => Measurement::new(workload, Name::Trunkline),
                };
                measurement.runs.clone_from(times);
                let seconds = median(times);
                measurement.seconds = Some(seconds);
                measurement.rate = Some((f64::from(rows) / seconds, "rows/s"));
                measurement.ratio = Some(seconds / base);
                measurement.checked.clone_from(&checked);
                (*note).clone_into(&mut measurement.note);
                measurement
            })
            .collect())
    }
}
