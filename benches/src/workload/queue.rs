//! The queue itself, without replication: inserting, reading, ticking and asking for batches, compared with the
//! original extension (Debian's postgresql-15-pgq3), also while a transaction is held open. Measured is the CPU of the
//! server process that does the work, so that other work on the machine counts as little as possible.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tests::{Cluster, Digest, Node, Scratch, Server, Session};

use crate::measurement::Measurement;
use crate::pair::{DB, SETTINGS};
use crate::workload::{Plan, Workload, median};

/// All phases, for both peers, without and with a held transaction.
pub(crate) struct Queue;

/// The maker of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Trunkline,
    Original,
}

impl Maker {
    fn word(self) -> &'static str {
        match self {
            Maker::Trunkline => "trunkline",
            Maker::Original => "PgQ 3.5",
        }
    }
}

/// The work of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Inserts events, each in a transaction of its own.
    InsertAlone,
    /// Inserts events in one statement over a series, a call for each event.
    InsertSeries,
    /// Inserts all events in one call; the original has no such call, and its best is the series.
    InsertMany,
    /// Reads a backlog of batches, each opened, read and finished.
    Read,
    /// Ticks each of so many queues, each with a new event.
    Tick(u32),
    /// Calls next_batch and finish_batch for each of so many consumers.
    NextBatch(u32),
}

const PHASES: [Phase; 10] = [
    Phase::InsertAlone,
    Phase::InsertSeries,
    Phase::InsertMany,
    Phase::Read,
    Phase::Tick(1),
    Phase::Tick(10),
    Phase::Tick(100),
    Phase::NextBatch(1),
    Phase::NextBatch(10),
    Phase::NextBatch(100),
];

const ALONE: u32 = 5_000;
const SERIES: u32 = 50_000;
const READ_BATCHES: u32 = 50;
const READ_EVENTS: u32 = 1_000;
const TICKS: u32 = 1_000;
const BATCHES: u32 = 2_000;

/// 100 bytes, as an ordinary event has.
const DATA: &str = "'event number ' || g || repeat('.', 80)";

impl Phase {
    fn name(self) -> String {
        match self {
            Phase::InsertAlone => "queue: insert_event, a transaction each".to_owned(),
            Phase::InsertSeries => "queue: insert_event over a series".to_owned(),
            Phase::InsertMany => "queue: insert_events in one call".to_owned(),
            Phase::Read => "queue: read a backlog".to_owned(),
            Phase::Tick(queues) => format!("queue: tick {queues} queues"),
            Phase::NextBatch(consumers) => format!("queue: next_batch, {consumers} consumers"),
        }
    }

    /// The number of operations of one round, and the name of one operation.
    fn work(self) -> (u32, &'static str) {
        match self {
            Phase::InsertAlone => (ALONE, "events/CPU s"),
            Phase::InsertSeries | Phase::InsertMany => (SERIES, "events/CPU s"),
            Phase::Read => (READ_BATCHES * READ_EVENTS, "events/CPU s"),
            Phase::Tick(_) => (TICKS, "ticks/CPU s"),
            Phase::NextBatch(_) => (BATCHES, "batches/CPU s"),
        }
    }
}

/// A server with the queue of one maker, and the sessions that work and hold.
struct Desk {
    maker: Maker,
    held: bool,
    worker: Session,
    _holder: Option<Session>,
    pid: String,
    cluster: Cluster,
    scratch: Scratch,
}

impl Desk {
    fn new(maker: Maker, held: bool) -> Desk {
        let builder = Cluster::builder(&Server::debian15());
        let settings = SETTINGS.iter().chain(&[("synchronous_commit", "off")]);
        let cluster = settings
            .fold(builder, |builder, (name, value)| builder.set(name, value))
            .start();
        cluster.create_db(DB);
        let scratch = Scratch::new();
        match maker {
            Maker::Trunkline => drop(ticker(&cluster, &scratch).run(&["install"]).ok()),
            Maker::Original => drop(cluster.psql(DB, "create extension pgq")),
        }
        let worker = Session::new(&cluster, DB);
        let pid = worker.ask("select pg_backend_pid()");
        Desk {
            maker,
            held,
            pid,
            worker,
            _holder: held.then(|| {
                let begin =
                    "set transaction isolation level repeatable read; select txid_current()";
                Session::holding(&cluster, DB, begin)
            }),
            cluster,
            scratch,
        }
    }

    /// Makes queues of this name with numbers from 1 on; each ticks as soon as it has an event.
    fn make(&self, name: &str, count: u32) {
        for number in 1..=count {
            let queue = format!("{name}{number}");
            self.worker
                .ask(&format!("select pgq.create_queue('{queue}')"));
            self.worker.ask(&format!(
                "select pgq.set_queue_config('{queue}', 'ticker_max_count', '1')"
            ));
        }
    }

    /// Drops the queues again, so that a round leaves no queue to the next round.
    fn drop_all(&self) {
        while self
            .worker
            .ask("select pgq.drop_queue(min(queue_name), true) from pgq.queue having count(*) > 0")
            == "1"
        {}
    }

