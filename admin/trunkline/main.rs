//! The program `trunkline`: status, health checks, queues and consumers, for operators and their scripts.

mod capture;
mod check;
mod consumer;
mod doctor;
mod events;
mod failover;
mod fence;
mod member;
mod places;
mod probe;
mod queue;
mod switchover;
mod topology;
mod watch;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use admin::cli::{self, CONFIG_DIRECTORY, CommonArgs};
use admin::config::{self, AnyConfig, ConfigErrors, Problem};
use admin::documents::Documents;
use admin::exit::{Exit, Failure};
use admin::output;
use admin::status::{self, Asking, Overview, PATIENCE};
use clap::{CommandFactory as _, Parser, Subcommand};
use futures::future::{join, join_all};

use crate::capture::CaptureCommand;
use crate::check::CheckArgs;
use crate::consumer::ConsumerCommand;
use crate::doctor::DoctorArgs;
use crate::events::EventsArgs;
use crate::failover::FailoverArgs;
use crate::fence::{FenceArgs, UnfenceArgs};
use crate::member::MemberCommand;
use crate::places::PlaceArgs;
use crate::probe::ProbeArgs;
use crate::queue::QueueCommand;
use crate::switchover::SwitchoverArgs;

/// Status and health of queues and replication; queues and consumers made, changed and removed
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Queues, ticks, consumers, subscribers, tables and lag, as a tree
    ///
    /// Reads the config named with -c, a ticker's or a replay's or a directory of them, else every file of
    /// /etc/trunkline/*.toml. Exit code 3 if a database could not be asked.
    Status {
        /// Print JSON: {"tickers": [...], "replays": [...]}
        #[arg(long)]
        json: bool,
        /// Print again every SECONDS until interrupted
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
              value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
    },
    /// Health for monitoring: exit code 0 ok, 1 warning, 2 critical, 3 unknown, as Nagios wants it
    ///
    /// Of the config named with -c, a ticker's or a replay's, else of every file of /etc/trunkline/*.toml. The limits
    /// of a check, if none are given: ticker, by each queue's idle period (warning 15 s above it); consumers 300 and
    /// 3600 s; rotation, by each queue's period (warning at twice of it and 15 min); holders 1 and 6
    /// hours; replication 60 and 600 s. A table
    /// that is parked is critical, one that is not ok or a conflict of the last day a warning.
    Check(CheckArgs),
    /// What stands in the way of an installation or an upgrade: exit codes as check has them
    ///
    /// Looks at one database or at two, before anything is installed there, and only reads. Each finding has the
    /// command that mends it; what the role may not see is told as unknown.
    Doctor(Box<DoctorArgs>),
    /// Queues: list, create, drop, set, info
    ///
    /// A queue is looked for in the database of the config file (a replay's provider); with several, in each of them.
    Queue {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(subcommand)]
        command: QueueCommand,
    },
    /// Consumers of queues: list, register, unregister, move
    ///
    /// A replay's consumer only holds the queue for it: where replay stands, its subscriber knows.
    Consumer {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(subcommand)]
        command: ConsumerCommand,
    },
    /// What is captured into queues: list, drop
    ///
    /// `replay add` and `replay remove` make and end it; this is for what a subscriber that is gone has left.
    Capture {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(subcommand)]
        command: CaptureCommand,
    },
    /// Take no more writes of a queue's tables, on their provider
    ///
    /// Applications get the error 25006 from then on, in transactions of any isolation; who is in the midst of one that
    /// has written is waited for, and named. Replay goes on, and applies all that was written before. It does not stop
    /// sequences, DDL, tables that are not captured into the queue, or sessions with session_replication_role =
    /// replica.
    /// Exit code 4 if the time was up: then nothing has changed.
    Fence(FenceArgs),
    /// Take writes of a queue's tables again
    ///
    /// Exit code 4 if some tables are still locked by others when the time is up: the ticker opens these.
    Unfence(UnfenceArgs),
    /// What has happened to this node in its sets, the newest first, and whether programs have been told
    ///
    /// Of a ticker's databases, or of a replay's own (subscriber_db). Its replay runs event_notification_command.
    Events(EventsArgs),
    /// The nodes of a set: list, remove
    ///
    /// As the node's own databases have heard of them: those of a ticker, or a replay's own (subscriber_db).
    Member {
        #[command(subcommand)]
        command: MemberCommand,
    },
    /// Make a standby the provider of a queue's set, and the provider its standby, as planned
    ///
    /// Reads the replay.toml of any node of the set: its provider_db names the hosts; without QUEUE all that -c names,
    /// whose queues move together or not at all. Every transaction that the
    /// provider has committed is on the node before the node takes its first write, and at no moment do two nodes take
    /// writes. If something fails before that, the provider takes writes again. Commands of --before and --after find
    /// TRUNKLINE_QUEUE, TRUNKLINE_OLD and TRUNKLINE_NEW in their environment, and have a minute.
    /// Exit code 0 done; 1 the node is the provider, and not all follow it yet, or that is not known; 3 refused,
    /// nothing has changed; 4 the time was up, and all is as before; 5 another operation runs.
    Switchover(Box<SwitchoverArgs>),
    /// Make a standby the provider of a queue's set in the place of one that is off
    ///
    /// Reads the replay.toml of any node of the set: its provider_db names the hosts. What the provider has committed
    /// after the last tick that the node has is lost, and is told; the provider keeps it until it comes back. The
    /// provider must not answer, no node may have met it for ten seconds, and somebody must say that it is off:
    /// --fenced, or fence_command of the config. Until the node is promoted all nodes are held where they stand.
    /// Commands of --before and --after find TRUNKLINE_QUEUE, TRUNKLINE_OLD and TRUNKLINE_NEW in their environment.
    /// Exit code 0 done; 1 the node is the provider, and not all follow it yet, or that is not known; 3 refused,
    /// nothing has changed; 4 the time was up, and nobody was promoted; 5 another operation runs.
    Failover(Box<FailoverArgs>),
    /// Yes or no for other programs: exit code 0 or 1, and one line
    ///
    /// For keepalived, HAProxy and the like, within a time limit of its own. A command line that is wrong ends with 2.
    Probe(ProbeArgs),
    #[command(flatten)]
    Documents(Documents),
}

