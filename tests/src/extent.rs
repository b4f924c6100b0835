//! How much a test covers: everything with `etc/test.sh --full`, else a smaller choice, and then the run says what it
//! left out.

use std::io::Write;

/// Whether this is a full run (`TRUNKLINE_FULL`).
#[must_use]
pub fn full() -> bool {
    std::env::var_os("TRUNKLINE_FULL").is_some()
}

/// All of a list in a full run, else the shorter list. The number of items that the shorter list lacks is written under
/// `kind` (one word, a plural: `versions`, `seeds`) into the file that `TRUNKLINE_LEFT_OUT` names, for the last line of
/// etc/test.sh.
pub fn choose<T>(kind: &str, all: Vec<T>, short: Vec<T>) -> Vec<T> {
    if full() {
        return all;
    }
    let left_out = all.len().saturating_sub(short.len());
    if let Some(path) = std::env::var_os("TRUNKLINE_LEFT_OUT").filter(|_| left_out > 0) {
        // The line is written in one short write, so that lines of parallel tests do not mix.
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(format!("{left_out} {kind}\n").as_bytes()))
            .expect("count what is left out");
    }
    short
}