    /// Seconds of CPU that the worker's backend has used.
    fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid))
            .context("the kernel tells no CPU time of a process")?;
        let word = stat.split(' ').next().context("schedstat is empty")?;
        let nanoseconds: f64 = word.parse().context("schedstat holds no number")?;
        Ok(nanoseconds / 1e9)
    }

    /// The CPU of the work alone, and the events or ticks to be checked: their number, and a sum.
    fn round(&self, phase: Phase, round: u32) -> anyhow::Result<(f64, Digest)> {
        match phase {
            Phase::InsertAlone | Phase::InsertSeries | Phase::InsertMany => self.insert(phase),
            Phase::Read => self.read(round),
            Phase::Tick(queues) => self.tick(queues),
            Phase::NextBatch(consumers) => self.next_batches(consumers),
        }
    }

    fn insert(&self, phase: Phase) -> anyhow::Result<(f64, Digest)> {
        self.make("q", 1);
        let daemon = self.daemon()?;
        let statement = match (phase, self.maker) {
            (Phase::InsertAlone, _) => format!(
                "do $$ begin for g in 1 .. {ALONE} loop \
                     perform pgq.insert_event('q1', 'type', {DATA}); commit; end loop; end $$"
            ),
            (Phase::InsertMany, Maker::Trunkline) => format!(
                "select pgq.insert_events('q1', array_agg('type'::text order by g), array_agg({DATA} order by g)) \
                   from generate_series(1, {SERIES}) g"
            ),
            _ => format!(
                "select count(pgq.insert_event('q1', 'type', {DATA})) from generate_series(1, {SERIES}) g"
            ),
        };
        let start = self.cpu()?;
        self.worker.ask(&statement);
        let used = self.cpu()? - start;
        drop(daemon);
        let there = self.events("q1");
        self.drop_all();
        Ok((used, there))
    }

    /// The events of a queue in its tables: how many, and a sum of their data.
    fn events(&self, queue: &str) -> Digest {
        let sum = "coalesce(sum(('x' || substr(md5(ev_data), 1, 15))::bit(60)::bigint), 0)";
        let table = self.worker.ask(&format!(
            "select queue_data_pfx from pgq.queue where queue_name = '{queue}'"
        ));
        self.digest(&format!("select count(*) || ' ' || {sum} from {table}"))
    }

    fn digest(&self, query: &str) -> Digest {
        let text = self.worker.ask(query);
        let (rows, sum) = text.split_once(' ').unwrap_or(("0", ""));
        Digest {
            rows: rows.parse().unwrap_or(0),
            sum: sum.to_owned(),
        }
    }

    fn read(&self, round: u32) -> anyhow::Result<(f64, Digest)> {
        self.make("q", 1);
        self.worker
            .ask("select pgq.register_consumer('q1', 'reader')");
        for _ in 0..READ_BATCHES {
            self.worker.ask(&format!(
                "select count(pgq.insert_event('q1', 'type', {DATA})) from generate_series(1, {READ_EVENTS}) g"
            ));
            self.worker.ask("select pgq.ticker('q1')");
        }
        let (mut used, mut rows, mut sum) = (0.0, 0, 0_i128);
        loop {
            let start = self.cpu()?;
            let batch = self.worker.ask("select pgq.next_batch('q1', 'reader')");
            if batch.is_empty() {
                break;
            }
            let seen = self.digest(&format!(
                "select count(*) || ' ' || coalesce(sum(length(ev_data)), 0) from pgq.get_batch_events({batch})"
            ));
            self.worker
                .ask(&format!("select pgq.finish_batch({batch})"));
            used += self.cpu()? - start;
            rows += seen.rows;
            sum += seen.sum.parse::<i128>()?;
        }
        self.drop_all();
        let expected = u64::from(READ_BATCHES * READ_EVENTS);
        anyhow::ensure!(
            rows == expected,
            "round {round}: {rows} events were read, not {expected}"
        );
        Ok((
            used,
            Digest {
                rows,
                sum: sum.to_string(),
            },
        ))
    }

    fn tick(&self, queues: u32) -> anyhow::Result<(f64, Digest)> {
        self.make("q", queues);
        let (mut used, mut made) = (0.0, 0);
        for _ in 0..TICKS / queues {
            self.worker.ask(&format!(
                "select count(pgq.insert_event('q' || g, 'type', 'x')) from generate_series(1, {queues}) g"
            ));
            let start = self.cpu()?;
            let ticks = self.worker.ask("select pgq.ticker()");
            used += self.cpu()? - start;
            made += ticks.parse().unwrap_or(0);
        }
        self.drop_all();
        let digest = Digest {
            rows: made,
            sum: String::new(),
        };
        Ok((used, digest))
    }

    fn next_batches(&self, consumers: u32) -> anyhow::Result<(f64, Digest)> {
        self.make("q", 1);
        self.worker.ask(&format!(
            "select count(pgq.register_consumer('q1', 'c' || g)) from generate_series(1, {consumers}) g"
        ));
        let (mut used, mut done) = (0.0, 0);
        for _ in 0..BATCHES / consumers {
            self.worker
                .ask("select pgq.insert_event('q1', 'type', 'x')");
            self.worker.ask("select pgq.ticker('q1')");
            for consumer in 1..=consumers {
                let start = self.cpu()?;
                let batch = self
                    .worker
                    .ask(&format!("select pgq.next_batch('q1', 'c{consumer}')"));
                if !batch.is_empty() {
                    self.worker
                        .ask(&format!("select pgq.finish_batch({batch})"));
                    done += 1;
                }
                used += self.cpu()? - start;
            }
        }
        self.drop_all();
        let digest = Digest {
            rows: done,
            sum: String::new(),
        };
        Ok((used, digest))
    }

    /// The maker's own ticker, while the value lives.
    fn daemon(&self) -> anyhow::Result<Daemon> {
        match self.maker {
            Maker::Trunkline => {
                let node = ticker(&self.cluster, &self.scratch);
                node.run(&["start", "-d"]).ok();
                Ok(Daemon::Ticker(node))
            }
            Maker::Original => {
                let home = self.scratch.path().display();
                let config = self.scratch.file(
                    "pgqd.ini",
                    &format!(
                        "[pgqd]\nbase_connstr = host=127.0.0.1 port={} user=postgres\ninitial_database = postgres\n\
                         database_list = {DB}\nlogfile = {home}/pgqd.log\npidfile = {home}/pgqd.pid\nsyslog = 0\n",
                        self.cluster.port()
                    ),
                );
                anyhow::ensure!(
                    Path::new("/usr/bin/pgqd").exists(),
                    "/usr/bin/pgqd is missing: install pgqd"
                );
                let child = Command::new("/usr/bin/pgqd")
                    .arg(config)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?;
                Ok(Daemon::Pgqd(child))
            }
        }
    }
}

