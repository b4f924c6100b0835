//! The cost of capture alone for the application: statements of one row, statements of many rows, and TPC-B with 1 to 8
//! clients. Trunkline is compared with no capture, with PgQ's and Slony's triggers in C, and with a slot of built-in
//! replication that is read. Measured is the CPU of the writing backend, so that other work on the machine counts as
//! little as possible. For TPC-B it is the rate, with the ticker or daemon running beside it and no subscriber.

mod captor;

use std::time::{Duration, Instant};

use tests::{Cluster, Digest, run_in};

use self::captor::{Captor, MAKERS, Maker};
use crate::attempt::attempt;
use crate::measurement::Measurement;
use crate::pair::DB;
use crate::workload::{Plan, Workload, median};

/// The three parts, each short enough for a run of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capture {
    /// INSERT, UPDATE, DELETE of one row, a transaction each.
    OneRow,
    /// INSERT, UPDATE, DELETE of many rows in one statement.
    Bulk,
    /// TPC-B with 1, 2, 4 and 8 clients.
    Clients,
}

/// Rows of one round of statements of one row.
const ONE: u32 = 1_000;
const OPERATIONS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
const CLIENTS: [u32; 4] = [1, 2, 4, 8];

/// A table that is written, and the way in which it is written.
struct Shape {
    name: &'static str,
    columns: u32,
    /// Each row also has 100 kB of text that does not change and does not compress.
    toasted: bool,
    /// Rows of one statement.
    bulk: u32,
}

const SHAPES: [Shape; 6] = [
    Shape {
        name: "c5",
        columns: 5,
        toasted: false,
        bulk: 200_000,
    },
    Shape {
        name: "c20",
        columns: 20,
        toasted: false,
        bulk: 50_000,
    },
    Shape {
        name: "c100",
        columns: 100,
        toasted: false,
        bulk: 10_000,
    },
    Shape {
        name: "c5_toasted",
        columns: 5,
        toasted: true,
        bulk: 500,
    },
    Shape {
        name: "c20_toasted",
        columns: 20,
        toasted: true,
        bulk: 300,
    },
    Shape {
        name: "c100_toasted",
        columns: 100,
        toasted: true,
        bulk: 200,
    },
];

impl Shape {
    /// Columns after the key: an integer that is updated, then text, numeric, timestamptz and integer in turns.
    fn make(&self) -> String {
        let columns: Vec<String> = (2..self.columns)
            .map(|n| {
                format!(
                    "x{n} {}",
                    ["text", "numeric", "timestamptz", "int"][n as usize % 4]
                )
            })
            .collect();
        format!(
            "create table {} (id int primary key, a int, {}{}); ",
            self.name,
            columns.join(", "),
            if self.toasted { ", big text" } else { "" }
        )
    }

    fn insert(&self, source: &str) -> String {
        let values: Vec<&str> = (2..self.columns)
            .map(|n| ["'row number ' || i", "i / 7.0", "now()", "i"][n as usize % 4])
            .collect();
        format!(
            "insert into {} select i, i % 100, {}{} {source}",
            self.name,
            values.join(", "),
            if self.toasted {
                ", (select string_agg(md5(g::text), '') from generate_series(1, 3200) g)"
            } else {
                ""
            }
        )
    }

    fn statement(&self, operation: usize, one: bool) -> String {
        let only = if one { " where id = i" } else { "" };
        match operation {
            0 if one => self.insert(""),
            0 => self.insert(&format!("from generate_series(1, {}) i", self.bulk)),
            1 => format!("update {} set a = a + 1{only}", self.name),
            _ => format!("delete from {}{only}", self.name),
        }
    }

    fn rows(&self, one: bool) -> u32 {
        match (one, self.toasted) {
            (true, true) => ONE / 5,
            (true, false) => ONE,
            (false, _) => self.bulk,
        }
    }
}

/// CPU of one round of an operation, in microseconds a row.
fn round(captor: &Captor, shape: &Shape, operation: usize, one: bool) -> anyhow::Result<f64> {
    let rows = shape.rows(one);
    let statement = shape.statement(operation, one);
    let before = captor.captured()?;
    let start = captor.cpu()?;
    if one {
        captor.worker.ask(&format!(
            "do $$ begin for i in 1 .. {rows} loop {statement}; commit; end loop; end $$"
        ));
    } else {
        captor.worker.ask(&statement);
    }
    let used = captor.cpu()? - start;
    if let (Some(before), Some(after)) = (before, captor.captured()?) {
        anyhow::ensure!(
            after - before == u64::from(rows),
            "{} captured {} rows of {rows}: {statement}",
            captor.maker.word(),
            after - before
        );
    }
    Ok(used * 1e6 / f64::from(rows))
}

/// The work of one cell, by all makers in turns.
fn cell(
    captors: &[Captor],
    shape: &Shape,
    one: bool,
    rounds: u32,
) -> anyhow::Result<Vec<Measurement>> {
    let mut runs = vec![vec![Vec::new(); captors.len()]; OPERATIONS.len()];
    for _ in 0..rounds {
        for (index, captor) in captors.iter().enumerate() {
            for (operation, runs) in runs.iter_mut().enumerate() {
                if let Some(runs) = runs.get_mut(index) {
                    runs.push(round(captor, shape, operation, one)?);
                }
            }
        }
    }
    let kind = if one { "one row" } else { "many rows" };
    let mut found = Vec::new();
    for (operation, runs) in OPERATIONS.iter().zip(runs) {
        let name = format!("capture: {operation} of {kind}, {}", shape.name);
        found.extend(compared(&name, captors, runs, shape.rows(one)));
    }
    Ok(found)
}

