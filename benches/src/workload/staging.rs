//! Ways in which changed rows reach a server that writes them as a set: one prepared statement a row, a staging table
//! filled by COPY, or arrays as parameters; each in text and in binary form. Measured are the CPU of the server process
//! that writes, and the time until the commit is answered. No code of replay runs here: the figures decide between
//! replay's ways.

use std::pin::pin;
use std::time::Instant;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, future::try_join_all};
use tests::{Cluster, Digest, Server};
use tokio_postgres::{
    Client, Statement,
    binary_copy::BinaryCopyInWriter,
    types::{Format, IsNull, ToSql, Type, to_sql_checked},
};

use crate::measurement::Measurement;
use crate::pair::{DB, SETTINGS};
use crate::workload::{Plan, Workload, median};

/// Updates by key of a table like pgbench's accounts.
pub(crate) struct Staging;

/// The way in which the rows reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A prepared UPDATE for each row, all sent before the first answer is read.
    RowByRow,
    /// COPY into a staging table, then one UPDATE.
    CopyText,
    CopyBinary,
    /// One UPDATE over `unnest` of a parameter for each column.
    ArraysText,
    ArraysBinary,
}

const WAYS: [Way; 5] = [
    Way::RowByRow,
    Way::CopyText,
    Way::CopyBinary,
    Way::ArraysText,
    Way::ArraysBinary,
];

/// Rows of a chunk, and how often the chunk is written in a round.
const CHUNKS: [(i32, u32); 6] = [
    (1, 400),
    (10, 200),
    (100, 60),
    (1_000, 12),
    (10_000, 3),
    (200_000, 1),
];

/// The most rows that are written one by one: their statements are all in memory at once.
const MOST_ROW_BY_ROW: i32 = 10_000;

/// Rows of the table at full size.
const TABLE_ROWS: i32 = 1_000_000;

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::RowByRow => "row by row",
            Way::CopyText => "COPY, text",
            Way::CopyBinary => "COPY, binary",
            Way::ArraysText => "arrays, text",
            Way::ArraysBinary => "arrays, binary",
        }
    }
}

/// A value as its type's text.
#[derive(Debug)]
struct Text(String);

impl ToSql for Text {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The columns of the rows of a chunk, whose keys lie all over the table.
struct Rows {
    keys: Vec<i32>,
    branches: Vec<i32>,
    balances: Vec<i32>,
    fillers: Vec<String>,
}

impl Rows {
    /// So many rows of a table with `of` rows; the balance tells one writing from the next.
    fn new(count: i32, of: i32, balance: i32) -> Rows {
        let step = (of / count).max(1);
        let keys: Vec<i32> = (0..count).map(|n| n * step + 1).collect();
        Rows {
            branches: keys.iter().map(|key| key / 100_000 + 1).collect(),
            balances: keys.iter().map(|_| balance).collect(),
            fillers: keys.iter().map(|key| format!("{key:<84}")).collect(),
            keys,
        }
    }

    fn each(&self) -> impl Iterator<Item = (i32, i32, i32, &str)> {
        let numbers = self.keys.iter().zip(&self.branches).zip(&self.balances);
        let all = numbers.zip(&self.fillers);
        all.map(|(((key, branch), balance), filler)| (*key, *branch, *balance, filler.as_str()))
    }
}

/// The session that writes, with its statements.
struct Desk {
    client: Client,
    pid: i32,
    one: Statement,
    arrays: Statement,
}

const UPDATE: &str =
    "update accounts t set bid = s.bid, abalance = s.abalance, filler = s.filler from";

impl Desk {
    async fn open(cluster: &Cluster, rows: i32) -> anyhow::Result<Desk> {
        let client = cluster.connect(DB).await;
        // Half of each page is free, as in a table that is written all the time: one way must not fill the pages for
        // the next way.
        client
            .batch_execute(&format!(
                "create table accounts (aid int primary key, bid int, abalance int, filler text) \
                     with (fillfactor = 40, autovacuum_enabled = off); \
                 insert into accounts select i, i / 100000 + 1, 0, rpad(i::text, 84) \
                   from generate_series(1, {rows}) i; \
                 create temp table staged on commit delete rows as \
                     select * from accounts with no data; \
                 set synchronous_commit = off; set random_page_cost = 0; set jit = off"
            ))
            .await?;
        client.batch_execute("vacuum analyze accounts").await?;
        client.batch_execute("checkpoint").await?;
        let pid = client.query_one("select pg_backend_pid()", &[]).await?;
        let one = "update accounts t set bid = $2, abalance = $3, filler = $4 where t.aid = $1";
        let arrays = format!(
            "{UPDATE} unnest($1::int[], $2::int[], $3::int[], $4::text[]) \
                 as s (aid, bid, abalance, filler) where t.aid = s.aid"
        );
        Ok(Desk {
            pid: pid.try_get(0)?,
            one: client.prepare(one).await?,
            arrays: client.prepare(&arrays).await?,
            client,
        })
    }

