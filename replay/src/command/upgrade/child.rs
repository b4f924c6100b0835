//! Runs the commands of the three programs. Each child has the directory's lock as its standard input: if this process
//! is killed the next one waits until the child is done, and a child that becomes a daemon lets go of it.

use std::process::Stdio;

use admin::{
    cli::CommonArgs,
    exit::{Exit, Failure},
    programs,
};
use anyhow::Context as _;
use tokio::process::Command;

use super::place::Place;

/// What becomes of what a child prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Print {
    /// It goes where this command's goes, unless that is quiet.
    On,
    /// It is read, and not shown.
    Read,
}

/// How a child has ended.
pub(super) struct Ended {
    pub(super) code: i32,
    /// What it has printed, if that was read.
    pub(super) stdout: String,
}

/// Runs a program with these arguments.
///
/// # Errors
/// It cannot be run, or was ended by a signal.
pub(super) async fn run(
    place: &Place,
    common: &CommonArgs,
    print: Print,
    (program, args): (&str, &[&str]),
) -> Result<Ended, Failure> {
    let path = programs::beside(program);
    let shown = || format!("{program} {}", args.join(" "));
    let lock = place.lock.try_clone().context("could not share the lock")?;
    let mut command = Command::new(&path);
    command
        .args(args)
        .stdin(Stdio::from(lock))
        .kill_on_drop(true);
    let is_read = print == Print::Read || common.quiet;
    if is_read {
        command.stdout(Stdio::piped());
    }
    let child = command
        .spawn()
        .with_context(|| format!("could not run {}", path.display()))?;
    let ended = child.wait_with_output().await;
    let ended = ended.with_context(|| format!("could not wait for {}", shown()))?;
    let code = ended
        .status
        .code()
        .with_context(|| format!("{} was killed ({})", shown(), ended.status))?;
    Ok(Ended {
        code,
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
    })
}

/// The same; codes beside 0 and `also` are errors, of which the child has told on standard error.
pub(super) async fn must(
    place: &Place,
    common: &CommonArgs,
    also: &[i32],
    (program, args): (&str, &[&str]),
) -> Result<Ended, Failure> {
    let ended = run(place, common, Print::On, (program, args)).await?;
    if ended.code == 0 || also.contains(&ended.code) {
        return Ok(ended);
    }
    Err(failed(&ended, program, args))
}

/// The failure of a child.
pub(super) fn failed(ended: &Ended, program: &str, args: &[&str]) -> Failure {
    let exit = match ended.code {
        1 => Exit::Part,
        4 => Exit::TimedOut,
        5 => Exit::Running,
        _ => Exit::Failed,
    };
    let text = format!("{program} {} ended with {}", args.join(" "), ended.code);
    Failure::message(exit, text)
        .with_hint("end the cause, and run the upgrade again: it goes on here")
}