/// The exit code of a `check` or a `doctor` that could not be made, whatever the reason: 2 would mean "critical".
const UNKNOWN: u8 = 3;

fn main() -> ExitCode {
    let args = match cli::parse::<Args>() {
        Ok(args) => args,
        Err(Exit::Usage) if means_check(std::env::args_os().skip(1)) => return UNKNOWN.into(),
        Err(exit) => return exit.into(),
    };
    run(&args).unwrap_or_else(|failure| failure.print())
}

/// Whether a command line that could not be parsed is a `check` or a `doctor`, by its first word that is not an option.
fn means_check(mut args: impl Iterator<Item = OsString>) -> bool {
    while let Some(arg) = args.next() {
        if arg == "-c" || arg == "--config" {
            args.next();
        } else if !arg.as_encoded_bytes().starts_with(b"-") {
            return arg == "check" || arg == "doctor";
        }
    }
    false
}

fn run_check(args: &CheckArgs, common: &CommonArgs) -> ExitCode {
    let mut code = UNKNOWN;
    let done = load_good_configs(common).and_then(|(configs, wrong)| {
        for failure in &wrong {
            failure.print();
        }
        cli::run_command("trunkline", common, async {
            code = check::run(args, &configs, &wrong).await?;
            Ok(Exit::Done)
        })
    });
    if let Err(failure) = done {
        failure.print();
        // Nagios shows standard output only. If standard output cannot be written, that failure has been printed
        // before.
        let _ = output::print(&check::not_done(&failure));
    }
    code.into()
}