    /// Writes a chunk in a transaction; gives the rows that were updated.
    async fn write(&self, way: Way, rows: &Rows) -> anyhow::Result<u64> {
        self.client.batch_execute("begin").await?;
        let touched = match way {
            Way::RowByRow => self.row_by_row(rows).await?,
            Way::CopyText => {
                self.copy_text(rows).await?;
                self.update_from_staged().await?
            }
            Way::CopyBinary => {
                self.copy_binary(rows).await?;
                self.update_from_staged().await?
            }
            Way::ArraysText => self.text_arrays(rows).await?,
            Way::ArraysBinary => {
                let columns: [&(dyn ToSql + Sync); 4] =
                    [&rows.keys, &rows.branches, &rows.balances, &rows.fillers];
                self.client.execute(&self.arrays, &columns).await?
            }
        };
        self.client.batch_execute("commit").await?;
        Ok(touched)
    }

    async fn row_by_row(&self, rows: &Rows) -> anyhow::Result<u64> {
        let sent = rows.each().map(|(key, branch, balance, filler)| {
            let values = [
                Text(key.to_string()),
                Text(branch.to_string()),
                Text(balance.to_string()),
                Text(filler.to_owned()),
            ];
            self.client.execute_raw(&self.one, values)
        });
        Ok(try_join_all(sent).await?.into_iter().sum())
    }

    async fn copy_text(&self, rows: &Rows) -> anyhow::Result<()> {
        let mut sink = pin!(
            self.client
                .copy_in::<_, Bytes>("copy staged from stdin")
                .await?
        );
        let mut piece = String::new();
        for (key, branch, balance, filler) in rows.each() {
            piece.push_str(&format!("{key}\t{branch}\t{balance}\t{filler}\n"));
            if piece.len() > 64 << 10 {
                sink.feed(Bytes::from(std::mem::take(&mut piece))).await?;
            }
        }
        sink.feed(Bytes::from(piece)).await?;
        sink.finish().await?;
        Ok(())
    }

    async fn copy_binary(&self, rows: &Rows) -> anyhow::Result<()> {
        let copy = "copy staged from stdin (format binary)";
        let sink = self.client.copy_in(copy).await?;
        let types = [Type::INT4, Type::INT4, Type::INT4, Type::TEXT];
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for (key, branch, balance, filler) in rows.each() {
            let row: [&(dyn ToSql + Sync); 4] = [&key, &branch, &balance, &filler];
            writer.as_mut().write(&row).await?;
        }
        writer.finish().await?;
        Ok(())
    }

    async fn text_arrays(&self, rows: &Rows) -> anyhow::Result<u64> {
        let of_numbers = |numbers: &[i32]| {
            let all: Vec<String> = numbers.iter().map(i32::to_string).collect();
            Text(format!("{{{}}}", all.join(",")))
        };
        let fillers: Vec<String> = rows.fillers.iter().map(|f| format!("\"{f}\"")).collect();
        let arrays = [
            of_numbers(&rows.keys),
            of_numbers(&rows.branches),
            of_numbers(&rows.balances),
            Text(format!("{{{}}}", fillers.join(","))),
        ];
        Ok(self.client.execute_raw(&self.arrays, arrays).await?)
    }

