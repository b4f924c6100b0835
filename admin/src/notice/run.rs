//! Runs a command: its own process group, a time limit, and what it has written.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::{Command, Values};

/// How long a command may go on when the daemon stops.
const STOPPING: Duration = Duration::from_millis(1500);

/// How long a process group may take to end when it is asked to, before it is killed.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How long the end of a killed process is waited for: one of another user (sudo) cannot be killed.
const REAPED: Duration = Duration::from_secs(1);

/// How long output is waited for that is under way when a command has ended. What the command has left behind in the
/// background may hold the pipe open for ever.
const REST: Duration = Duration::from_millis(200);

/// Bytes of output that are kept, from its begin on.
const KEPT: usize = 2000;

/// How a run has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Why the command has not done its work; None: it ended with 0.
    pub error: Option<String>,
    /// What it has written to standard output and standard error, at most some 2,000 bytes of it.
    pub output: String,
}

impl Command {
    /// Runs the command to its end, with values for its letters and as variables of its environment. Its standard input
    /// is empty. It must end within `limit`, and soon when `stop` is cancelled: else it is ended with all processes of
    /// its group. If the future is dropped, the group is killed.
    pub async fn run(&self, values: &Values, limit: Duration, stop: &CancellationToken) -> Ended {
        let failed = |error: std::io::Error| Ended {
            error: Some(format!("{} cannot be started: {error}", self.program())),
            output: String::new(),
        };
        let (mut group, pipe) = match self.start(values) {
            Ok(started) => started,
            Err(error) => return failed(error),
        };
        let mut output = Output {
            pipe,
            kept: Vec::new(),
            is_cut: false,
        };
        let error = tokio::select! {
            error = group.end_within(limit, stop) => error,
            () = output.read_on() => None,
        };
        let _ = tokio::time::timeout(REST, output.read()).await;
        Ended {
            error,
            output: output.text(),
        }
    }

    fn start(&self, values: &Values) -> std::io::Result<(Group, Receiver)> {
        // One pipe for both, so that lines stay in their order.
        let (reader, writer) = std::io::pipe()?;
        let mut program = tokio::process::Command::new(self.program());
        program
            .args(self.arguments(values))
            .envs(values.variables())
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let group = Group::start(&mut program)?;
        Ok((group, Receiver::from_owned_fd(reader.into())?))
    }
}

/// Runs a program to its end, in a process group of its own; where it reads and writes is the caller's to say. If it
/// has not ended within `limit` it is ended with all processes of its group. If the future is dropped, the group is
/// killed.
///
/// # Errors
/// Why the program has not ended with 0.
pub async fn run_within(
    program: &mut tokio::process::Command,
    limit: Duration,
) -> Result<(), String> {
    let mut group =
        Group::start(program).map_err(|error| format!("it cannot be started: {error}"))?;
    let error = group.end_within(limit, &CancellationToken::new()).await;
    error.map_or(Ok(()), Err)
}

/// As [`run_within`], and when `stop` is cancelled, or the time is up, the group is asked to end (SIGTERM) and given
/// `patience` to undo what it has begun, before it is killed.
///
/// # Errors
/// Why the program has not ended with 0.
pub async fn run_until(
    program: &mut tokio::process::Command,
    limit: Duration,
    stop: &CancellationToken,
    patience: Duration,
) -> Result<(), String> {
    let mut group =
        Group::start(program).map_err(|error| format!("it cannot be started: {error}"))?;
    let error = tokio::select! {
        ended = group.0.wait() => {
            let status = ended.map_err(|error| error.to_string())?;
            return problem(status).map_or(Ok(()), Err);
        }
        () = tokio::time::sleep(limit) => {
            format!("has not ended within {} s, and was ended", limit.as_secs_f64())
        }
        () = stop.cancelled() => "was ended, since the daemon stops".to_owned(),
    };
    group.signal(Signal::SIGTERM);
    if tokio::time::timeout(patience, group.0.wait())
        .await
        .is_err()
    {
        group.signal(Signal::SIGKILL);
        let _ = tokio::time::timeout(REAPED, group.0.wait()).await;
    }
    Err(error)
}

/// A running command, which leads a process group.
struct Group(Child);

impl Group {
    fn start(program: &mut tokio::process::Command) -> std::io::Result<Group> {
        let program = program.process_group(0).kill_on_drop(true);
        program.spawn().map(Group)
    }

    /// Why the command has not ended well.
    async fn end_within(&mut self, limit: Duration, stop: &CancellationToken) -> Option<String> {
        let stopping = async {
            stop.cancelled().await;
            tokio::time::sleep(STOPPING).await;
        };
        let error = tokio::select! {
            ended = self.0.wait() => return match ended {
                Ok(status) => problem(status),
                Err(error) => Some(error.to_string()),
            },
            () = tokio::time::sleep(limit) => {
                format!("has not ended within {} s, and was ended", limit.as_secs_f64())
            }
            () = stopping => "was ended, since the daemon stops".to_owned(),
        };
        // Nobody waits for the leader meanwhile, so its number cannot be given to another process.
        self.signal(Signal::SIGTERM);
        tokio::time::sleep(LAST_CHANCE).await;
        self.signal(Signal::SIGKILL);
        let _ = tokio::time::timeout(REAPED, self.0.wait()).await;
        Some(error)
    }

