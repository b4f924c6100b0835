//! Whether standard error leads to systemd's journal, which takes a line's priority from its begin (sd-daemon(3)).

use std::io;
use std::os::fd::AsFd;

use tracing::Level;

/// Whether this stream is the one that the service manager has connected to the journal. It says so by the stream's
/// device and inode: a variable that was only inherited names another stream.
pub(crate) fn is_journal(stream: impl AsFd) -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    nix::sys::stat::fstat(stream)
        .is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// What a line of this level begins with there. Without it each line would have the unit's `SyslogLevel`, info
/// if nothing is said, and `journalctl -p err` would show none.
pub(crate) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// A text as it is written to standard error. A unit that ends before its log is open has said why there, so each of
/// its lines needs the priority too.
pub(crate) fn for_stderr(text: &str, level: Level) -> String {
    if !is_journal(io::stderr()) {
        return text.to_owned();
    }
    let lines = text.lines();
    lines
        .map(|line| format!("{}{line}\n", priority(level)))
        .collect()
}