    async fn update_from_staged(&self) -> anyhow::Result<u64> {
        let update = format!("{UPDATE} staged s where t.aid = s.aid");
        // The statement is planned anew each time, because the number of staged rows differs each time.
        Ok(self.client.execute(&update, &[]).await?)
    }

    /// Seconds of CPU that the backend has used.
    fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid))
            .context("the kernel tells no CPU time of a process")?;
        let word = stat.split(' ').next().context("schedstat is empty")?;
        Ok(word.parse::<f64>().context("schedstat holds no number")? / 1e9)
    }

    /// How many rows have a balance.
    async fn with_balance(&self, balance: i32) -> anyhow::Result<Digest> {
        let query = "select count(*), coalesce(sum(aid::int8), 0)::text from accounts \
                      where abalance = $1 and filler = rpad(aid::text, 84)";
        let row = self.client.query_one(query, &[&balance]).await?;
        Ok(Digest {
            rows: u64::try_from(row.try_get::<_, i64>(0)?)?,
            sum: row.try_get(1)?,
        })
    }
}

/// CPU and time of one chunk, a value a round.
#[derive(Default)]
struct Costs {
    cpu: Vec<f64>,
    seconds: Vec<f64>,
    checked: Vec<(String, Digest)>,
}

/// Writes chunks of one size in all ways, in turns.
async fn chunk(
    desk: &Desk,
    count: i32,
    times: u32,
    plan: &Plan,
    of: i32,
) -> anyhow::Result<Vec<(Way, Costs)>> {
    let taking_part = |way: &Way| *way != Way::RowByRow || count <= MOST_ROW_BY_ROW;
    let mut costs: Vec<(Way, Costs)> = WAYS
        .into_iter()
        .filter(taking_part)
        .map(|way| (way, Costs::default()))
        .collect();
    let mut balance = count;
    for _ in 0..plan.rounds.max(3) {
        for (way, costs) in &mut costs {
            desk.client.batch_execute("vacuum accounts").await?;
            balance += 1;
            let rows = Rows::new(count, of, balance);
            let expected = rows.keys.len() as u64;
            // The first writing is not measured: a session does more work for the first time.
            desk.write(*way, &rows).await?;
            let (cpu, started) = (desk.cpu()?, Instant::now());
            for _ in 0..times {
                let touched = desk.write(*way, &rows).await?;
                anyhow::ensure!(
                    touched == expected,
                    "{way:?} updated {touched} of {expected}"
                );
            }
            costs
                .seconds
                .push(started.elapsed().as_secs_f64() / f64::from(times));
            costs.cpu.push((desk.cpu()? - cpu) / f64::from(times));
            let there = desk.with_balance(balance).await?;
            anyhow::ensure!(there.rows == expected, "{way:?}: {there}");
            costs.checked = vec![("accounts".to_owned(), there)];
        }
    }
    Ok(costs)
}

async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
    let settings = SETTINGS.iter();
    let builder = Cluster::builder(&Server::debian15());
    let cluster = settings
        .fold(builder, |builder, (name, value)| builder.set(name, value))
        .start();
    cluster.create_db(DB);
    let of = i32::try_from(plan.rows)?.min(TABLE_ROWS);
    let desk = Desk::open(&cluster, of).await?;
    let mut measured = Vec::new();
    for (count, times) in CHUNKS {
        if count > of {
            continue;
        }
        for (way, mut costs) in chunk(&desk, count, times, plan, of).await? {
            let mut one = Measurement::new(format!("staging: {count} rows"), way.name());
            let cpu = median(&mut costs.cpu);
            one.seconds = Some(median(&mut costs.seconds));
            one.rate = Some((f64::from(count) / cpu, "rows/CPU s"));
            one.note = format!(
                "{:.1} microseconds of the server's CPU a row",
                cpu * 1e6 / f64::from(count)
            );
            one.runs = costs.seconds;
            one.checked = costs.checked;
            measured.push(one);
        }
    }
    Ok(measured)
}

impl Workload for Staging {
    fn name(&self) -> String {
        "staging".to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        // No peer takes part.
        vec![plan.clone()]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?
            .block_on(measure(plan))
    }
}
