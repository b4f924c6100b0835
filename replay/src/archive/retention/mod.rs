//! Which bases of an archive are kept: barman's states and algorithm. Pure.
//!
//! One thing is not barman's: a base that stands alone is no part of the chain, because nothing is kept that follows
//! it. So it is counted for nothing else. With barman 3.4 such a base can be the one before a recovery window; then
//! nothing restores the window's first moments.

use std::time::Duration;

use admin::config::RetentionPolicy;
use jiff::Timestamp;

#[cfg(test)]
mod tests;

/// Why a base is kept whatever the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// With all that follows it.
    Full,
    /// The base alone.
    Standalone,
}

/// A base as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The moment that it shows, by the provider's clock.
    pub end: Timestamp,
    /// Whether all tables are in it.
    pub is_complete: bool,
    /// Somebody has pinned it.
    pub keep: Option<Keep>,
}

/// What the policy says of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The policy needs it.
    Valid,
    /// Nothing needs it: it goes with the next `expire`.
    Obsolete,
    /// The policy does not need it, and `minimum_redundancy` does.
    PotentiallyObsolete,
    /// Pinned, with all that follows it.
    KeepFull,
    /// Pinned, alone.
    KeepStandalone,
    /// It is incomplete, and counts for nothing.
    Uncounted,
}

impl Status {
    /// Barman's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Status::Valid => "VALID",
            Status::Obsolete => "OBSOLETE",
            Status::PotentiallyObsolete => "POTENTIALLY OBSOLETE",
            Status::KeepFull => "KEEP:FULL",
            Status::KeepStandalone => "KEEP:STANDALONE",
            Status::Uncounted => "-",
        }
    }
}

/// The state of each base, in the order given, which is the one from the oldest to the newest. `now` is the moment of
/// the archive's end, so that neither an archive that stands still nor a clock that jumps expires anything.
pub(crate) fn report(
    policy: RetentionPolicy,
    minimum_redundancy: u64,
    now: Timestamp,
    bases: &[Candidate],
) -> Vec<Status> {
    let mut counted = Counted {
        bases: 0,
        has_one_before: false,
        newest: true,
    };
    let mut statuses: Vec<Status> = bases
        .iter()
        .rev()
        .map(|base| counted.status(policy, minimum_redundancy, now, base))
        .collect();
    statuses.reverse();
    // An incomplete base serves as long as the changes after it are there.
    let oldest = statuses.iter().position(|status| holds_frames(*status));
    for status in statuses.iter_mut().take(oldest.unwrap_or(0)) {
        if *status == Status::Uncounted {
            *status = Status::Obsolete;
        }
    }
    statuses
}

/// Whether all that follows a base is kept because of it.
pub(crate) fn holds_frames(status: Status) -> bool {
    match status {
        Status::Valid | Status::PotentiallyObsolete | Status::KeepFull => true,
        Status::Obsolete | Status::KeepStandalone | Status::Uncounted => false,
    }
}

/// What has been counted, from the newest base on.
struct Counted {
    /// Bases that are kept with what follows them.
    bases: u64,
    /// One of them ended before the window.
    has_one_before: bool,
    /// No complete base has been seen yet.
    newest: bool,
}

impl Counted {
    fn status(
        &mut self,
        policy: RetentionPolicy,
        minimum_redundancy: u64,
        now: Timestamp,
        base: &Candidate,
    ) -> Status {
        if base.keep == Some(Keep::Standalone) {
            return Status::KeepStandalone;
        } else if !base.is_complete {
            return Status::Uncounted;
        }
        let is_newest = std::mem::replace(&mut self.newest, false);
        let is_needed = match policy {
            RetentionPolicy::Everything => true,
            RetentionPolicy::Redundancy(count) => {
                self.bases < u64::from(count).max(minimum_redundancy)
            }
            RetentionPolicy::RecoveryWindow { .. } => {
                let is_within = base.end >= begin_of_window(policy, now);
                let is_needed = is_within || !self.has_one_before;
                self.has_one_before |= !is_within;
                is_needed
            }
        };
        let status = match base.keep {
            Some(Keep::Full) => Status::KeepFull,
            Some(Keep::Standalone) | None if is_needed || is_newest => Status::Valid,
            Some(Keep::Standalone) | None if self.bases < minimum_redundancy => {
                Status::PotentiallyObsolete
            }
            Some(Keep::Standalone) | None => return Status::Obsolete,
        };
        self.bases = self.bases.saturating_add(1);
        status
    }
}

/// The first moment of the recovery window.
pub(crate) fn begin_of_window(policy: RetentionPolicy, now: Timestamp) -> Timestamp {
    let window = policy.window().unwrap_or(Duration::MAX);
    now.checked_sub(window).unwrap_or(Timestamp::MIN)
}
