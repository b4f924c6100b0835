//! Sessions that take turns, statement by statement, in an order that a seed gives: a replay takes the same turns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::provider::Provider;

/// At most so many sessions write at once.
pub(super) const SESSIONS: usize = 3;

/// A statement that waits longer than this for others is a fault of the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sessions that write, and one that looks whether they wait.
pub(super) struct Turns {
    seats: Vec<Seat>,
    watcher: Client,
    /// Print each statement with its end.
    pub(super) print: bool,
}

struct Seat {
    client: Arc<Client>,
    pid: String,
    left: VecDeque<String>,
    running: Option<JoinHandle<Result<(), tokio_postgres::Error>>>,
    statement: String,
    since: Instant,
    savepoint: Option<String>,
    /// Holds a lock that keeps readers out.
    truncated: bool,
}

/// How a look at a seat ended.
#[derive(PartialEq)]
enum Stands {
    Idle,
    Waiting,
    Committed,
}

impl Turns {
    pub(super) async fn new(provider: &Provider) -> Turns {
        let mut seats = Vec::new();
        for _ in 0..SESSIONS {
            let client = provider.another().await;
            let pid = tests::ask(&client, "select pg_backend_pid()").await;
            seats.push(Seat {
                client: Arc::new(client),
                pid,
                left: VecDeque::new(),
                running: None,
                statement: String::new(),
                since: Instant::now(),
                savepoint: None,
                truncated: false,
            });
        }
        Turns {
            seats,
            watcher: provider.another().await,
            print: false,
        }
    }

    /// Runs the transactions, each in a session of its own, and compares after each commit. Gives the number of
    /// commits.
    pub(super) async fn take(
        &mut self,
        provider: &mut Provider,
        transactions: Vec<Vec<String>>,
        order: &[usize],
        context: &str,
    ) -> usize {
        let context = format!(
            "{context}: {}",
            transactions
                .iter()
                .map(|statements| statements.join("; "))
                .collect::<Vec<_>>()
                .join("\n  against ")
        );
        for (seat, statements) in self.seats.iter_mut().zip(transactions) {
            seat.left = statements.into();
        }
        let mut commits = 0;
        let mut order = order.iter().cycle();
        loop {
            let ready: Vec<usize> = (0..self.seats.len())
                .filter(|&n| self.seats[n].running.is_none() && !self.seats[n].left.is_empty())
                .collect();
            if let Some(&turn) = order.next().filter(|_| !ready.is_empty()) {
                self.start(ready[turn % ready.len()]);
            } else if self.seats.iter().all(|seat| seat.running.is_none()) {
                break;
            }
            let before = commits;
            for n in 0..self.seats.len() {
                commits += usize::from(self.settle(n, &context).await == Stands::Committed);
            }
            if commits > before && !self.seats.iter().any(|seat| seat.truncated) {
                provider.check(&context).await;
            }
        }
        for seat in &mut self.seats {
            let _ = seat.client.batch_execute("rollback").await;
            seat.savepoint = None;
            seat.truncated = false;
        }
        provider.check(&context).await;
        commits
    }

    fn start(&mut self, n: usize) {
        let print = self.print;
        let seat = &mut self.seats[n];
        seat.statement = seat.left.pop_front().expect("a statement is left");
        if print {
            println!("{n}: {};", seat.statement);
        }
        seat.since = Instant::now();
        seat.truncated |= ["truncate", "alter table"]
            .iter()
            .any(|command| seat.statement.contains(command));
        let (client, statement) = (Arc::clone(&seat.client), seat.statement.clone());
        seat.running = Some(tokio::spawn(async move {
            client.batch_execute(&statement).await
        }));
    }

    /// Waits until the seat's statement has ended or waits for another session.
    async fn settle(&mut self, n: usize, context: &str) -> Stands {
        let seat = &mut self.seats[n];
        let Some(mut running) = seat.running.take() else {
            return Stands::Idle;
        };
        let waits = format!(
            "select count(*) from pg_locks where pid = {} and not granted",
            seat.pid
        );
        let mut patience = Duration::from_millis(20);
        let done = loop {
            match tokio::time::timeout(patience, &mut running).await {
                Ok(done) => break done.expect("a statement's task"),
                Err(_)
                    if seat.since.elapsed() < PATIENCE
                        && tests::ask(&self.watcher, &waits).await != "0" =>
                {
                    seat.running = Some(running);
                    return Stands::Waiting;
                }
                Err(_) => patience = Duration::from_millis(5),
            }
            assert!(
                seat.since.elapsed() < PATIENCE,
                "{context}: {}",
                seat.statement
            );
        };
        if let Err(error) = &done {
            assert!(
                error
                    .as_db_error()
                    .is_some_and(|error| !error.message().contains("trunkline")),
                "{context}: {}: {error:?}",
                seat.statement
            );
            if self.print {
                println!("   {n} {error:?}");
            }
            if let Some(savepoint) = &seat.savepoint {
                let back = format!("rollback to {savepoint}");
                let _ = seat.client.batch_execute(&back).await;
            }
        }
        if let Some(name) = seat.statement.strip_prefix("savepoint ") {
            seat.savepoint = Some(name.to_owned());
        }
        let ended = ["commit", "rollback", "prepare"].iter().any(|end| {
            seat.statement.starts_with(end) && !seat.statement.starts_with("rollback to")
        });
        if ended {
            seat.savepoint = None;
            // A prepared transaction keeps its locks.
            seat.truncated &= seat.statement.starts_with("prepare") && done.is_ok();
        }
        if done.is_ok() && seat.statement.starts_with("commit") {
            return Stands::Committed;
        }
        Stands::Idle
    }
}
