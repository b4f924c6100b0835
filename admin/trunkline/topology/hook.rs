//! The operator's own command lines, which run beside an operation.

use std::process::Stdio;
use std::time::Duration;

use admin::notice;
use sql::operation::Plan;
use tokio::process::Command;

/// How long a command may take: writes wait for it, or it waits for them.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command line of the operator with sh. What it prints goes to standard error: standard output is ours.
///
/// It finds what it is about in its environment: TRUNKLINE_QUEUE, TRUNKLINE_OLD and TRUNKLINE_NEW.
///
/// # Errors
/// How it ended, or that it did not within a minute; then it is ended with all that it has started.
pub(crate) async fn run(line: &str, plan: &Plan) -> Result<(), String> {
    let mut sh = Command::new("sh");
    sh.arg("-c")
        .arg(line)
        .env("TRUNKLINE_QUEUE", &plan.queue)
        .env("TRUNKLINE_OLD", plan.old.title())
        .env("TRUNKLINE_NEW", plan.new.title())
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    notice::run_within(&mut sh, LIMIT).await
}
