//! The program `trunkline`: how everything stands, for operators and their scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use admin::cli::{self, CONFIG_DIRECTORY, CommonArgs};
use admin::config::{self, AnyConfig, ConfigErrors, Problem};
use admin::exit::{self, Exit, Failure};
use admin::output;
use admin::status::{self, Overview};
use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

/// Status of queues, consumers, subscribers and tables
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
    /// Reads the config named with -c, a ticker's or a replay's, else every file of
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
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of this program
    Man {
        /// Directory to write into
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let args = match cli::parse::<Args>() {
        Ok(args) => args,
        Err(exit) => return exit.into(),
    };
    exit::finish(run(&args))
}

fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Status { json, watch } => {
            let configs = load_configs(&args.common)?;
            let printed = print_status(&configs, *json, *watch);
            cli::run_command("trunkline", &args.common, printed)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "trunkline", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
        Command::Man { dir } => {
            clap_mangen::generate_to(Args::command(), dir)
                .with_context(|| format!("could not write manual pages to {}", dir.display()))?;
            Ok(Exit::Done)
        }
    }
}

/// The named file, or all of the usual directory; problems of all files at once.
fn load_configs(common: &CommonArgs) -> Result<Vec<AnyConfig>, Failure> {
    let paths = match common.named_config() {
        Some(path) => vec![path],
        None => usual_configs()?,
    };
    let mut configs = Vec::new();
    let mut wrong: Option<Failure> = None;
    for path in &paths {
        match config::load_any(path) {
            Ok(config) => {
                cli::warn(match &config {
                    AnyConfig::Ticker(ticker) => &ticker.daemon,
                    AnyConfig::Replay(replay) => &replay.daemon,
                });
                configs.push(config);
            }
            Err(errors) => {
                if let Some(failure) = wrong.replace(errors.into()) {
                    failure.print();
                }
            }
        }
    }
    wrong.map_or(Ok(configs), Err)
}

fn usual_configs() -> Result<Vec<PathBuf>, Failure> {
    let directory = Path::new(CONFIG_DIRECTORY);
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
    loop {
        let overview = ask(configs).await;
        let clear = watch.is_some() && output::is_terminal() && !json;
        if clear {
            // Home, then erase: the old picture stays until the new one is there.
            output::print("\u{1b}[H\u{1b}[J")?;
        }
        if json {
            output::print_json(&overview)?;
        } else {
            output::print(&status::draw(&overview))?;
        }
        match watch {
            None => return Ok(exit_code(&overview)),
            Some(seconds) => {
                if !clear && !json {
                    output::print("\n")?;
                }
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        }
    }
}

async fn ask(configs: &[AnyConfig]) -> Overview {
    let mut overview = Overview::default();
    for config in configs {
        match config {
            AnyConfig::Ticker(ticker) => overview.tickers.push(status::of_ticker(ticker).await),
            AnyConfig::Replay(replay) => overview.replays.push(status::of_replay(replay).await),
        }
    }
    overview
}

/// 3 if anything could not be asked or is not installed; a daemon that does not run is a fact.
fn exit_code(overview: &Overview) -> Exit {
    let databases = overview.tickers.iter().flat_map(|ticker| &ticker.databases);
    let unasked = databases.clone().any(|database| database.error.is_some())
        || overview.replays.iter().any(|replay| {
            !replay.provider.reachable
                || replay.provider.error.is_some()
                || replay
                    .subscribers
                    .iter()
                    .any(|subscriber| !subscriber.reachable)
        });
    if unasked { Exit::Failed } else { Exit::Done }
}