fn run_doctor(args: &DoctorArgs, common: &CommonArgs) -> ExitCode {
    let mut code = UNKNOWN;
    let configs = match args.needs_config() {
        true => load_configs(common),
        false => Ok(Vec::new()),
    };
    let done = configs.and_then(|configs| {
        cli::run_command("trunkline", common, async {
            code = doctor::run(args, &configs, common).await?.code();
            Ok(Exit::Done)
        })
    });
    if let Err(failure) = done {
        failure.print();
        return UNKNOWN.into();
    }
    code.into()
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    let done = match &args.command {
        Command::Status { json, watch } => {
            // A bad file does not hide the good ones.
            let (configs, wrong) = load_good_configs(&args.common)?;
            for failure in &wrong {
                failure.print();
            }
            if configs.is_empty() {
                return Ok(Exit::Usage.into());
            }
            let printed = print_status(&configs, *json, *watch);
            let done = cli::run_command("trunkline", &args.common, printed)?;
            Ok(if wrong.is_empty() { done } else { Exit::Usage })
        }
        Command::Queue { place, command } => {
            let configs = load_configs(&args.common)?;
            let done = queue::run(command, place, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Consumer { place, command } => {
            let configs = load_configs(&args.common)?;
            let done = consumer::run(command, place, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Capture { place, command } => {
            let configs = load_configs(&args.common)?;
            let done = capture::run(command, place, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Fence(fence) => {
            let configs = load_configs(&args.common)?;
            let done = fence::fence(fence, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Unfence(unfence) => {
            let configs = load_configs(&args.common)?;
            let done = fence::unfence(unfence, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Events(events) => {
            let configs = load_configs(&args.common)?;
            let done = events::run(events, &configs);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Member { command } => {
            let configs = load_configs(&args.common)?;
            let done = member::run(command, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Switchover(switchover) => {
            let configs = load_configs(&args.common)?;
            let done = switchover::run(switchover, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Failover(failover) => {
            let configs = load_configs(&args.common)?;
            let done = failover::run(failover, &configs, &args.common);
            cli::run_command("trunkline", &args.common, done)
        }
        Command::Probe(probe) => {
            // A config that cannot be read answers no question, whatever is wrong with it.
            let configs = match load_configs(&args.common) {
                Ok(configs) => configs,
                Err(failure) => {
                    failure.print();
                    return Ok(ExitCode::FAILURE);
                }
            };
            return Ok(probe::run(probe, &configs, &args.common));
        }
        Command::Check(check) => return Ok(run_check(check, &args.common)),
        Command::Doctor(doctor) => return Ok(run_doctor(doctor, &args.common)),
        Command::Documents(documents) => documents.run(Args::command()),
    };
    done.map(ExitCode::from)
}

/// The configs of the named file, of all files of the named directory, or of the usual directory. Errors: the problems
/// of all files at once.
fn load_configs(common: &CommonArgs) -> Result<Vec<AnyConfig>, Failure> {
    let (configs, mut wrong) = load_good_configs(common)?;
    let Some(last) = wrong.pop() else {
        return Ok(configs);
    };
    for failure in &wrong {
        failure.print();
    }
    Err(last)
}

/// The good configs among those files, and what is wrong with the other files. Errors: there is no file at all.
fn load_good_configs(common: &CommonArgs) -> Result<(Vec<AnyConfig>, Vec<Failure>), Failure> {
    let paths = match common.named_config() {
        Some(path) if path.is_dir() => configs_in(&path)?,
        Some(path) => vec![path],
        None => configs_in(Path::new(CONFIG_DIRECTORY))?,
    };
    let mut configs = Vec::new();
    let mut wrong = Vec::new();
    for path in &paths {
        match config::load_any(path) {
            Ok(config) => {
                cli::warn(match &config {
                    AnyConfig::Ticker(ticker) => &ticker.daemon,
                    AnyConfig::Replay(replay) => &replay.daemon,
                });
                configs.push(config);
            }
            Err(errors) => wrong.push(errors.into()),
        }
    }
    Ok((configs, wrong))
}

fn configs_in(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let none = |text: String| {
        Failure::from(ConfigErrors {
            file: directory.to_owned(),
            problems: vec![Problem { line: None, text }],
        })
        .with_hint("name a config file with -c")
    };
    let entries = fs::read_dir(directory).map_err(|error| none(error.to_string()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(none("holds no *.toml file".to_owned()));
    }
    Ok(paths)
}

async fn print_status(
    configs: &[AnyConfig],
    json: bool,
    watch: Option<u64>,
) -> Result<Exit, Failure> {
    if let Some(seconds) = watch {
        let every = Duration::from_secs(seconds);
        let picture = || async {
            let overview = ask(configs).await;
            if json {
                output::json(&overview)
            } else {
                Ok(status::draw(&overview) + "\n")
            }
        };
        return watch::run(every, !json, picture).await;
    }
    let overview = ask(configs).await;
    if json {
        output::print_json(&overview)?;
    } else {
        output::print(&status::draw(&overview))?;
    }
    // A daemon that does not run is a fact of the picture, not a failure.
    Ok(if overview.is_asked() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn ask(configs: &[AnyConfig]) -> Overview {
    let asking = Asking::within(PATIENCE);
    let tickers = configs.iter().filter_map(|config| match config {
        AnyConfig::Ticker(ticker) => Some(status::of_ticker(ticker, &asking)),
        AnyConfig::Replay(_) => None,
    });
    let replays = configs.iter().filter_map(|config| match config {
        AnyConfig::Replay(replay) => Some(status::of_replay(replay, &asking)),
        AnyConfig::Ticker(_) => None,
    });
    let (tickers, replays) = join(join_all(tickers), join_all(replays)).await;
    Overview { tickers, replays }
}
