//! The only place that forks. Everything else of a daemon (lock, pid file, readiness, log) is our own code, and stays
//! if the crate for forking is replaced.

use daemonize::{Daemonize, Outcome};

/// Which process this is after the fork.
pub(super) enum ForkSide {
    Parent,
    Child,
}

/// Leaves the terminal: a new session, standard streams on /dev/null, files made by the daemon never writable by
/// others. Call this while there is one thread. The working directory stays, because connection strings may name
/// certificate files relative to it.
pub(super) fn fork() -> anyhow::Result<ForkSide> {
    let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let daemon = Daemonize::new().working_directory(directory).umask(0o027);
    match daemon.execute() {
        Outcome::Parent(result) => {
            result?;
            Ok(ForkSide::Parent)
        }
        Outcome::Child(result) => {
            result?;
            Ok(ForkSide::Child)
        }
    }
}
