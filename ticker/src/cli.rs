//! The command line of `ticker`: reads the config, then hands over. Touches no database itself.

use std::process::ExitCode;

use admin::cli::{CommonArgs, run_command, say_config_is_ok};
use admin::config::TickerConfig;
use admin::daemon;
use admin::documents::Documents;
use admin::exit::{Exit, Failure, finish};
use clap::{CommandFactory as _, Parser, Subcommand};
use sql::install::OverPgq;

use crate::{install, status, supervisor};

/// Ticks the queues of a provider: every tick is a batch that consumers can read.
#[derive(Debug, Parser)]
#[command(
    name = "ticker",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Configured(Configured),
    #[command(flatten)]
    Documents(Documents),
}

/// Commands that a config file says more about.
#[derive(Debug, Subcommand)]
enum Configured {
    /// Put schemas pgq and trunkline, the roles and the config's queues into the databases; safe to repeat; upgrades
    Install {
        /// Print the SQL of a fresh install instead
        #[arg(long)]
        print_sql: bool,
        /// Make a PgQ 3 that is installed there ours, with its queues, consumers, events and triggers
        #[arg(long)]
        upgrade_from_pgq: bool,
    },
    /// Tick, in the foreground or with -d as a daemon
    Start {
        /// Detach from the terminal
        #[arg(short, long)]
        detach: bool,
    },
    /// Stop the daemon and wait until it has ended
    Stop {
        /// Cancel what it does at once
        #[arg(long)]
        fast: bool,
    },
    /// Make the daemon read its config again and reopen its log
    Reload,
    /// Stop the daemon if it runs, and start it again, detached
    Restart,
    /// Say how the queues stand; exit code 5 if the daemon does not run on this host
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the config file
    CheckConfig,
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    match admin::cli::parse::<Arguments>() {
        Ok(arguments) => finish(run(&arguments)),
        Err(exit) => exit.into(),
    }
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Documents(documents) => documents.run(Arguments::command()),
        Command::Configured(Configured::Install {
            print_sql: true, ..
        }) => install::print_sql(),
        Command::Configured(command) => run_configured(&arguments.common, command),
    }
}

fn run_configured(common: &CommonArgs, command: &Configured) -> Result<Exit, Failure> {
    let config = TickerConfig::load(&common.config_path("ticker"))?;
    admin::cli::warn(&config.daemon);
    match *command {
        Configured::Install {
            upgrade_from_pgq, ..
        } => {
            let over = if upgrade_from_pgq {
                OverPgq::TakeOver
            } else {
                OverPgq::Refuse
            };
            run_command("ticker", common, install::run(&config, over))
        }
        Configured::Start { detach } => start(common, config, detach),
        Configured::Stop { fast } => daemon::stop(&config.daemon, fast),
        Configured::Reload => daemon::reload(&config.daemon),
        Configured::Restart => restart(common, config),
        Configured::Status { json } => run_command("ticker", common, status::run(&config, json)),
        Configured::CheckConfig => say_config_is_ok(common, &config.daemon),
    }
}

fn start(common: &CommonArgs, config: TickerConfig, detach: bool) -> Result<Exit, Failure> {
    let daemon = config.daemon.clone();
    daemon::start(&daemon, detach, common.verbosity(), |ready, signals| {
        Box::pin(supervisor::run(config, ready, signals))
    })
}

fn restart(common: &CommonArgs, config: TickerConfig) -> Result<Exit, Failure> {
    daemon::stop_for_restart(&config.daemon)?;
    start(common, config, true)
}
