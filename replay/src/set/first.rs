//! Whether a database may become the first provider of its set. A set that is known already has one: a second first
//! provider would be a second history, and what either takes would be on no other node.

use admin::{
    config::ReplayConfig,
    exit::{Exit, Failure},
};
use sql::{meeting::Introduction, role::Role};

use super::{choose::Round, round::Meeting};

const FOLLOW: &str = "this node can follow the set's provider: replay install";
const WAIT: &str = "wait until it answers, or take it out of provider_db";

/// Refuses where the set is known, by the job's own database or by a host of its config, or where a host is silent that
/// may know it. A database that is the provider already stays it, unless there is another one.
///
/// # Errors
/// [`Exit::Failed`], with who says what; or if the job's own database cannot be asked.
pub(crate) async fn may_begin(config: &ReplayConfig, own: &Introduction) -> Result<(), Failure> {
    let refused = |(why, hint): (String, &str)| {
        let text = format!("nothing was done: {why}");
        Err(Failure::message(Exit::Failed, text).with_hint(hint))
    };
    if let Some(why) = known_here(own, &config.queue) {
        return refused((why, FOLLOW));
    }
    let Some(mut meeting) = Meeting::of(config) else {
        return Ok(());
    };
    let met = meeting.round().await.map_err(anyhow::Error::from)?;
    known_elsewhere(own, &met.round, &met.silent, &config.queue).map_or(Ok(()), refused)
}

/// Why the own database is not a new one for the set.
fn known_here(own: &Introduction, queue: &str) -> Option<String> {
    match own.role {
        Some(Role::Provider) => None,
        Some(role) => Some(format!(
            "this database is {} for queue {queue}",
            role.as_str()
        )),
        None if own.set.is_some() || own.known_term > Some(0) => Some(format!(
            "this database knows term {} of set {queue}",
            own.known_term.unwrap_or(0)
        )),
        None => None,
    }
}

/// Which host knows the set, or may know it, and what to do.
fn known_elsewhere(
    own: &Introduction,
    round: &Round,
    silent: &[(usize, String)],
    queue: &str,
) -> Option<(String, &'static str)> {
    let begins = own.role != Some(Role::Provider);
    let answers = round.hosts.iter();
    let answers = answers.filter_map(|host| Some((host.title.as_str(), host.said.as_ref().ok()?)));
    for (title, one) in answers {
        let is_own = one.node.is_some() && one.node == own.node;
        let why = match one.role {
            _ if is_own => continue,
            Some(Role::Provider) => format!("{title} is the provider of set {queue}"),
            _ if !begins || follows_only(one, own) => continue,
            Some(role) => format!("{title} is {} for queue {queue}", role.as_str()),
            None => match one.known_term {
                Some(term) if term > 0 => format!("{title} knows term {term} of set {queue}"),
                Some(_) | None => continue,
            },
        };
        return Some((why, FOLLOW));
    }
    let (number, why) = silent.first().filter(|_| begins)?;
    let title = &round.hosts.get(*number)?.title;
    let why = format!("{title} cannot be asked, and may know a provider of set {queue}: {why}");
    Some((why, WAIT))
}

/// Whether a node is a plain subscriber of the own database, which knows no term: so the plain databases of a
/// replication become a set.
fn follows_only(one: &Introduction, own: &Introduction) -> bool {
    let is_below = own.node.is_some() && one.upstream == own.node;
    one.role == Some(Role::Reader) && is_below && one.known_term.unwrap_or(0) == 0
}

#[cfg(test)]
mod tests;