    /// Signals all processes of the group, while its leader has not been waited for.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // A group that is gone has ended.
            let _ = killpg(Pid::from_raw(leader), signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn problem(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| status.to_string())
}

/// What a command writes.
struct Output {
    pipe: Receiver,
    kept: Vec<u8>,
    is_cut: bool,
}

impl Output {
    /// Reads until everybody has closed the pipe, and keeps the begin.
    async fn read(&mut self) {
        let mut block = [0; 4096];
        // An error is the end of what can be read.
        while let Ok(length) = self.pipe.read(&mut block).await
            && length > 0
        {
            let room = KEPT - self.kept.len();
            self.is_cut |= length > room;
            self.kept.extend(block.iter().take(length.min(room)));
        }
    }

    /// The same, and never ends. Cancel safe: nothing waits between a read and its keeping.
    async fn read_on(&mut self) {
        self.read().await;
        std::future::pending().await
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let more = if self.is_cut { " ..." } else { "" };
        format!("{}{more}", text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::Letter;
    use super::*;

    async fn run(text: &str, limit: Duration, stop: &CancellationToken) -> Ended {
        let values = [(Letter::Details, "$(exit 3)\n'\"".to_owned())];
        let command = Command::parse(text, Letter::OF_EVENTS).unwrap();
        command
            .run(&values.into_iter().collect(), limit, stop)
            .await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn code_and_output_are_told_and_values_are_in_the_environment() {
        let stop = CancellationToken::new();
        let script = r#"sh -c 'echo "$TRUNKLINE_DETAILS"; echo "$1" >&2; exit 7' sh %d"#;
        let ended = run(script, LONG, &stop).await;
        assert_eq!(ended.error.as_deref(), Some("exit status: 7"));
        assert_eq!(ended.output, "$(exit 3)\n'\"\n$(exit 3)\n'\"");
        let ended = run("true", LONG, &stop).await;
        assert_eq!((ended.error, ended.output.as_str()), (None, ""));
        let ended = run("/no/such/program x", LONG, &stop).await;
        assert!(
            ended.error.as_deref().is_some_and(
                |error| error.starts_with("/no/such/program cannot be started: No such file")
            ),
            "{ended:?}"
        );
        // More than a pipe holds, and somebody who keeps it open.
        let begun = Instant::now();
        let ended = run(
            "sh -c 'sleep 50 & head -c 1000000 /dev/zero | tr \"\\\\0\" x'",
            LONG,
            &stop,
        )
        .await;
        assert_eq!(ended.error, None);
        assert_eq!(ended.output, format!("{} ...", "x".repeat(KEPT)));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    /// The processes of a group, by a variable of their environment.
    fn left(mark: &str) -> usize {
        let processes = std::fs::read_dir("/proc").unwrap();
        processes
            .filter_map(|one| std::fs::read(one.unwrap().path().join("cmdline")).ok())
            .filter(|line| String::from_utf8_lossy(line).contains(mark))
            .count()
    }

    #[tokio::test]
    async fn who_takes_too_long_is_ended_with_all_that_it_has_started() {
        let stop = CancellationToken::new();
        // A number that no other process on this machine has among its arguments.
        let mark = format!("7654{}", std::process::id());
        let sleep = format!("sleep {mark}");
        // One that does not listen to SIGTERM, and its child.
        let script = format!("sh -c 'trap \"\" TERM; echo here; {sleep} & wait; {sleep}'");
        let ended = run(&script, Duration::from_secs(2), &stop).await;
        assert_eq!(
            ended.error.as_deref(),
            Some("has not ended within 2 s, and was ended")
        );
        assert_eq!(ended.output, "here");
        let mut program = tokio::process::Command::new("sh");
        program.args(["-c", &format!("{sleep} & {sleep}")]);
        assert_eq!(
            run_within(&mut program, Duration::from_millis(200)).await,
            Err("has not ended within 0.2 s, and was ended".to_owned())
        );
        stop.cancel();
        // One that undoes what it has begun is given the time, and one that does not end is killed.
        let undone = std::env::temp_dir().join(format!("undone-{mark}"));
        let undo = format!(
            "trap 'sleep 1; echo undone > {}; exit 1' TERM; {sleep} & wait",
            undone.display()
        );
        let why = Err("was ended, since the daemon stops".to_owned());
        let later = CancellationToken::new();
        let mut program = tokio::process::Command::new("sh");
        program.args(["-c", &undo]);
        let (ended, ()) = tokio::join!(run_until(&mut program, LONG, &later, LONG), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            later.cancel();
        });
        assert_eq!(ended, why);
        assert_eq!(std::fs::read_to_string(&undone).unwrap(), "undone\n");
        std::fs::remove_file(&undone).unwrap();
        let mut program = tokio::process::Command::new("sh");
        program.args(["-c", &format!("trap '' TERM; {sleep}; {sleep}")]);
        assert_eq!(
            run_until(&mut program, LONG, &stop, Duration::from_millis(200)).await,
            why
        );
        let ended = run(&sleep, LONG, &stop).await;
        assert_eq!(
            ended.error.as_deref(),
            Some("was ended, since the daemon stops")
        );
        let never = CancellationToken::new();
        let dropped = run(&sleep, LONG, &never);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), dropped)
                .await
                .is_err()
        );
        for _ in 0..1200 {
            if left(&mark) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("something was left running");
    }
}
