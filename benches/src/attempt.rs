//! A peer that fails is a line of the report, not the end of the run: what panics while it is
//! measured (a command that fails, a wait in vain, rows that differ) becomes its reason.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs it; the reason in one line if it fails. What it has set up is torn down by its destructors.
pub(crate) fn attempt<T>(work: impl FnOnce() -> anyhow::Result<T>) -> Result<T, String> {
    // Nothing of it is used after a panic.
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
