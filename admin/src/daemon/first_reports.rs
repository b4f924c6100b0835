//! What `start -d` waits for: one report of each task that the daemon has begun.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Ready;

/// How long a start waits for the reports before it says which are missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where tasks report how their tries ended.
#[derive(Clone, Debug)]
pub struct Reports(mpsc::UnboundedSender<(String, Option<String>)>);

impl Reports {
    /// Reports the outcome of a try of the task: its error, if there was one. Only a task's first report counts.
    pub fn tell(&self, task: &str, error: Option<String>) {
        // The send may fail: the daemon may be ending.
        let _ = self.0.send((task.to_owned(), error));
    }
}

/// The tasks whose first report is still to come, and the problems that were reported.
#[derive(Debug)]
pub struct FirstReports {
    ready: Option<Ready>,
    reports: mpsc::UnboundedReceiver<(String, Option<String>)>,
    expected: BTreeSet<String>,
    problems: Vec<String>,
    give_up_at: Instant,
}

impl FirstReports {
    /// Reports to `ready` as soon as [`FirstReports::settle`] finds that no report is missing, and after 10 s in any
    /// case.
    pub fn new(ready: Ready) -> (FirstReports, Reports) {
        let (sender, reports) = mpsc::unbounded_channel();
        let first = FirstReports {
            ready: Some(ready),
            reports,
            expected: BTreeSet::new(),
            problems: Vec::new(),
            give_up_at: Instant::now() + PATIENCE,
        };
        (first, Reports(sender))
    }

    /// A task has begun.
    pub fn expect(&mut self, task: &str) {
        if self.ready.is_some() {
            self.expected.insert(task.to_owned());
        }
    }

    /// A task could not be begun.
    pub fn missing(&mut self, problem: String) {
        if self.ready.is_some() {
            self.problems.push(problem);
        }
    }

    /// Waits for the next report, or until the time for reports is over. Call it again and again as long as the daemon
    /// runs, so that later reports do not pile up. Cancel safe.
    pub async fn listen(&mut self) {
        tokio::select! {
            report = self.reports.recv() => match report {
                Some((task, error)) => self.heard(&task, error),
                None => pending().await,
            },
            () = tokio::time::sleep_until(self.give_up_at), if self.ready.is_some() => {
                for task in std::mem::take(&mut self.expected) {
                    self.problems.push(format!("{task}: no answer yet"));
                }
                self.settle();
            }
        }
    }

    fn heard(&mut self, task: &str, error: Option<String>) {
        if self.expected.remove(task) {
            if let Some(error) = error {
                self.problems.push(format!("{task}: {error}"));
            }
            self.settle();
        }
    }

    /// Reports once, as soon as every expected task has an outcome.
    pub fn settle(&mut self) {
        if !self.expected.is_empty() {
            return;
        }
        let Some(ready) = self.ready.take() else {
            return;
        };
        if self.problems.is_empty() {
            ready.ready();
        } else {
            let mut text = String::new();
            for problem in &self.problems {
                text.push_str(&format!("warning: {problem}\n"));
            }
            text.push_str("started, and trying again\n");
            ready.not_yet(text);
        }
    }
}
