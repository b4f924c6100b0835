//! An operation that is given up: the new provider's row first, so that no promotion of it passes any more, then the
//! old provider's, in the transaction that lets it take writes again.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use sql::moment::MOMENT;
use sql::operation::{self, Step};
use sql::role;

use super::plan::{Course, Known, Old, Wish, course};
use crate::topology::hosts::{Host, Unanswered};
use crate::topology::work::{Stop, Work};

/// How long tables of the old provider that others have locked are waited for.
const OPENING: Duration = Duration::from_secs(30);

/// What became of an operation that was to be given up.
pub(super) enum GivenUp {
    /// All is as before; what the old provider is.
    Undone(&'static str),
    /// It was too late: the new provider is the provider.
    Promoted,
    /// It was over.
    Over(Step),
}

impl Work<'_> {
    /// What both nodes say of the operation.
    pub(super) async fn known(&mut self) -> (Known, Known) {
        let (queue, id) = (self.plan.queue.as_str(), self.plan.id);
        let ask = async |host: &mut Host| {
            let asked = host.ask(async |session| operation::list(&**session, Some(queue)).await);
            match asked.await {
                Err(_) => Known::Silent,
                Ok(all) => all
                    .iter()
                    .find(|one| one.id == id)
                    .map_or(Known::Nothing, |one| Known::At(one.step)),
            }
        };
        let new = ask(&mut self.new).await;
        let old = ask(&mut self.old).await;
        (old, new)
    }

    /// Gives the operation up, because of `why`. Nodes that do not answer are asked again for `patience`.
    ///
    /// # Errors With [`Exit::Part`] or [`Exit::TimedOut`]: what keeps it from being given up, and what the nodes are
    /// until then.
    pub(super) async fn give_up(
        &mut self,
        force: bool,
        why: &str,
        patience: Duration,
    ) -> Result<GivenUp, Failure> {
        let started = Instant::now();
        loop {
            let (old, new) = self.known().await;
            let course = course(Wish::Abort { force }, old, new);
            let stuck = match course {
                Course::IsPromoted => return Ok(GivenUp::Promoted),
                Course::Over(step) => return Ok(GivenUp::Over(step)),
                Course::GiveUp { new, old } => match self.undo(new, old, force, why).await {
                    Ok(given_up) => return Ok(given_up),
                    Err(unanswered) => Stop::of("not given up yet", &unanswered),
                },
                Course::NewIsSilent => Stop {
                    exit: Exit::Part,
                    text: format!(
                        "{} does not answer, and may be the provider; {} stays fenced",
                        self.new_name(),
                        self.old_name()
                    ),
                    hint: Some(format!(
                        "when it answers: trunkline switchover {0} --resume, or --abort; if it is off for ever: \
                         trunkline switchover {0} --abort --force",
                        self.plan.queue
                    )),
                },
                Course::OldIsSilent | Course::GoOn(_) | Course::Contradiction => {
                    return Err(self.contradiction());
                }
            };
            if started.elapsed() >= patience {
                let failure = Failure::message(stuck.exit, stuck.text);
                let again = || format!("trunkline switchover {} --abort", self.plan.queue);
                return Err(failure.with_hint(stuck.hint.unwrap_or_else(again)));
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// What is told where the rows of both nodes cannot be of one operation.
    pub(super) fn contradiction(&self) -> Failure {
        let text = format!(
            "what {} and {} say of the operation does not fit: one of them was restored, or its rows were changed",
            self.old_name(),
            self.new_name()
        );
        Failure::message(Exit::Failed, text).with_hint(
            "compare their tables, then: trunkline fence, or unfence --force, on one of the two",
        )
    }

    async fn undo(
        &mut self,
        new: bool,
        old: Old,
        force: bool,
        why: &str,
    ) -> Result<GivenUp, Unanswered> {
        let plan = self.plan.clone();
        if new {
            let aborted = self.new.ask_within(self.limit, async |session| {
                operation::abort(&**session, &plan, why).await
            });
            if !aborted.await? {
                return Ok(GivenUp::Promoted);
            }
        }
        match old {
            Old::Leave => Ok(GivenUp::Undone("is as it was")),
            Old::Later => Err(Unanswered::Lost(format!(
                "{} does not answer",
                self.old_name()
            ))),
            Old::Restore => self.restore(force, why).await,
        }
    }

    /// Aborts the old provider's row, and has it take writes again if the operation has fenced it: both or neither.
    async fn restore(&mut self, force: bool, why: &str) -> Result<GivenUp, Unanswered> {
        let plan = self.plan.clone();
        let (queue, id) = (plan.queue.clone(), plan.id);
        let was_fenced = plan.was_fenced;
        let restored = self.old.ask_within(self.limit, async |session| {
            let doing = || sql::Error::database(format!("restore the provider of queue {queue}"));
            let all = session.transaction().await.map_err(doing())?;
            operation::hold(&all, &queue, id).await?;
            let rows = operation::list(&all, Some(&queue)).await?;
            let row = rows.iter().find(|one| one.id == id);
            let has_fenced = row.is_some_and(|row| {
                !was_fenced && matches!(row.step, Step::CatchUp | Step::Promote)
            });
            let is_aborted = operation::abort(&all, &plan, why).await?;
            if is_aborted && has_fenced {
                role::unfence(&all, &queue, force).await?;
            }
            all.commit().await.map_err(doing())?;
            Ok((is_aborted, has_fenced))
        });
        match restored.await? {
            (false, _) => Ok(GivenUp::Promoted),
            (true, true) => {
                self.reopen().await;
                Ok(GivenUp::Undone("takes writes again"))
            }
            (true, false) if was_fenced => Ok(GivenUp::Undone("stays fenced, as it was")),
            (true, false) => Ok(GivenUp::Undone("is the provider, as it was")),
        }
    }

    /// Opens the old provider's tables, as many as others let go of in time; its ticker goes on with the rest.
    async fn reopen(&mut self) {
        let queue = self.plan.queue.clone();
        let started = Instant::now();
        loop {
            let opened = self.old.ask_within(self.limit, async |session| {
                role::open_tables(&**session, &queue).await
            });
            match opened.await {
                Ok(0) => return,
                _ if started.elapsed() < OPENING => tokio::time::sleep(MOMENT).await,
                Ok(left) => {
                    eprintln!(
                        "warning: {left} tables of {} refuse writes still; its ticker opens them",
                        self.old_name()
                    );
                    return;
                }
                Err(why) => {
                    eprintln!(
                        "warning: {}: {}; its ticker opens the tables",
                        self.old_name(),
                        why.text()
                    );
                    return;
                }
            }
        }
    }
}