/// A row of the report for each maker. The smallest round counts, because other work can only make a round's CPU
/// larger.
fn compared(name: &str, captors: &[Captor], runs: Vec<Vec<f64>>, rows: u32) -> Vec<Measurement> {
    let least = |runs: &[f64]| runs.iter().copied().fold(f64::INFINITY, f64::min);
    let of = |maker| {
        let index = captors.iter().position(|captor| captor.maker == maker);
        index
            .and_then(|index| runs.get(index))
            .map_or(f64::NAN, |runs| least(runs))
    };
    let (base, pgq) = (of(Maker::None), of(Maker::Pgq));
    captors
        .iter()
        .zip(&runs)
        .map(|(captor, runs)| {
            let mut measurement = Measurement::new(name, captor.maker.word());
            let cost = least(runs);
            measurement.rate = Some((cost * 1000.0, "ns CPU/row"));
            measurement.ratio = Some(cost / base);
            measurement.runs.clone_from(runs);
            measurement.checked = vec![(
                "captured".to_owned(),
                Digest {
                    rows: u64::from(rows),
                    sum: "each round".to_owned(),
                },
            )];
            if captor.maker != Maker::None {
                measurement.note = format!("adds {:.1} us a row", cost - base);
                if pgq.is_finite() {
                    let of_pgq = (cost - base) / (pgq - base);
                    measurement.note += &format!(", {of_pgq:.2} of what PgQ's trigger adds");
                }
            }
            measurement
        })
        .collect()
}

fn make_shapes(cluster: &Cluster) {
    let tables: String = SHAPES.iter().map(Shape::make).collect();
    cluster.psql(DB, &tables);
}

fn pgbench(cluster: &Cluster, args: &[&str]) -> String {
    run_in(
        cluster.client("pgbench", DB).args(args),
        Duration::from_secs(600),
    )
    .ok()
    .stdout
}

fn make_tpcb(cluster: &Cluster) {
    pgbench(cluster, &["-i", "-q", "-s", "10"]);
    for sql in [
        "alter table pgbench_history add column hid bigserial primary key",
        "vacuum analyze",
    ] {
        cluster.psql(DB, sql);
    }
}

fn rate(captor: &Captor, clients: u32, seconds: u32) -> anyhow::Result<f64> {
    let (clients, seconds) = (clients.to_string(), seconds.to_string());
    let output = pgbench(
        &captor.cluster,
        &["-n", "-M", "prepared", "-c", &clients, "-T", &seconds],
    );
    output
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| anyhow::anyhow!("pgbench printed no tps:\n{output}"))
}

/// Checks all transactions of TPC-B so far: each has written its four rows, and capture has them.
fn transactions(captor: &Captor) -> anyhow::Result<(String, Digest)> {
    let ask = |sql: &str| captor.worker.ask(sql);
    let done: u64 = ask("select count(*) from pgbench_history").parse()?;
    let sums: Vec<String> = [
        "select sum(abalance) from pgbench_accounts",
        "select sum(delta) from pgbench_history",
    ]
    .map(ask)
    .into();
    anyhow::ensure!(sums[0] == sums[1], "balances and history: {sums:?}");
    if let Some(captured) = captor.captured()? {
        anyhow::ensure!(
            captured == done * 4,
            "{} captured {captured} rows of {done} transactions",
            captor.maker.word()
        );
    }
    let digest = Digest {
        rows: done,
        sum: sums[1].clone(),
    };
    Ok(("pgbench_history".to_owned(), digest))
}

/// TPC-B's rate while captured: the share of the uncaptured rate that is kept.
fn clients(captors: &[Captor], plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
    // There are four numbers of clients and five makers, so each gets a part of the usual time.
    let seconds = plan.seconds.min(3);
    let mut found = Vec::new();
    for clients in CLIENTS {
        let mut runs = vec![Vec::new(); captors.len()];
        for _ in 0..plan.rounds.min(3) {
            for (captor, runs) in captors.iter().zip(&mut runs) {
                runs.push(rate(captor, clients, seconds)?);
            }
        }
        let base = runs
            .first()
            .map_or(f64::NAN, |runs| median(&mut runs.clone()));
        for (captor, mut runs) in captors.iter().zip(runs) {
            let name = format!("capture: TPC-B kept, prepared, {clients} clients");
            let mut measurement = Measurement::new(name, captor.maker.word());
            let tps = median(&mut runs);
            measurement.rate = Some((tps, "tx/s"));
            measurement.ratio = Some(tps / base);
            measurement.runs = runs;
            measurement.checked = vec![transactions(captor)?];
            found.push(measurement);
        }
    }
    Ok(found)
}

impl Workload for Capture {
    fn name(&self) -> String {
        match self {
            Capture::OneRow => "capture: statements of one row",
            Capture::Bulk => "capture: statements of many rows",
            Capture::Clients => "capture: TPC-B kept",
        }
        .to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        vec![plan.clone()]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let make = match self {
            Capture::OneRow | Capture::Bulk => make_shapes,
            Capture::Clients => make_tpcb,
        };
        let started = Instant::now();
        let (mut captors, mut found) = (Vec::new(), Vec::new());
        for maker in MAKERS {
            match attempt(|| Captor::new(maker, &make)) {
                Ok(captor) => captors.push(captor),
                Err(why) => found.push(Measurement::failed(&self.name(), maker.word(), &why)),
            }
        }
        eprintln!("set up in {:.0} s", started.elapsed().as_secs_f64());
        if *self == Capture::Clients {
            found.extend(clients(&captors, plan)?);
            return Ok(found);
        }
        let one = *self == Capture::OneRow;
        let rounds = if one { plan.rounds * 3 } else { plan.rounds };
        for shape in &SHAPES {
            found.extend(cell(&captors, shape, one, rounds)?);
        }
        Ok(found)
    }
}
