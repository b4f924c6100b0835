//! A backlog: applying is stopped, work is done, and applying starts again. The time is taken from the start to the
//! moment when the subscriber has everything, so it includes what a peer needs to start.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::measurement::Measurement;
use crate::pair::{DB, Pair};
use crate::peer::Running;
use crate::tables::Tables;
use crate::workload::{Plan, Workload, median};

/// The kinds of backlog.
pub(crate) enum Backlog {
    /// TPC-B transactions of four rows each.
    TpcB,
    /// One statement each: INSERT of 200,000 rows, UPDATE of 150,000, DELETE of 100,000.
    Bulk,
    /// Rows of 100 columns, one of them a text of 20 kB; each written twice.
    Wide,
    /// One transaction that inserts very many rows in one statement.
    One,
    /// Transactions of one row each.
    Singles,
    /// Every one of many tables written in turn, a row a statement.
    Tables,
}

/// Rows of the wide table, each inserted and updated.
const WIDE_ROWS: u64 = 5_000;

/// Rows of each of many tables, each inserted in a statement of its own.
const ROWS_A_TABLE: u64 = 20;

/// SQL of many tables with a key.
pub(crate) fn many_tables(count: u32) -> String {
    (1..=count).fold(String::new(), |mut sql, number| {
        let _ = writeln!(
            sql,
            "create table many_{number} (id int primary key, a int, b text);"
        );
        sql
    })
}

fn wide_table() -> String {
    let columns: Vec<String> = (1..=98)
        .map(|number| match number % 4 {
            0 => format!("c{number} text"),
            1 => format!("c{number} int"),
            2 => format!("c{number} numeric"),
            _ => format!("c{number} timestamptz"),
        })
        .collect();
    format!(
        "create table wide (id int primary key, large text, {});",
        columns.join(", ")
    )
}

fn wide_insert(rows: u64) -> String {
    let values: Vec<String> = (1..=98)
        .map(|number| match number % 4 {
            0 => format!("'text ' || i || ' of {number}'"),
            1 => format!("i + {number}"),
            2 => format!("i / {number}.0"),
            _ => format!("timestamptz '2024-01-01' + i * interval '{number} s'"),
        })
        .collect();
    // 640 texts of 32 digits: about 20 kB that do not compress well.
    format!(
        "insert into wide select i, (select string_agg(md5(i::text || j), '') \
         from generate_series(1, 640) j), {} from generate_series(1, {rows}) i",
        values.join(", ")
    )
}

impl Backlog {
    fn tables(&self, plan: &Plan) -> Tables {
        let tables = Tables::from(match self {
            Self::TpcB => plan.scale,
            Self::Bulk | Self::Wide | Self::One | Self::Singles | Self::Tables => 1,
        });
        match self {
            Self::TpcB | Self::Bulk => tables,
            Self::Singles => tables.with("create table single (id bigserial primary key, a int);"),
            Self::Wide => tables.with(wide_table()),
            Self::One => tables.with("create table one (id int primary key, a int, b text);"),
            Self::Tables => tables.with(many_tables(plan.tables)),
        }
    }

    /// Empties the tables that the round before has filled.
    fn clear(&self, pair: &Pair) {
        match self {
            Self::TpcB | Self::Singles => {}
            Self::Bulk => drop(pair.provider.psql(DB, "truncate bulk")),
            Self::Wide => drop(pair.provider.psql(DB, "truncate wide")),
            Self::One => drop(pair.provider.psql(DB, "truncate one")),
            Self::Tables => {
                let all: Vec<String> = pair
                    .tables()
                    .into_iter()
                    .filter(|table| table.starts_with("public.many_"))
                    .collect();
                for some in all.chunks(50) {
                    pair.provider
                        .psql(DB, &format!("truncate {}", some.join(", ")));
                }
            }
        }
    }

