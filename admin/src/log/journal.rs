//! Whether standard error leads to systemd's journal, which takes a line's priority from its begin (sd-daemon(3)).

use std::os::fd::AsFd;

use tracing::Level;

/// Whether this stream is the one that the service manager has connected to the journal. It says so by the stream's
/// device and inode: a variable that was only inherited names another stream.
pub(super) fn is_journal(stream: impl AsFd) -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    nix::sys::stat::fstat(stream)
        .is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// What a line of this level begins with there. Without it each line would have the priority of a notice, and
/// `journalctl -p err` would show none.
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}
