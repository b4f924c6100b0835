//! The names of our sessions. An operator finds a session by its name, status recognises the daemon by it, and a test
//! ends a session by it. So the purposes are a closed list, and only this module makes such a name. Pure.

use std::fmt;

/// The server cuts `application_name` at this many bytes.
const LONGEST: usize = 63;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A command of replay, or a side task of a subscriber.
    Admin,
    /// Reads batches from a queue into an archive, and keeps the archive's lock.
    Archive,
    /// Writes batches to a subscriber, and keeps the subscriber's lock.
    Apply,
    /// Adds tables as the config asks for.
    AutoAdd,
    /// Reads a base of an archive.
    Base,
    /// Catches a copied table up.
    CatchUp,
    /// `trunkline check`.
    Check,
    /// Opens and ends copies of tables.
    CopyAdmin,
    /// Writes a table's copy to a subscriber.
    CopyIn,
    /// Reads a table's copy from the provider.
    CopyOut,
    /// Lists the databases of a ticker's server.
    Databases,
    /// Tells the programs beside a node what happens in its set.
    Events,
    /// Asks the provider which rows a subscriber's filters take.
    Filter,
    /// Installs or upgrades.
    Install,
    /// Waits for ticks.
    Listen,
    /// Meets the other nodes of a set.
    Meeting,
    /// A command of trunkline.
    Operator,
    /// Parks a table.
    Parking,
    /// pg_dump, for tables that are made on a subscriber.
    PgDump,
    /// Reads batches from a queue.
    Queue,
    /// Restores a database from an archive.
    Restore,
    /// Keeps the tables of a standby closed.
    Role,
    /// `replay skip`.
    Skip,
    /// Asks how everything stands.
    Status,
    /// Lists a subscriber's tables.
    Tables,
    /// Hands a table that is caught up to the batch loop.
    TakeOver,
    /// Ticks.
    Ticker,
    /// Runs rotation and retries, and checks captured tables.
    Upkeep,
    /// Asks why a daemon's sessions wait.
    Watch,
}

impl Purpose {
    /// The purpose's word in a session's name.
    fn as_str(self) -> &'static str {
        match self {
            Purpose::Admin => "admin",
            Purpose::Archive => "archive",
            Purpose::Apply => "apply",
            Purpose::AutoAdd => "auto-add",
            Purpose::Base => "base",
            Purpose::CatchUp => "catch-up",
            Purpose::Check => "check",
            Purpose::CopyAdmin => "copy-admin",
            Purpose::CopyIn => "copy-in",
            Purpose::CopyOut => "copy-out",
            Purpose::Databases => "databases",
            Purpose::Events => "events",
            Purpose::Filter => "filter",
            Purpose::Install => "install",
            Purpose::Listen => "listen",
            Purpose::Meeting => "meeting",
            Purpose::Operator => "operator",
            Purpose::Parking => "parking",
            Purpose::PgDump => "pg_dump",
            Purpose::Queue => "queue",
            Purpose::Restore => "restore",
            Purpose::Role => "role",
            Purpose::Skip => "skip",
            Purpose::Status => "status",
            Purpose::Tables => "tables",
            Purpose::TakeOver => "take-over",
            Purpose::Ticker => "ticker",
            Purpose::Upkeep => "upkeep",
            Purpose::Watch => "watch",
        }
    }
}

/// The `application_name` of a session, `trunkline PURPOSE JOB`, as the server keeps it: at most 63 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationName(String);

impl ApplicationName {
    /// The name of a job's session.
    pub fn new(purpose: Purpose, job: &str) -> ApplicationName {
        named(purpose.as_str(), job)
    }

    /// The name as the server shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApplicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn named(purpose: &str, job: &str) -> ApplicationName {
    let mut name = format!("trunkline {purpose} {job}");
    name.truncate(name.floor_char_boundary(LONGEST));
    ApplicationName(name)
}

/// The second word of a session's name.
fn purpose_of(name: &str) -> &str {
    name.split(' ').nth(1).unwrap_or_default()
}

/// Whether a session with this name has this purpose, whatever its job is.
pub(crate) fn is_for(name: &str, purpose: Purpose) -> bool {
    purpose_of(name) == purpose.as_str()
}

/// Whether a session with this name is of this job, whatever its purpose is.
pub(crate) fn is_of(name: &str, job: &str) -> bool {
    name == named(purpose_of(name), job).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_recognised_by_a_name_that_was_cut() {
        let job = "ä".repeat(60);
        let name = ApplicationName::new(Purpose::CopyIn, &job);
        assert!(name.as_str().len() <= LONGEST, "{name}");
        assert!(is_of(name.as_str(), &job) && !is_of(name.as_str(), "other"));
        assert!(is_for(name.as_str(), Purpose::CopyIn));
        assert!(!is_for(name.as_str(), Purpose::CopyOut));
    }
}
