//! The promotion, and the tables that are opened after it.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use sql::moment::{MOMENT, Tries};
use sql::operation::{self, Step};
use sql::role;

use super::hook;
use super::hosts::Unanswered;
use super::work::{Stop, Work};

/// How long tables that others have locked are waited for. The ticker goes on with them.
const OPENING: Duration = Duration::from_secs(30);

impl Work<'_> {
    /// Makes the new node the provider. Without an answer it is asked again, which gives the same answer: until it has
    /// said no, the old provider stays fenced.
    ///
    /// `set`: what the old provider has; None, for a failover.
    pub(crate) async fn promote(&mut self, set: Option<&str>) -> Result<(), Stop> {
        let node = self.new_name();
        let Some(last) = self.last else {
            return Err(Stop::late(format!("{node}: no final tick is known")));
        };
        let noted = self.note_new(Step::Promote).await;
        noted.map_err(|why| Stop::of(&node, &why))?;
        // The old provider's row is as good at catch-up: it may be given up only after the new one's.
        let _ = self.note_old(Step::Promote).await;
        let plan = self.plan.clone();
        let tries = Tries::within(self.options.patience);
        loop {
            let promoted = self.new.ask_within(self.limit, async |session| {
                operation::promote(&**session, &plan, last, set).await
            });
            match promoted.await {
                Ok(promoted) => {
                    self.term = Some(promoted.term);
                    return Ok(());
                }
                Err(Unanswered::Refused(error)) => {
                    if let Err(error) = tries.again(error).await {
                        // The time counts, and the promotion's own reasons come too late to be a refusal.
                        return Err(Stop {
                            exit: Exit::TimedOut,
                            ..Stop::of(&node, &Unanswered::Refused(error))
                        });
                    }
                }
                Err(lost) if tries.is_over() => return Err(Stop::of(&node, &lost)),
                Err(Unanswered::Lost(_)) => tokio::time::sleep(MOMENT).await,
            }
            self.beat(Step::Promote).await;
        }
    }

    /// Has the new provider's tables take writes, tells how long no node did, and runs the operator's command. Nothing
    /// of it takes the promotion back: what fails is told, and the daemons go on with it.
    ///
    /// Gives whether all of it was done.
    pub(crate) async fn open(&mut self) -> Result<bool, Failure> {
        let node = self.new_name();
        let _ = self.note_new(Step::Open).await;
        let _ = self.note_old(Step::Open).await;
        let queue = self.plan.queue.clone();
        let started = Instant::now();
        let mut left = None;
        let mut why = None;
        while left != Some(0) && started.elapsed() < OPENING {
            let opened = self.new.ask_within(self.limit, async |session| {
                role::open_tables(&**session, &queue).await
            });
            match opened.await {
                Ok(0) => left = Some(0),
                Ok(some) => left = Some(some),
                Err(unanswered) => why = Some(unanswered.text()),
            }
            if left != Some(0) {
                tokio::time::sleep(MOMENT).await;
                self.beat(Step::Open).await;
            }
        }
        let mut is_whole = left == Some(0);
        if is_whole {
            self.pause = self.fenced_at.map(|at| at.elapsed());
        } else {
            let left = match (left, why) {
                (Some(left), _) => format!("{left} tables"),
                (None, Some(why)) => why,
                (None, None) => "it was not asked".to_owned(),
            };
            eprintln!(
                "warning: {node} is the provider, and does not take all writes yet ({left}); its ticker goes on"
            );
        }
        let paused = self.pause.map_or_else(String::new, |pause| {
            format!(", writes have waited for {:.2} s", pause.as_secs_f64())
        });
        self.say(&format!("{node} is the provider of queue {queue}{paused}"))?;
        if let Some(line) = self.options.after
            && let Err(why) = hook::run(line, &self.plan).await
        {
            eprintln!("warning: --after: {why}");
            is_whole = false;
        }
        Ok(is_whole)
    }
}
