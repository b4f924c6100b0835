//! The steps of a switchover up to the moment at which the new provider takes writes. Each is written into both rows
//! before it is done.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use sql::moment::{MOMENT, Tries};
use sql::operation::{self, Step};
use sql::role;

use super::hook;
use super::hosts::Unanswered;
use super::work::{Stop, Work};
use super::writers::Ending;
use crate::fence::Told;

/// The longest wait between two looks at how far the new provider is.
const LOOK: Duration = Duration::from_millis(50);

/// How long tables that others have locked are waited for. The ticker goes on with them.
const OPENING: Duration = Duration::from_secs(30);

impl Work<'_> {
    /// Notes the operation, on the new provider's node first: what the old one knows can be given up there, too. Then
    /// runs the operator's command.
    pub(super) async fn begin(&mut self) -> Result<(), Stop> {
        let plan = &self.plan;
        for (host, node) in [(&mut self.new, &plan.new), (&mut self.old, &plan.old)] {
            let began = host.ask(async |session| operation::begin(&**session, plan).await);
            began.await.map_err(|why| {
                let stop = Stop::of(&node.title(), &why);
                let exit = if why.is_in_use() {
                    Exit::Running
                } else {
                    stop.exit
                };
                Stop { exit, ..stop }
            })?;
        }
        if let Some(line) = &self.args.before {
            hook::run(line, plan).await.map_err(|why| Stop {
                exit: Exit::Failed,
                text: format!("--before: {why}"),
                hint: None,
            })?;
        }
        Ok(())
    }

    /// Fences the old provider; gives what it has, with the values of its sequences. The fence, the final tick in the
    /// row and the values are of one transaction, which holds the row: an operation that was given up fences nobody.
    pub(super) async fn fence(&mut self) -> Result<String, Stop> {
        let node = self.old_name();
        self.note_new(Step::Fence)
            .await
            .map_err(|why| Stop::of(&self.new_name(), &why))?;
        self.note_old(Step::Fence)
            .await
            .map_err(|why| Stop::of(&node, &why))?;
        let reason = format!("switchover to {}", self.new_name());
        let (queue, id) = (self.plan.queue.clone(), self.plan.id);
        let tries = Tries::within(self.args.drain);
        let mut told = Told::default();
        let mut ending = Ending::new(self.args.terminate_writers);
        loop {
            let fenced = self.old.ask_within(self.limit, async |session| {
                let doing = || sql::Error::database(format!("fence queue {queue}"));
                let all = session.transaction().await.map_err(doing())?;
                operation::hold(&all, &queue, id).await?;
                let fence = role::fence(&all, &queue, Some(&reason), None).await?;
                let set = operation::set_state(&all, &queue).await?;
                operation::step(&all, &queue, id, Step::CatchUp, Some(fence.last)).await?;
                all.commit().await.map_err(doing())?;
                Ok((fence, set))
            });
            match fenced.await {
                Ok((fence, set)) => {
                    self.fenced_at = fence.is_new.then(Instant::now);
                    self.last = Some(fence.last);
                    let tick = fence.last.tick.id;
                    let _ = self.say(&format!(
                        "{node}: queue {queue} is fenced, tick {tick} is the final one"
                    ));
                    return Ok(set);
                }
                Err(Unanswered::Refused(error)) => {
                    told.blocked(&error);
                    if let Err(error) = tries.again(error).await
                        && !ending.go_on(&mut self.old, &queue, &error).await
                    {
                        return Err(Stop::of(&node, &Unanswered::Refused(error)));
                    }
                }
                // It may stand: the next try says so.
                Err(lost) if tries.is_over() => return Err(Stop::of(&node, &lost)),
                Err(Unanswered::Lost(_)) => tokio::time::sleep(MOMENT).await,
            }
            self.beat(Step::Fence).await;
        }
    }

    /// Waits until the new provider has applied the final tick.
    pub(super) async fn catch_up(&mut self) -> Result<(), Stop> {
        let node = self.new_name();
        let Some(last) = self.last else {
            return Err(Stop::late(format!("{node}: no final tick is known")));
        };
        let noted = self.note_new(Step::CatchUp).await;
        noted.map_err(|why| Stop::of(&node, &why))?;
        let queue = self.plan.queue.clone();
        let started = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let at = self
                .new
                .ask(async |session| operation::following(&**session, &queue).await);
            let at = match at.await {
                Ok(found) => found.map(|found| found.position),
                Err(why) if started.elapsed() >= self.args.catch_up => {
                    return Err(Stop {
                        exit: Exit::TimedOut,
                        ..Stop::of(&node, &why)
                    });
                }
                Err(_) => None,
            };
            if at == Some(last) {
                return Ok(());
            }
            if started.elapsed() >= self.args.catch_up {
                let stands = at.map_or("an unknown tick".to_owned(), |at| at.tick.id.to_string());
                return Err(Stop::late(format!(
                    "{node} has not applied the final tick {} within {} s: it stands at {stands}",
                    last.tick.id,
                    self.args.catch_up.as_secs_f64()
                )));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK);
            self.beat(Step::CatchUp).await;
        }
    }

    /// Makes the new node the provider. Without an answer it is asked again, which gives the same answer: until it has
    /// said no, the old provider stays fenced.
    pub(super) async fn promote(&mut self, set: &str) -> Result<(), Stop> {
        let node = self.new_name();
        let Some(last) = self.last else {
            return Err(Stop::late(format!("{node}: no final tick is known")));
        };
        let noted = self.note_new(Step::Promote).await;
        noted.map_err(|why| Stop::of(&node, &why))?;
        // The old provider's row is as good at catch-up: it may be given up only after the new one's.
        let _ = self.note_old(Step::Promote).await;
        let (queue, id) = (self.plan.queue.clone(), self.plan.id);
        let tries = Tries::within(self.args.catch_up);
        loop {
            let promoted = self.new.ask_within(self.limit, async |session| {
                operation::promote(&**session, &queue, id, last, set).await
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
    pub(super) async fn open(&mut self) -> Result<bool, Failure> {
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
        if let Some(line) = &self.args.after
            && let Err(why) = hook::run(line, &self.plan).await
        {
            eprintln!("warning: --after: {why}");
            is_whole = false;
        }
        Ok(is_whole)
    }
}
