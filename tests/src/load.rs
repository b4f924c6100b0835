//! Writers that do not stop while a test disturbs the servers. They run in threads of their own, so that a test may
//! block, and they reconnect by themselves when their server was away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::NoTls;

use crate::cluster::Cluster;

/// The work of the writers: from the random numbers of a writer and the number of its transaction, the text of that
/// transaction.
pub type Writes = Arc<dyn Fn(&mut StdRng, u64) -> String + Send + Sync>;

/// Running writers. [`Load::stop`] ends them and gives what they did.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    committed: AtomicU64,
    disconnects: AtomicU64,
    longest_micros: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// What the writers of a [`Load`] did.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Transactions that the server reported as committed.
    pub committed: u64,
    /// How often a connection was lost or refused.
    pub disconnects: u64,
    /// The longest time that a committed transaction took.
    pub longest: Duration,
    /// The server's errors for transactions that it refused.
    pub errors: Vec<String>,
}

impl Load {
    /// Starts `writers` sessions on a database, each doing one transaction after
    /// the other with `pause` between them. Each writer has its own seed.
    #[must_use]
    pub fn start(
        cluster: &Cluster,
        dbname: &str,
        writers: u64,
        pause: Duration,
        writes: &Writes,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..writers)
            .map(|writer| {
                let (shared, writes) = (Arc::clone(&shared), Arc::clone(writes));
                let conninfo = format!("{} application_name=writer", cluster.conninfo(dbname));
                std::thread::spawn(move || {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .expect("a runtime for a writer")
                        .block_on(write(writer, &conninfo, pause, &writes, &shared));
                })
            })
            .collect();
        Self { shared, threads }
    }

    /// Transactions committed up to now.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Waits until so many more transactions are committed: proof that nothing
    /// blocks the writers.
    #[track_caller]
    pub fn wait_for_more(&self, transactions: u64) {
        let goal = self.committed() + transactions;
        crate::wait_until("the writers to go on", Duration::from_secs(180), || {
            self.committed() >= goal
        });
    }

    /// Ends the writers after the transactions in hand.
    ///
    /// # Panics
    ///
    /// If a writer panicked.
    #[must_use]
    pub fn stop(mut self) -> Totals {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a writer");
        }
        Totals {
            committed: self.committed(),
            disconnects: self.shared.disconnects.load(Ordering::Relaxed),
            longest: Duration::from_micros(self.shared.longest_micros.load(Ordering::Relaxed)),
            errors: self.shared.errors.lock().expect("the errors").clone(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

async fn write(writer: u64, conninfo: &str, pause: Duration, writes: &Writes, shared: &Shared) {
    let mut random = StdRng::seed_from_u64(writer);
    let mut number = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((client, connection)) = tokio_postgres::connect(conninfo, NoTls).await else {
            shared.disconnects.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let driver = tokio::spawn(connection);
        while !shared.stop.load(Ordering::Relaxed) {
            number += 1;
            let text = format!("begin; {}; commit", writes(&mut random, number));
            let started = std::time::Instant::now();
            match client.batch_execute(&text).await {
                Ok(()) => {
                    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                    shared.longest_micros.fetch_max(micros, Ordering::Relaxed);
                    shared.committed.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if client.is_closed() || lost(&error) => {
                    shared.disconnects.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(error) => {
                    let said = error.as_db_error().map_or_else(
                        || error.to_string(),
                        |said| format!("{}: {said}", said.code().code()),
                    );
                    shared
                        .errors
                        .lock()
                        .expect("the errors")
                        .push(format!("{said} in: {text}"));
                    let _ = client.batch_execute("rollback").await;
                }
            }
            tokio::time::sleep(pause).await;
        }
        driver.abort();
    }
}

/// Whether an error means that the session has ended.
fn lost(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_none_or(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
}

/// Transfers of money between two tables (TX-01): a reader that sees half of a transaction sees another total.
#[derive(Debug, Clone, Copy)]
pub struct Transfers;

impl Transfers {
    /// Accounts in each of the two tables.
    pub const ACCOUNTS: u32 = 200;

    /// Makes and fills the tables `public.checking` and `public.savings`.
    pub fn create(cluster: &Cluster, dbname: &str) {
        for table in ["checking", "savings"] {
            cluster.psql(
                dbname,
                &format!(
                    "create table public.{table} (id int primary key, balance bigint not null); \
                     insert into public.{table} select i, 1000 from generate_series(1, {}) i",
                    Self::ACCOUNTS
                ),
            );
        }
    }

    /// Moves some money from one table to the other. The accounts are taken in
    /// one order, so that writers never deadlock.
    #[must_use]
    pub fn writes() -> Writes {
        Arc::new(|random, _| {
            let amount = random.random_range(-50..=50);
            let (from, to) = (
                random.random_range(1..=Self::ACCOUNTS),
                random.random_range(1..=Self::ACCOUNTS),
            );
            format!(
                "update public.checking set balance = balance - {amount} where id = {from}; \
                 update public.savings set balance = balance + {amount} where id = {to}"
            )
        })
    }

    /// The total of both tables, which never changes.
    pub const TOTAL: i64 = 2 * 1000 * Self::ACCOUNTS as i64;

    /// Reads the total on a server every 50 ms until the returned guard is
    /// stopped. `Err` from [`Reader::stop`] names the first wrong total.
    #[must_use]
    pub fn read(cluster: &Cluster, dbname: &str) -> Reader {
        let stop = Arc::new(AtomicBool::new(false));
        let reads = Arc::new(AtomicU64::new(0));
        let conninfo = format!("{} application_name=reader", cluster.conninfo(dbname));
        let (told, counted) = (Arc::clone(&stop), Arc::clone(&reads));
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for a reader")
                .block_on(read_totals(&conninfo, &told, &counted))
        });
        Reader {
            stop,
            reads,
            thread: Some(thread),
        }
    }
}

/// A running reader; see [`Transfers::read`].
#[derive(Debug)]
pub struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<u64, String>>>,
}

impl Reader {
    /// How often it has read up to now.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Ends the reader; gives how often it read, or the first wrong total.
    ///
    /// # Errors
    ///
    /// A total that is not [`Transfers::TOTAL`].
    pub fn stop(mut self) -> Result<u64, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .expect("a reader is stopped once")
            .join()
            .expect("the reader")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn read_totals(
    conninfo: &str,
    stop: &AtomicBool,
    counted: &AtomicU64,
) -> Result<u64, String> {
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok((client, connection)) = tokio_postgres::connect(conninfo, NoTls).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let driver = tokio::spawn(connection);
        while !stop.load(Ordering::Relaxed) {
            // Two statements in one snapshot, as a report would read them.
            let totals = client
                .simple_query(
                    "begin isolation level repeatable read; \
                     select sum(balance)::text from public.checking; \
                     select sum(balance)::text from public.savings; commit",
                )
                .await;
            let Ok(messages) = totals else { break };
            let total: i64 = messages
                .iter()
                .filter_map(|message| {
                    if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                        row.get(0)
                    } else {
                        None
                    }
                })
                .map(|text| text.parse::<i64>().expect("a total"))
                .sum();
            if total != Transfers::TOTAL {
                return Err(format!(
                    "read {reads}: the total is {total} and not {}",
                    Transfers::TOTAL
                ));
            }
            reads += 1;
            counted.store(reads, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        driver.abort();
    }
    Ok(reads)
}
