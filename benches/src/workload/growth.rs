//! How cost grows: 1, 4 and 16 times as many rows in a backlog, tables to be added, and tables that a backlog of
//! the same number of rows is spread over. The last of the three has the exponent: 1 is linear, 2 is quadratic.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::measurement::Measurement;
use crate::pair::{DB, Pair};
use crate::peer::{Name, Running};
use crate::tables::Tables;
use crate::workload::backlog::{applied, many_tables, tpc_b};
use crate::workload::{Plan, Workload};

/// All three measurements of growth.
pub(crate) struct Growth;

const TIMES: [u32; 3] = [1, 4, 16];

/// The slope of the line through the points, both axes logarithmic.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = logs.iter().map(|point| (point.0 - x).powi(2)).sum();
    both / square
}

/// Writes the exponent into the note of the last measurement.
fn conclude(mut measured: Vec<(f64, Measurement)>) -> Vec<Measurement> {
    let points: Vec<(f64, f64)> = measured
        .iter()
        .filter_map(|(size, one)| Some((*size, one.seconds?)))
        .collect();
    if let Some((_, last)) = measured.last_mut() {
        let exponent = format!("time grows with the power {:.2}", exponent(&points));
        last.note = match last.note.as_str() {
            "" => exponent,
            said => format!("{said}; {exponent}"),
        };
    }
    measured.into_iter().map(|(_, one)| one).collect()
}

fn rows(name: Name, plan: &Plan) -> Vec<Measurement> {
    let mut running = Running::in_sync(name, plan.scale);
    let measured = TIMES.iter().map(|times| {
        let transactions = plan.transactions / 4 * u64::from(*times);
        let workload = format!("growth: a backlog of {} rows", transactions * 4);
        let one = applied(
            &mut running,
            Measurement::new(workload, name),
            plan.rounds,
            &mut |pair| tpc_b(pair, transactions),
        );
        (f64::from(*times), one)
    });
    conclude(measured.collect())
}

/// One row a statement, the tables in turns.
fn spread(pair: &Pair, rows: u64, tables: u32) -> u64 {
    let sql = (0..rows).fold(String::new(), |mut sql, row| {
        let table = row % u64::from(tables) + 1;
        let _ = writeln!(
            sql,
            "insert into many_{table} values ((select coalesce(max(id), 0) + 1 from many_{table}), {row}, 'row');"
        );
        sql
    });
    let file = pair.scratch.file("spread.sql", &sql);
    let mut psql = pair.provider.client("psql", DB);
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(file);
    psql.env("PGOPTIONS", "-c synchronous_commit=off");
    ::tests::run_in(&mut psql, Duration::from_secs(600)).ok();
    rows
}

/// Measures adding tables, and a backlog over them.
fn tables(name: Name, plan: &Plan) -> Vec<Measurement> {
    let (mut adding, mut spreading) = (Vec::new(), Vec::new());
    for times in TIMES {
        let count = (plan.tables * times / 16).max(1);
        let mut running = Running::set_up(name, Tables::from(1).with(many_tables(count)));
        running.pair.settle();
        let started = Instant::now();
        running.peer.add_all(&running.pair);
        running.wait_in_sync();
        let mut added = Measurement::new(format!("growth: {count} empty tables to in sync"), name);
        added.seconds = Some(started.elapsed().as_secs_f64());
        added.peak_rss_kb = running.peer.peak_rss_kb();
        running.pair.wait_applied();
        added.checked = running.pair.check();
        adding.push((f64::from(times), added));
        let workload = format!("growth: a backlog over {count} tables");
        let rows = plan.transactions;
        let spread = applied(
            &mut running,
            Measurement::new(workload, name),
            1,
            &mut |pair| spread(pair, rows, count),
        );
        spreading.push((f64::from(times), spread));
    }
    let mut measured = conclude(adding);
    measured.extend(conclude(spreading));
    measured
}

impl Workload for Growth {
    fn name(&self) -> String {
        "growth".to_owned()
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let of = |name: &Name| [rows(*name, plan), tables(*name, plan)].concat();
        Ok(plan.peers.iter().flat_map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::exponent;

    #[test]
    fn the_exponent_of_a_line_is_1_and_of_a_square_2() {
        let of = |power: i32| {
            let points = [1.0, 4.0, 16.0].map(|x: f64| (x, 3.0 * x.powi(power)));
            exponent(&points)
        };
        assert!((of(1) - 1.0).abs() < 1e-9 && (of(2) - 2.0).abs() < 1e-9);
    }
}
