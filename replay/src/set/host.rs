//! Which host a command talks to.

use admin::{
    config::ReplayConfig,
    exit::{Exit, Failure},
};
use sql::{connect::ConnectInfo, role::Role};

use super::{
    choose::Choice,
    meetings::{TORN, UNDECIDED},
    round::Meeting,
};
use crate::trouble::{COPY, IS_COPY};

/// What a command finds.
pub(crate) enum Found {
    /// The host that is followed, or would be.
    Host(ConnectInfo),
    /// No host answers: whoever connects says why.
    Silence,
    /// The job's own database is one that follows nobody.
    Own(Role),
}

/// Whether a config's hosts are met at all.
pub(crate) fn are_several(config: &ReplayConfig) -> bool {
    Meeting::of(config).is_some()
}

fn meeting_of(config: &ReplayConfig, is_bare: bool) -> Option<Meeting> {
    let meeting = Meeting::of(config)?;
    Some(if is_bare {
        meeting.without_own()
    } else {
        meeting
    })
}

/// Meets the hosts of a config once; none where it names one host, or several subscribers. `is_bare`: the job's own
/// database has nothing of ours yet.
///
/// # Errors
/// [`Exit::Failed`] where nobody can be followed, with what a person has to decide.
pub(crate) async fn find(config: &ReplayConfig, is_bare: bool) -> Result<Option<Found>, Failure> {
    let Some(mut meeting) = meeting_of(config, is_bare) else {
        return Ok(None);
    };
    let met = meeting.round().await.map_err(anyhow::Error::from)?;
    let refused = |why: &str| Failure::message(Exit::Failed, format!("nothing was done: {why}"));
    match met.choice {
        Choice::Follow(number) => match meeting.host(number) {
            Some(host) => Ok(Some(Found::Host(host.clone()))),
            None => Ok(Some(Found::Silence)),
        },
        Choice::Rest(Role::Copy) => Err(refused(IS_COPY).with_hint(COPY)),
        Choice::Rest(role) => Ok(Some(Found::Own(role))),
        Choice::Torn(conflict) => Err(refused(conflict.text()).with_hint(TORN)),
        Choice::Undecided(why) => Err(refused(&why).with_hint(UNDECIDED)),
        Choice::Nobody(_) | Choice::Stay | Choice::Ask(_)
            if met.round.hosts.iter().all(|host| host.said.is_err()) =>
        {
            Ok(Some(Found::Silence))
        }
        Choice::Nobody(why) | Choice::Apart(why) => Err(refused(&why)),
        Choice::Ahead => Ok(Some(Found::Own(Role::Fenced))),
        // The daemon makes it a standby.
        Choice::Join => Ok(Some(Found::Own(Role::Fenced))),
        // The host that is followed does not answer: whoever connects to it says why.
        Choice::Stay => {
            let followed = met.round.current.and_then(|number| meeting.host(number));
            Ok(Some(
                followed.map_or(Found::Silence, |host| Found::Host(host.clone())),
            ))
        }
        Choice::Ask(_) => Ok(Some(Found::Silence)),
    }
}
