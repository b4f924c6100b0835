//! The tables of both nodes are compared while they stand at the final tick: nobody writes, so the answer is exact.
//! Writes wait until it is there.

use std::time::{Duration, Instant};

use admin::exit::{Exit, one_line};
use futures::future::try_join;
use serde_json::json;
use sql::connect::Session;
use sql::operation::Step;
use sql::verify::{self, Content, SetTable};

use crate::topology::hosts::Host;
use crate::topology::work::{BEAT, Stop, Work};

/// How many tables that differ are named; of further tables only the number is told.
const TOLD: usize = 5;

/// How the tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Verify {
    /// By the number of their rows
    Counts,
    /// By a sum over the text of all rows, which each server computes
    Digest,
}

impl Verify {
    fn as_str(self) -> &'static str {
        match self {
            Verify::Counts => "counts",
            Verify::Digest => "digest",
        }
    }
}

/// A table that differs.
struct Difference {
    table: String,
    old: Content,
    new: Option<Content>,
}

impl Difference {
    /// `public.t (castor 100 rows, pollux 99)`.
    fn text(&self, old: &str, new: &str) -> String {
        let rows = self.old.rows;
        match &self.new {
            None => format!("{} ({new} does not follow it)", self.table),
            Some(there) if there.rows == rows => {
                format!("{} ({rows} rows on both, of other values)", self.table)
            }
            Some(there) => format!("{} ({old} {rows} rows, {new} {})", self.table, there.rows),
        }
    }
}

/// Two nodes whose tables are compared, over sessions of their own.
struct Pair {
    queue: String,
    old: Host,
    new: Host,
    names: [String; 2],
    ends: Instant,
}

impl Work<'_> {
    /// Compares the tables of both nodes. `set`: what the old provider has.
    ///
    /// # Errors
    /// Tables differ ([`Exit::Part`]), they cannot be read, or the time is up.
    pub(super) async fn verify(
        &mut self,
        by: Verify,
        limit: Duration,
        set: &str,
    ) -> Result<(), Stop> {
        let tables = verify::tables_of(set).map_err(|error| Stop {
            exit: Exit::Failed,
            text: one_line(&error),
            hint: None,
        })?;
        let started = Instant::now();
        let mut pair = Pair {
            queue: self.plan.queue.clone(),
            old: self.old.again(),
            new: self.new.again(),
            names: [self.old_name(), self.new_name()],
            ends: started + limit,
        };
        let mut different = Vec::new();
        let mut told = Instant::now();
        for (done, table) in tables.iter().enumerate() {
            if told.elapsed() >= BEAT {
                told = Instant::now();
                let all = tables.len();
                let _ = self.say(&format!("compared {done} of {all} tables"));
            }
            let compared = self.beating(pair.compare(table, by)).await?;
            different.extend(compared);
        }
        let [old, new] = &pair.names;
        let seconds = started.elapsed().as_secs_f64();
        let differing: Vec<_> = different
            .iter()
            .map(|one| {
                json!({
                    "table": one.table,
                    "old_rows": one.old.rows,
                    "new_rows": one.new.as_ref().map(|there| there.rows),
                })
            })
            .collect();
        self.verified = Some(json!({
            "by": by.as_str(), "tables": tables.len(), "seconds": seconds, "differing": differing,
        }));
        if different.is_empty() {
            let _ = self.say(&format!(
                "{} tables are the same on {old} and {new}, by {} ({seconds:.2} s)",
                tables.len(),
                by.as_str()
            ));
            return Ok(());
        }
        let named = different.iter().take(TOLD).map(|one| one.text(old, new));
        let mut named: Vec<String> = named.collect();
        if different.len() > TOLD {
            named.push(format!("and {} more", different.len() - TOLD));
        }
        Err(Stop {
            exit: Exit::Part,
            text: format!("tables differ: {}", named.join("; ")),
            hint: Some(format!(
                "on {new}: replay resync TABLE --swap copies a table anew"
            )),
        })
    }

    /// Tells the rows meanwhile that the command works.
    async fn beating<T>(&mut self, doing: impl Future<Output = T>) -> T {
        tokio::pin!(doing);
        loop {
            tokio::select! {
                done = &mut doing => return done,
                () = tokio::time::sleep(BEAT) => {}
            }
            self.beat(Step::CatchUp).await;
        }
    }
}

impl Pair {
    /// Compares a table; None: it is the same.
    async fn compare(&mut self, table: &SetTable, by: Verify) -> Result<Option<Difference>, Stop> {
        let title = table.title().to_string();
        let late = || Stop::late(format!("the time is up before table {title} is compared"));
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        // The server ends a statement that nobody waits for any more.
        let limit = format!("set statement_timeout = {}", left.as_millis().max(1));
        let limited = async |session: &mut Session| {
            let set = session.batch_execute(&limit).await;
            set.map_err(sql::Error::database("limit the time of a statement"))
        };
        let queue = &self.queue;
        let here = self.new.ask_within(left, async |session| {
            limited(session).await?;
            verify::followed(&**session, queue).await
        });
        let here = here.await.map_err(|why| Stop::of(&self.names[1], &why))?;
        let columns = self.old.ask_within(left, async |session| {
            limited(session).await?;
            match by {
                Verify::Counts => Ok(Vec::new()),
                Verify::Digest => verify::columns(&**session, table.oid).await,
            }
        });
        let columns = columns
            .await
            .map_err(|why| Stop::of(&self.names[0], &why))?;
        let read = async |host: &mut Host, name: &str, oid: u32| {
            let asked = host.ask_within(left, async |session| {
                verify::read(&**session, oid, &columns).await
            });
            asked.await.map_err(|why| {
                let stop = Stop::of(name, &why);
                Stop {
                    text: format!("table {title}: {}", stop.text),
                    ..stop
                }
            })
        };
        let [old_name, new_name] = &self.names;
        let Some(here) = here.get(&table.oid).copied() else {
            let old = read(&mut self.old, old_name, table.oid).await?;
            return Ok(Some(Difference {
                table: title.clone(),
                old,
                new: None,
            }));
        };
        let (old, new) = try_join(
            read(&mut self.old, old_name, table.oid),
            read(&mut self.new, new_name, here),
        )
        .await?;
        let same = old == new;
        Ok((!same).then(|| Difference {
            table: title.clone(),
            old,
            new: Some(new),
        }))
    }
}
