//! Our sessions that wait: for a synchronous standby, or for locks of others. Pure.

use super::reason::{Reason, ReasonKind, Severity};
use crate::output::seconds;

/// A commit that waits for a synchronous standby is told after this time.
const STANDBY_SECONDS: f64 = 3.0;

/// A session that waits for a lock is told after this time.
const LOCK_SECONDS: f64 = 5.0;

/// A session of ours that waits on a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The session's name.
    pub session: String,
    /// How long the session has waited, in seconds.
    pub seconds: f64,
    /// The holders of the lock; None: the session waits for a synchronous standby.
    pub lock: Option<String>,
}

/// What our sessions wait for on a server; `standbys` is the server's `synchronous_standby_names`.
pub fn waits(server: &str, waits: &[Wait], standbys: &str) -> Vec<Reason> {
    let told = waits.iter().filter_map(|wait| {
        let (session, since) = (&wait.session, seconds(wait.seconds));
        match &wait.lock {
            None if wait.seconds > STANDBY_SECONDS => Some(
                Reason::new(
                    Severity::Critical,
                    ReasonKind::Standby,
                    server,
                    format!(
                        "a commit of {session} waits for a synchronous standby since {since} \
                         (synchronous_standby_names = {standbys})"
                    ),
                )
                .advised("bring the standby back, or take it out of synchronous_standby_names"),
            ),
            Some(holder) if wait.seconds > LOCK_SECONDS => Some(
                Reason::new(
                    Severity::Warning,
                    ReasonKind::Lock,
                    server,
                    format!("{session} waits for a lock since {since}, held by {holder}"),
                )
                .advised("end the transaction that holds it"),
            ),
            None | Some(_) => None,
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_waits_is_named_with_what_it_waits_for() {
        let wait = |seconds, lock: Option<&str>| Wait {
            session: "trunkline apply j".into(),
            seconds,
            lock: lock.map(str::to_owned),
        };
        let all = [
            wait(2.0, None),
            wait(12.0, None),
            wait(4.0, Some("pid 1 (psql)")),
            wait(40.0, Some("pid 1 (psql)")),
        ];
        let reasons = waits("subscriber", &all, "gone");
        let told: Vec<_> = reasons.iter().map(Reason::sentence).collect();
        assert_eq!(
            told,
            [
                "subscriber: a commit of trunkline apply j waits for a synchronous standby since 12 s \
                 (synchronous_standby_names = gone)",
                "subscriber: trunkline apply j waits for a lock since 40 s, held by pid 1 (psql)",
            ]
        );
    }
}
