//! The questions before a switchover, and what is told if it does not begin.

use std::time::Duration;

use admin::exit::{Exit, Failure};
use admin::output;
use serde_json::{Value, json};
use sql::connect::Purpose;
use sql::operation::{self, OperationId};
use sql::our_sessions;
use sql::provider;
use sql::standing;
use tokio_postgres::Client;

use super::args::SwitchoverArgs;
use super::plan::{Cast, Readiness};
use crate::topology::hosts::{Host, Unanswered};
use crate::topology::refusal::{self, Refusal};

/// How long writes wait for each table and partition, for the fence and for opening together.
const PAUSE_OF_ONE: Duration = Duration::from_micros(800);

/// What both nodes say about the work before them, and a number for the operation.
///
/// # Errors
/// One of them does not answer, or its install knows of no switchover.
pub(super) async fn ask(
    hosts: &mut [Host],
    cast: &Cast,
    queue: &str,
) -> Result<(Readiness, OperationId), Failure> {
    let mut ready = Readiness {
        old: cast.old.title(),
        new: cast.new.title(),
        fence_obstacles: Vec::new(),
        epoch: None,
        old_size: operation::SetSize::default(),
        new_size: operation::SetSize::default(),
        not_promotable: Vec::new(),
        following: None,
        unapplied: None,
        replay_runs: false,
        ticker_runs: false,
    };
    let failed = |node: &str, why: &Unanswered| {
        Failure::message(
            Exit::Failed,
            format!("nothing was done: {node}: {}", why.text()),
        )
        .with_hint("is what is installed there of this program? ticker install, replay install")
    };
    let (of_old, of_new) = (cast.old.title(), cast.new.title());
    let [old, new] = hosts
        .get_disjoint_mut([cast.old_host, cast.new_host])
        .map_err(|error| Failure::message(Exit::Failed, error))?;
    let set = old.ask(async |session| self::of_old(session, queue, &mut ready).await);
    let set = set.await.map_err(|why| failed(&of_old, &why))?;
    let id = new.ask(async |session| self::of_new(session, queue, &set, &mut ready).await);
    let id = id.await.map_err(|why| failed(&of_new, &why))?;
    if let Some(following) = &ready.following {
        let at = following.position.tick.id;
        let beyond = old.ask(async |session| standing::unapplied(&**session, queue, at).await);
        ready.unapplied = Some(beyond.await.map_err(|why| failed(&of_old, &why))?);
    }
    Ok((ready, id))
}

/// Gives what the provider has.
async fn of_old(
    session: &Client,
    queue: &str,
    ready: &mut Readiness,
) -> Result<String, sql::Error> {
    ready.epoch = provider::queue_epoch(session, queue).await?;
    ready.old_size = operation::set_size(session, queue).await?;
    ready.fence_obstacles = operation::fence_obstacles(session, queue).await?;
    operation::set_state(session, queue).await
}

/// Gives a number for the operation. `set`: what the provider has.
async fn of_new(
    session: &Client,
    queue: &str,
    set: &str,
    ready: &mut Readiness,
) -> Result<OperationId, sql::Error> {
    ready.following = standing::following(session, queue).await?;
    ready.new_size = operation::set_size(session, queue).await?;
    ready.not_promotable = operation::not_promotable(session, queue, Some(set)).await?;
    let sessions = our_sessions::list(session).await?;
    ready.ticker_runs = sessions.ticker.is_some();
    ready.replay_runs = ready.following.as_ref().is_some_and(|following| {
        let mut all = sessions.list.iter();
        all.any(|one| one.is_for(Purpose::Apply) && one.is_of(&following.consumer))
    });
    operation::new_id(session).await
}

/// What is known of a queue's switchover before it begins.
pub(super) struct Asked {
    /// The queue.
    pub queue: String,
    /// What stands in the way.
    pub refused: Vec<Refusal>,
    /// What both nodes say; None: it is not known which nodes they are.
    pub ready: Option<Readiness>,
}

impl Asked {
    /// How long writes would wait for the fence and the opening.
    fn pause(&self) -> Option<Duration> {
        let relations = self.ready.as_ref()?.old_size.relations;
        Some(PAUSE_OF_ONE * relations.unsigned_abs())
    }

    fn json(&self, to: Option<&str>) -> Value {
        let ready = self.ready.as_ref();
        json!({
            "queue": self.queue,
            "step": "prepare",
            "old": ready.map(|ready| &ready.old),
            "new": to,
            "refused": self.refused,
            "relations": ready.map(|ready| ready.old_size.relations),
            "lag_seconds": ready.and_then(Readiness::lag),
            "pause_ms": self.pause().map(|pause| pause.as_secs_f64() * 1000.0),
        })
    }

    fn text(&self) -> Option<String> {
        let (ready, pause) = (self.ready.as_ref()?, self.pause()?);
        Some(format!(
            "queue {}: {} can become the provider in the place of {}: {} tables and partitions, lag {:.1} s; writes \
             would wait for about {:.1} s, those who are writing and the last ticks apart\n",
            self.queue,
            ready.new,
            ready.old,
            ready.old_size.relations,
            ready.lag().unwrap_or(0.0),
            pause.as_secs_f64()
        ))
    }
}

/// Tells why switchovers do not begin, or what they would do; exit code 3 or 0.
pub(super) fn tell(args: &SwitchoverArgs, asked: &[Asked]) -> Result<Exit, Failure> {
    let mut refused = Vec::new();
    for one in asked {
        if args.json {
            output::print_json(&one.json(args.to.as_deref()))?;
        } else if let (Some(text), true) = (one.text(), one.refused.is_empty() && args.dry_run) {
            output::print(&text)?;
        }
        let named = one.refused.iter().map(|refusal| Refusal {
            reason: format!("queue {}: {}", one.queue, refusal.reason),
            hint: refusal.hint.clone(),
        });
        refused.extend(named);
    }
    if refused.is_empty() {
        return Ok(Exit::Done);
    }
    if !args.json {
        refusal::print(&refused);
    }
    Ok(Exit::Failed)
}