    /// Does the work and gives the number of changed rows.
    fn work(&self, pair: &Pair, plan: &Plan) -> u64 {
        let run = |statements: &[String]| {
            for sql in statements {
                let file = pair.scratch.file("work.sql", sql);
                tests::run_in(
                    pair.provider
                        .client("psql", DB)
                        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f"])
                        .arg(file),
                    Duration::from_secs(1800),
                )
                .ok();
            }
        };
        match self {
            Self::TpcB => tpc_b(pair, plan.transactions),
            Self::Bulk => {
                run(&[
                    "insert into bulk select i, i % 100, 'row number ' || i, i / 7.0, now() \
                     from generate_series(1, 200000) i"
                        .to_owned(),
                    "update bulk set a = a + 1, b = b || '!' where id <= 150000".to_owned(),
                    "delete from bulk where id > 100000".to_owned(),
                ]);
                450_000
            }
            Self::Wide => {
                let rows = WIDE_ROWS.min(plan.rows / 10);
                run(&[wide_insert(rows), "update wide set c1 = c1 + 1".to_owned()]);
                rows * 2
            }
            Self::One => {
                run(&[format!(
                    "insert into one select i, i % 1000, 'row number ' || i \
                     from generate_series(1, {}) i",
                    plan.rows
                )]);
                plan.rows
            }
            Self::Singles => {
                let file = pair
                    .scratch
                    .file("single.sql", "insert into single (a) values (:client_id);");
                // Each of two clients makes half: 100,000 transactions where TPC-B makes 20,000.
                let each = plan.transactions * 5 / 2;
                let (file, count) = (file.display().to_string(), each.to_string());
                pair.pgbench(&["-n", "-M", "prepared", "-c", "2", "-t", &count, "-f", &file]);
                each * 2
            }
            Self::Tables => {
                run(&[(1..=ROWS_A_TABLE).fold(String::new(), |mut sql, row| {
                    for table in 1..=plan.tables {
                        let _ = writeln!(
                            sql,
                            "insert into many_{table} values ({row}, {table}, 'row {row}');"
                        );
                    }
                    sql
                })]);
                ROWS_A_TABLE * u64::from(plan.tables)
            }
        }
    }

    fn rounds(&self, plan: &Plan) -> u32 {
        match self {
            Self::One => 1,
            Self::TpcB | Self::Bulk | Self::Wide | Self::Singles | Self::Tables => plan.rounds,
        }
    }
}

/// TPC-B of two clients; gives the number of changed rows.
pub(crate) fn tpc_b(pair: &Pair, transactions: u64) -> u64 {
    let each = transactions / 2;
    pair.pgbench(&["-n", "-c", "2", "-t", &each.to_string()]);
    each * 2 * 4
}

impl Workload for Backlog {
    fn name(&self) -> String {
        match self {
            Self::TpcB => "backlog: TPC-B",
            Self::Bulk => "backlog: bulk statements",
            Self::Wide => "backlog: wide rows",
            Self::One => "backlog: one transaction",
            Self::Singles => "backlog: transactions of one row",
            Self::Tables => "backlog: many tables",
        }
        .to_owned()
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &name in &plan.peers {
            let mut running = Running::in_sync(name, self.tables(plan));
            let measured = applied(
                &mut running,
                Measurement::new(self.name(), name),
                self.rounds(plan),
                &mut |pair| {
                    self.clear(pair);
                    self.work(pair, plan)
                },
            );
            measurements.push(measured);
        }
        Ok(measurements)
    }
}

/// Rounds of a backlog: applying is stopped, and `work` is done, which gives the number of rows that it changes. The
/// time is taken while every subscriber applies the changes.
pub(crate) fn applied(
    running: &mut Running,
    mut measured: Measurement,
    rounds: u32,
    work: &mut dyn FnMut(&Pair) -> u64,
) -> Measurement {
    let mut seconds = Vec::new();
    let mut rows = 0;
    for _ in 0..rounds {
        running.peer.stop_apply(&running.pair);
        rows = work(&running.pair);
        running.pair.settle();
        // The provider has a second for its own work after a load, which is not to be timed.
        std::thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        running.peer.start_apply(&running.pair);
        running.pair.wait_applied();
        seconds.push(started.elapsed().as_secs_f64());
        measured.peak_rss_kb = running.peer.peak_rss_kb().max(measured.peak_rss_kb);
        measured.checked = running.pair.check();
    }
    let subscribers = running.pair.targets.len();
    let median = median(&mut seconds);
    measured.seconds = Some(median);
    measured.rate = Some(((rows * subscribers as u64) as f64 / median, "rows/s"));
    measured.note = match subscribers {
        1 => format!("{rows} changed rows a round"),
        _ => format!("{rows} changed rows a round for each subscriber"),
    };
    measured.runs = seconds;
    measured
}
