//! A peer that fails is a line of the report, not the end of the run. A panic while the peer is measured (a command
//! that fails, a wait that times out, rows that differ) becomes the reason in that line.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the work; if it fails, gives the reason in one line. The work's destructors tear down what it has set up.
pub(crate) fn attempt<T>(work: impl FnOnce() -> anyhow::Result<T>) -> Result<T, String> {
    // No value of the work is used after a panic.
    let reason = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => (*text).to_owned(),
            (None, None) => "it broke off without a word".to_owned(),
        },
    };
    let line: Vec<&str> = reason.split_whitespace().collect();
    Err(line.join(" ").chars().take(MOST).collect())
}

/// The longest reason, in characters: commands and their output are long.
const MOST: usize = 300;

#[cfg(test)]
mod tests {
    use super::attempt;

    #[test]
    fn what_fails_says_why_and_the_run_goes_on() {
        assert_eq!(attempt(|| Ok(1)), Ok(1));
        let failed: Result<(), String> = attempt(|| anyhow::bail!("no\n  luck"));
        assert_eq!(failed, Err("no luck".to_owned()));
        let broken: Result<(), String> = attempt(|| panic!("waited in vain for {}", "it"));
        assert_eq!(broken, Err("waited in vain for it".to_owned()));
    }
}
