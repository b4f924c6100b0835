//! The operator's own command lines, which run beside a switchover.

use std::process::Stdio;
use std::time::Duration;

use sql::operation::Plan;
use tokio::process::Command;

/// How long a command may take: writes wait for it, or it waits for them.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command line of the operator with sh. What it prints goes to standard error: standard output is ours.
///
/// It finds what it is about in its environment: TRUNKLINE_QUEUE, TRUNKLINE_OLD and TRUNKLINE_NEW.
///
/// # Errors
/// How it ended, or that it did not within a minute; then it is killed.
pub(super) async fn run(line: &str, plan: &Plan) -> Result<(), String> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(line)
        .env("TRUNKLINE_QUEUE", &plan.queue)
        .env("TRUNKLINE_OLD", plan.old.title())
        .env("TRUNKLINE_NEW", plan.new.title())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("sh cannot be run: {error}"))?;
    match tokio::time::timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it did not end within {} s", LIMIT.as_secs())),
    }
}
