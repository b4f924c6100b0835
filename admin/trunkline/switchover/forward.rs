//! The steps of a switchover up to its promotion. Each is written into both rows before it is done.

use std::time::{Duration, Instant};

use admin::exit::Exit;
use sql::moment::{MOMENT, Tries};
use sql::operation::{self, Step};
use sql::role;
use sql::standing;

use super::args::SwitchoverArgs;
use super::writers::Ending;
use crate::fence::Told;
use crate::topology::hosts::Unanswered;
use crate::topology::run_hook;
use crate::topology::work::{Stop, Work};

/// The longest wait between two looks at how far the new provider is.
const LOOK: Duration = Duration::from_millis(50);

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
        if let Some(line) = self.options.before {
            run_hook(line, plan).await.map_err(|why| Stop {
                exit: Exit::Failed,
                text: format!("--before: {why}"),
                hint: None,
            })?;
        }
        Ok(())
    }

    /// Fences the old provider; gives what it has, with the values of its sequences. The fence, the final tick in the
    /// row and the values are of one transaction, which holds the row: an operation that was given up fences nobody.
    pub(super) async fn fence(&mut self, args: &SwitchoverArgs) -> Result<String, Stop> {
        let node = self.old_name();
        self.note_new(Step::Fence)
            .await
            .map_err(|why| Stop::of(&self.new_name(), &why))?;
        self.note_old(Step::Fence)
            .await
            .map_err(|why| Stop::of(&node, &why))?;
        let reason = format!("switchover to {}", self.new_name());
        let (queue, id) = (self.plan.queue.clone(), self.plan.id);
        let tries = Tries::within(args.drain);
        let mut told = Told::default();
        let mut ending = Ending::new(args.terminate_writers);
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

    /// Asks the new provider once more whether it can be promoted. `set`: what the old one has.
    pub(super) async fn look_again(&mut self, set: &str) -> Result<(), Stop> {
        let node = self.new_name();
        let queue = self.plan.queue.clone();
        let looked = self.new.ask_within(self.limit, async |session| {
            operation::not_promotable(&**session, &queue, Some(set)).await
        });
        let obstacles = looked.await.map_err(|why| Stop::of(&node, &why))?;
        match obstacles.into_iter().next() {
            None => Ok(()),
            Some(first) => Err(Stop {
                hint: first.hint,
                ..Stop::late(format!("{node}: {}", first.reason))
            }),
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
                .ask(async |session| standing::following(&**session, &queue).await);
            let at = match at.await {
                Ok(found) => found.map(|found| found.position),
                Err(why) if started.elapsed() >= self.options.patience => {
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
            if started.elapsed() >= self.options.patience {
                let stands = at.map_or("an unknown tick".to_owned(), |at| at.tick.id.to_string());
                return Err(Stop::late(format!(
                    "{node} has not applied the final tick {} within {} s: it stands at {stands}",
                    last.tick.id,
                    self.options.patience.as_secs_f64()
                )));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK);
            self.beat(Step::CatchUp).await;
        }
    }
}
