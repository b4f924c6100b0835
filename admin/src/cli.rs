//! What the three programs' command lines have in common.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::DaemonConfig;
use crate::exit::{Exit, Failure};
use crate::journal;
use crate::log::{self, Verbosity};
use crate::output;

/// Options that every command takes, before it or after it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CommonArgs {
    /// Config file, else $TRUNKLINE_CONFIG, else /etc/trunkline/PROGRAM.toml
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Say more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// Environment variable that names the config file.
pub const CONFIG_VARIABLE: &str = "TRUNKLINE_CONFIG";

/// Directory of config files.
pub const CONFIG_DIRECTORY: &str = "/etc/trunkline";

impl CommonArgs {
    /// The config file of `program`: the option, the environment, the usual place.
    pub fn config_path(&self, program: &str) -> PathBuf {
        self.named_config()
            .unwrap_or_else(|| PathBuf::from(CONFIG_DIRECTORY).join(format!("{program}.toml")))
    }

    /// The config file if the command line or the environment names one.
    pub fn named_config(&self) -> Option<PathBuf> {
        let variable = || {
            std::env::var_os(CONFIG_VARIABLE)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        self.config.clone().or_else(variable)
    }

    /// How much the command prints and logs.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Everything,
        }
    }
}

/// Parses the command line. Help and version are printed and give `Err(Exit::Done)`; a wrong
/// command line, or none at all, is explained on standard error and gives `Err(Exit::Usage)`.
pub fn parse<P: clap::Parser>() -> Result<P, Exit> {
    P::try_parse().map_err(|error| {
        let _ = error.print();
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Done
        }
    })
}

/// Runs a command that is no daemon: its log on standard error, one thread.
///
/// Errors: those of the command, and [`Exit::Failed`] without a runtime.
pub fn run_command(
    program: &str,
    common: &CommonArgs,
    command: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let _log = log::start_command_log(program, common.verbosity());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    let done = runtime.block_on(command);
    // A name server that does not answer must not keep a command that has given up.
    runtime.shutdown_background();
    done
}

/// Prints what was done, unless the command was told to be quiet.
pub fn say(common: &CommonArgs, line: &str) -> Result<(), Failure> {
    match common.verbosity() {
        Verbosity::Quiet => Ok(()),
        Verbosity::Normal | Verbosity::Verbose | Verbosity::Everything => {
            output::print(&format!("{line}\n"))
        }
    }
}

/// `check-config`, for a file that was read without problems.
pub fn say_config_is_ok(common: &CommonArgs, config: &DaemonConfig) -> Result<Exit, Failure> {
    say(common, &format!("{}: ok", config.config_file.display()))?;
    Ok(Exit::Done)
}

/// Prints what is questionable in a config on standard error.
pub fn warn(config: &DaemonConfig) {
    for warning in &config.warnings {
        let line = format!("warning: {}: {warning}\n", config.config_file.display());
        eprint!("{}", journal::for_stderr(&line, tracing::Level::WARN));
    }
}