/// A running ticker, ended when it is dropped.
enum Daemon {
    Ticker(Node),
    Pgqd(Child),
}

impl Drop for Daemon {
    fn drop(&mut self) {
        match self {
            Daemon::Ticker(node) => node.kill9(),
            Daemon::Pgqd(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

fn ticker(cluster: &Cluster, scratch: &Scratch) -> Node {
    let config = scratch.file(
        "ticker.toml",
        &format!(
            "[ticker]\njob_name = \"bench\"\ndb = \"{}\"\nlogfile = \"{}/bench.log\"\npidfile = \"{}/bench.pid\"\n",
            cluster.conninfo(DB),
            scratch.dir("log").display(),
            scratch.dir("run").display()
        ),
    );
    Node::new("ticker", scratch, &config, "bench")
}

impl Workload for Queue {
    fn name(&self) -> String {
        "the queue against PgQ 3.5".to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        vec![plan.clone()]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let original = "/usr/share/postgresql/15/extension/pgq--3.5.sql";
        anyhow::ensure!(
            Path::new(original).exists(),
            "{original} is missing: install postgresql-15-pgq3"
        );
        let mut measurements = Vec::new();
        for held in [false, true] {
            let desks = [
                Desk::new(Maker::Trunkline, held),
                Desk::new(Maker::Original, held),
            ];
            for phase in PHASES {
                measurements.extend(both(phase, &desks, plan)?);
                if let [.., one, two] = measurements.as_slice() {
                    eprintln!("{}\n{}", two.line(), one.line());
                }
            }
        }
        Ok(measurements)
    }
}

/// Measures a phase of both makers in turns; the results of their work must be the same.
fn both(phase: Phase, desks: &[Desk; 2], plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
    let mut rates = [Vec::new(), Vec::new()];
    let mut checked = [None, None];
    let (count, unit) = phase.work();
    for round in 0..plan.rounds.max(3) {
        for ((desk, rates), checked) in desks.iter().zip(&mut rates).zip(&mut checked) {
            let (cpu, digest) = desk.round(phase, round)?;
            anyhow::ensure!(
                checked.as_ref().is_none_or(|before| *before == digest)
                    && digest.rows == u64::from(count),
                "{} of {}: {digest}, expected {count}",
                phase.name(),
                desk.maker.word()
            );
            rates.push(f64::from(count) / cpu);
            *checked = Some(digest);
        }
    }
    anyhow::ensure!(checked[0] == checked[1], "{}: {checked:?}", phase.name());
    let base = median(&mut rates[1].clone());
    let mut found = Vec::new();
    for ((desk, mut rates), digest) in desks.iter().zip(rates).zip(checked) {
        let suffix = if desk.held {
            ", a transaction held"
        } else {
            ""
        };
        let mut measurement =
            Measurement::new(format!("{}{suffix}", phase.name()), desk.maker.word());
        let rate = median(&mut rates);
        measurement.rate = Some((rate, unit));
        measurement.ratio = Some(rate / base);
        measurement.runs = rates;
        measurement.checked = digest
            .into_iter()
            .map(|digest| ("done".to_owned(), digest))
            .collect();
        measurement.note = "ratio: of PgQ's rate".to_owned();
        if phase == Phase::InsertMany && desk.maker == Maker::Original {
            measurement
                .note
                .push_str("; it has no such call, this is the series");
        }
        found.push(measurement);
    }
    Ok(found)
}
