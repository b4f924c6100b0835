//! How many descriptors the process may have. The soft limit is 1,024 on most machines, for the sake of programs that
//! use `select`; the hard limit is mostly far above.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The least number of descriptors that a daemon should have; with fewer a warning is logged.
const ENOUGH: u64 = 256;

/// Raises the soft limit to the hard limit. Where that is refused the soft limit stays as it is.
pub(super) fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let allowed = open_files();
    if allowed < ENOUGH {
        tracing::warn!(
            allowed,
            "few files may be open at a time, raise the limit (ulimit -n, LimitNOFILE)"
        );
    }
}

/// Descriptors that this process may have at a time.
pub fn open_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(ENOUGH, |(soft, _)| soft)
}
