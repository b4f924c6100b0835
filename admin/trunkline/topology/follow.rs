//! The last step: the other nodes turn to the new provider by themselves, and the command waits for them.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use sql::meeting::{self, Introduction};
use sql::operation::{self, Kind, Step};
use sql::queue::lineage::NodeId;
use sql::role::Role;

use super::work::Work;

/// How long the others are waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);

impl Work<'_> {
    /// Waits until the provider before is a standby of the new one, and no node that answers reads from it any more. A
    /// failover waits for the others only.
    /// `force`: those that do not are off.
    ///
    /// The old provider's row ends when it follows: until then it keeps `unfence` from making two providers.
    pub(crate) async fn follow(&mut self, is_whole: bool, force: bool) -> Result<Exit, Failure> {
        let has_old = self.plan.kind == Kind::Switchover;
        if has_old {
            self.introduce().await;
            let _ = self.note_old(Step::Follow).await;
        } else {
            self.let_go().await;
        }
        let _ = self.note_new(Step::Follow).await;
        let started = Instant::now();
        let limit = if force { Duration::ZERO } else { LIMIT };
        let old_follows = loop {
            let old_follows = self.look().await;
            let all =
                (old_follows || !has_old) && self.followers.iter().all(|(_, follows)| *follows);
            if all || started.elapsed() >= limit {
                break old_follows;
            }
            tokio::time::sleep(LOOK).await;
            self.beat(Step::Follow).await;
        };
        let (queue, id) = (self.plan.queue.clone(), self.plan.id);
        if old_follows {
            let ended = self
                .old
                .ask(async |session| operation::end(&**session, &queue, id).await);
            if let Err(why) = ended.await {
                eprintln!("warning: {}: {}", self.old_name(), why.text());
            }
        }
        let away: Vec<&str> = self
            .followers
            .iter()
            .filter(|(_, follows)| !follows)
            .map(|(node, _)| node.as_str())
            .collect();
        if !away.is_empty() && !force {
            eprintln!(
                "done, but not all follow {} yet: {}; they do so by themselves, and trunkline {} \
                 {queue} --resume waits for them",
                self.new_name(),
                away.join(", "),
                self.plan.kind.as_str()
            );
            self.report(Step::Follow)?;
            return Ok(Exit::Part);
        }
        let ended = self
            .new
            .ask(async |session| operation::end(&**session, &queue, id).await);
        if let Err(why) = ended.await {
            eprintln!("warning: {}: {}", self.new_name(), why.text());
            self.report(Step::Follow)?;
            return Ok(Exit::Part);
        }
        for (node, _) in self.followers.iter().filter(|(_, follows)| *follows) {
            self.say(&format!("{node} follows {}", self.new_name()))?;
        }
        self.report(Step::Done)?;
        Ok(if is_whole { Exit::Done } else { Exit::Part })
    }

    /// Lets the other nodes go: those that a failover has held where they stood. One that is away by now lets itself go
    /// when it hears of the new provider.
    async fn let_go(&mut self) {
        let (queue, id) = (self.plan.queue.as_str(), self.plan.id);
        for host in &mut self.others {
            let ended = host.ask(async |session| {
                operation::step(&**session, queue, id, Step::Follow, None).await?;
                operation::end(&**session, queue, id).await
            });
            let _ = ended.await;
        }
    }

    /// Tells the provider before who the new one is, so that it knows the later term even if its replay is dead.
    async fn introduce(&mut self) {
        let queue = self.plan.queue.clone();
        let said = self
            .new
            .ask(async |session| meeting::introduce(&**session, &queue).await);
        let Ok(Some(said)) = said.await else { return };
        self.term = self.term.or(said.is.term);
        let heard = self
            .old
            .ask(async |session| meeting::hear(&**session, &queue, &said.json).await);
        // Its own replay tells it, too.
        let _ = heard.await;
    }

    /// Asks who reads from whom; gives whether the provider before follows the new one.
    async fn look(&mut self) -> bool {
        let (queue, old, new) = (
            self.plan.queue.clone(),
            self.plan.old.node,
            self.plan.new.node,
        );
        let mut followers = Vec::new();
        let mut old_follows = false;
        if self.plan.kind == Kind::Switchover {
            let said = self.old.facts(&queue).await.said;
            old_follows = said.is_ok_and(|facts| {
                facts.is.role == Some(Role::Standby) && facts.is.upstream == Some(new)
            });
            followers.push((self.old_name(), old_follows));
        }
        for host in &mut self.others {
            let facts = host.facts(&queue).await;
            let Ok(said) = facts.said else { continue };
            if let Some(follows) = follows(&said.is, old, new) {
                followers.push((said.is.name.unwrap_or(facts.title), follows));
            }
        }
        self.followers = followers;
        old_follows
    }
}

/// Whether a node has turned away from the old provider: it may read from the new one, or from a node in between.
/// None: it is none of those that follow.
fn follows(is: &Introduction, old: NodeId, new: NodeId) -> Option<bool> {
    let is_other = is.node.is_some_and(|node| node != old && node != new);
    let follows = matches!(is.role, Some(Role::Standby | Role::Reader));
    (is_other && follows && !is.in_recovery)
        .then(|| is.upstream.is_some_and(|upstream| upstream != old))
}
