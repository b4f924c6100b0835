//! The command line of `ticker`: reads the config, then hands over. Touches no database itself.

use std::process::ExitCode;

use admin::cli::{CommonArgs, run_command, say_config_is_ok};
use admin::config::TickerConfig;
use admin::daemon;
use admin::exit::{Exit, Failure, finish};
use clap::{Parser, Subcommand};
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
    let common = &arguments.common;
    if let Command::Install {
        print_sql: true, ..
    } = arguments.command
    {
        return install::print_sql();
    }
    let config = TickerConfig::load(&common.config_path("ticker"))?;
    admin::cli::warn(&config.daemon);
    match arguments.command {
        Command::Install {
            upgrade_from_pgq, ..
        } => {
            let over = if upgrade_from_pgq {
                OverPgq::TakeOver
            } else {
                OverPgq::Refuse
            };
            run_command("ticker", common, install::run(&config, over))
        }
        Command::Start { detach } => start(common, config, detach),
        Command::Stop { fast } => daemon::stop(&config.daemon, fast),
        Command::Reload => daemon::reload(&config.daemon),
        Command::Restart => restart(common, config),
        Command::Status { json } => run_command("ticker", common, status::run(&config, json)),
        Command::CheckConfig => say_config_is_ok(common, &config.daemon),
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
