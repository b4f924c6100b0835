//! The questions before a failover.

use admin::exit::{Exit, Failure};
use sql::failover;
use sql::operation::{self, OperationId, Part};
use sql::our_sessions;
use sql::queue::lineage::NodeId;
use sql::role::Role;

use super::plan::{Dead, Standing};
use crate::topology::facts::{HostFacts, nodes};
use crate::topology::hosts::{Host, Unanswered};

/// A node that answers and follows, with its host.
pub(super) struct Follower {
    pub(super) host: Host,
    pub(super) standing: Standing,
}

impl Follower {
    /// The node's identity.
    pub(super) fn node(&self) -> NodeId {
        self.standing.part.node
    }
}

/// The nodes that answer and follow, by their identity, so that two commands begin with the same one; and the other
/// hosts.
///
/// # Errors
/// One of them does not answer any more, or its install knows of no failover.
pub(super) async fn followers(
    hosts: Vec<Host>,
    said: &[HostFacts],
    queue: &str,
    dead: NodeId,
) -> Result<(Vec<Follower>, Vec<Host>), Failure> {
    let nodes = nodes(said, &mut Vec::new());
    let (mut followers, mut others) = (Vec::new(), Vec::new());
    for (number, host) in hosts.into_iter().enumerate() {
        let found = nodes.iter().find(|one| one.host == number);
        let is = found.map(|one| (one.node, &one.facts.is));
        let Some((node, is, role)) = is.and_then(|(node, is)| Some((node, is, is.role?))) else {
            others.push(host);
            continue;
        };
        if node == dead || !matches!(role, Role::Standby | Role::Reader) {
            others.push(host);
            continue;
        }
        let mut follower = Follower {
            host: host.of_node(node),
            standing: Standing {
                part: Part {
                    node,
                    name: is.name.clone(),
                },
                number: is.number,
                priority: is.priority,
                role,
                place: None,
                obstacles: Vec::new(),
                ticker_runs: false,
            },
        };
        look(&mut follower, queue)
            .await
            .map_err(|why| failed(&follower, &why))?;
        followers.push(follower);
    }
    followers.sort_by_key(Follower::node);
    Ok((followers, others))
}

fn failed(follower: &Follower, why: &Unanswered) -> Failure {
    let node = follower.standing.part.title();
    Failure::message(
        Exit::Failed,
        format!("nothing was done: {node}: {}", why.text()),
    )
    .with_hint("is what is installed there of this program? ticker install, replay install")
}

/// Asks a node where it stands, and what keeps it from being promoted.
pub(super) async fn look(follower: &mut Follower, queue: &str) -> Result<(), Unanswered> {
    let is_standby = follower.standing.role == Role::Standby;
    let asked = follower.host.ask(async |session| {
        let place = failover::place(&**session, queue).await?;
        let obstacles = match is_standby {
            true => operation::not_promotable(&**session, queue, None).await?,
            false => Vec::new(),
        };
        let ticker_runs = our_sessions::list(&**session).await?.ticker.is_some();
        Ok((place, obstacles, ticker_runs))
    });
    let (place, obstacles, ticker_runs) = asked.await?;
    follower.standing = Standing {
        place,
        obstacles,
        ticker_runs,
        ..follower.standing.clone()
    };
    Ok(())
}

/// A number for the operation.
pub(super) async fn new_id(followers: &mut [Follower]) -> Result<OperationId, Failure> {
    let Some(first) = followers.first_mut() else {
        return Err(Failure::message(Exit::Failed, "no node answers"));
    };
    let asked = first
        .host
        .ask(async |session| operation::new_id(&**session).await);
    let asked = asked.await;
    asked.map_err(|why| failed(first, &why))
}

/// What was found about the provider that is off, for messages.
pub(super) fn address(followers: &[Follower], dead: &Dead) -> Option<String> {
    let here = followers.iter().filter_map(|one| {
        let place = one.standing.place.as_ref()?;
        let is_its = place
            .names
            .first()
            .is_some_and(|own| own.epoch == dead.epoch);
        place.address.clone().filter(|_| is_its)
    });
    here.into_iter().next()
}
