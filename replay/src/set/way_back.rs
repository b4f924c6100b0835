//! What a command finds on a node that has taken what the later provider never had.

use admin::{
    config::ReplayConfig,
    exit::{Exit, Failure},
};
use sql::{lost::Finding, role::Role};
use tokio_util::sync::CancellationToken;

use super::{
    choose::Choice,
    meetings::{TORN, UNDECIDED},
    round::Meeting,
};

/// How often the hosts are met until the node has heard of the later provider.
const MEETINGS: usize = 3;

/// A node that has taken what the later provider never had, which is kept on both.
pub(crate) struct Ahead {
    /// What it is.
    pub finding: Finding,
    /// Where the config finds this node itself.
    pub address: Option<String>,
}

/// Meets the hosts, and keeps here and on the provider what the node has taken. None: it follows the provider, or
/// begins to without anybody's help.
///
/// # Errors
/// [`Exit::Failed`] where the node is none that comes back, or what it has taken cannot be kept.
pub(crate) async fn find(config: &ReplayConfig) -> Result<Option<Ahead>, Failure> {
    let refused = |why: &str| Failure::message(Exit::Failed, format!("nothing was done: {why}"));
    let Some(mut meeting) = Meeting::of(config) else {
        return Err(refused("the config names one host").with_hint(
            "name all hosts of the set in provider_db: the provider must have what this node has taken",
        ));
    };
    for _ in 0..MEETINGS {
        let met = meeting.round().await.map_err(anyhow::Error::from)?;
        let Some(own) = &met.round.own else {
            return Err(refused("no roles are installed here"));
        };
        match met.choice {
            Choice::Ahead => {
                let never = CancellationToken::new();
                let kept = meeting.keep_lost(&met.round, &never).await;
                let finding = kept.map_err(anyhow::Error::from)?;
                // What was sent just now is noted, and asked for once more.
                if let Some(finding) = finding.filter(|finding| finding.sent) {
                    let address = meeting.own_address(own);
                    return Ok(Some(Ahead { finding, address }));
                }
            }
            Choice::Rest(Role::Fenced) => {}
            Choice::Rest(role) => {
                return Err(refused(&format!("this database is {}", role.as_str())));
            }
            Choice::Join
            | Choice::Follow(_)
            | Choice::Stay
            | Choice::Ask(_)
            | Choice::Nobody(_) => return Ok(None),
            Choice::Torn(conflict) => return Err(refused(conflict.text()).with_hint(TORN)),
            Choice::Undecided(why) => return Err(refused(&why).with_hint(UNDECIDED)),
            Choice::Apart(why) => return Err(refused(&why)),
        }
    }
    Err(
        refused("no provider answers that has begun at a place of this node's log").with_hint(
            "replay status tells which hosts answer; a fence by hand ends with trunkline unfence",
        ),
    )
}
