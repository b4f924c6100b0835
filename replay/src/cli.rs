//! The command line of `replay`: arguments in, one command out.

use std::{process::ExitCode, time::Duration};

use admin::{
    cli::{CommonArgs, run_command, say_config_is_ok},
    config::ReplayConfig,
    daemon,
    documents::Documents,
    exit::{self, Exit, Failure},
};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::command::{
    self, Job,
    add::AddArgs,
    adopt::AdoptArgs,
    archive::ArchiveArgs,
    base::BaseArgs,
    compare::CompareArgs,
    execute::ExecuteArgs,
    lost::LostArgs,
    pause::ResumeArgs,
    rejoin::RejoinArgs,
    remove::RemoveArgs,
    repair::RepairArgs,
    restore::FromArchiveArgs,
    restore_ddl::RestoreArgs,
    resync::ResyncArgs,
    sequences::{ListArgs, SequenceArgs},
    skip::SkipArgs,
    uninstall::UninstallArgs,
    upgrade::UpgradeArgs,
};

/// Replicates tables of a provider into one or more subscribers.
#[derive(Debug, Parser)]
#[command(
    name = "replay",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Configured(Configured),
    /// Move a live database to a newer server, step by step, with a way back
    ///
    /// Takes no config: it writes those of both sides into --dir. It may be ended at any moment, and goes on where it
    /// was when it is run again with the same directory.
    Upgrade(Box<UpgradeArgs>),
    #[command(flatten)]
    Documents(Documents),
}

/// Commands that a config file says more about.
#[derive(Debug, Subcommand)]
enum Configured {
    /// Copy and apply until stopped
    Start {
        /// Go into the background
        #[arg(short, long)]
        detach: bool,
    },
    /// End the running daemon
    Stop {
        /// Cancel what it is doing
        #[arg(long)]
        fast: bool,
    },
    /// Make the daemon read its config and open its log again
    Reload,
    /// Stop, then start in the background
    Restart,
    /// Check the config file
    CheckConfig,
    #[command(flatten)]
    Online(Online),
}

/// Commands that ask the databases.
#[derive(Debug, Subcommand)]
enum Online {
    /// Make queue, consumers and the subscribers' tables; safe to repeat
    Install {
        /// With several hosts in provider_db: this node has the data and takes the writes
        #[arg(long)]
        first: bool,
    },
    /// Tell how job and subscribers stand; exit code 5 if the daemon does not run on this host
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Begin to replicate tables
    Add(Box<AddArgs>),
    /// Stop replicating tables; their rows stay
    Remove(RemoveArgs),
    /// Copy tables again
    Resync(ResyncArgs),
    /// Bring back indexes and constraints that a copy took away
    RestoreDdl(RestoreArgs),
    /// Begin to carry sequences over
    AddSeq(SequenceArgs),
    /// Stop carrying sequences over; their values stay
    RemoveSeq(SequenceArgs),
    /// List the sequences that are carried over
    Seqs(ListArgs),
    /// List the state of each table
    Tables {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Of one subscriber only
        #[arg(long, value_name = "NAME")]
        subscriber: Option<String>,
    },
    /// List the provider's tables that are not replicated
    Missing,
    /// Wait until all tables are ok and everything committed before the call is applied
    Wait {
        /// Give up after this time, with exit code 4
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<f64>,
    },
    /// Keep the position, apply nothing
    Pause,
    /// Go on after a pause, and try parked tables at once
    Resume(ResumeArgs),
    /// Accept a provider or a subscriber that was restored: says what it will do, then asks
    Adopt(AdoptArgs),
    /// Show what this node, as a provider of the past, has taken that the later one never had
    Lost(LostArgs),
    /// Give that up, and follow the later provider: says what it will do, then asks
    Rejoin(RejoinArgs),
    /// Make a base: the rows of an archive's tables, to restore from
    Base(BaseArgs),
    /// Compare the tables of both sides while they are written; exit code 1 if a row differs
    Compare(CompareArgs),
    /// Compare, and make the rows that differ equal: prints the statements, or does it with --apply
    Repair(RepairArgs),
    /// Run scripts of DDL: once on the provider, and once on each subscriber, in order with the changes
    Execute(ExecuteArgs),
    /// Make a database, or single tables, as they were at a tick or a time, from an archive
    Restore(FromArchiveArgs),
    /// Look at an archive: what it covers, and whether it is whole
    Archive(ArchiveArgs),
    /// Drop the one change that a parked table stands on; who dropped what is kept
    Skip(SkipArgs),
    /// Take everything of ours out of the databases; tables keep their rows
    Uninstall(UninstallArgs),
}

/// Runs the program and gives its exit code.
pub fn main() -> ExitCode {
    match admin::cli::parse::<Cli>() {
        Ok(cli) => exit::finish(run(cli)),
        Err(exit) => exit.into(),
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Documents(documents) => documents.run(Cli::command()),
        Command::Upgrade(args) => run_command("replay", &cli.common, async {
            command::upgrade::run(&args, &cli.common).await
        }),
        Command::Configured(command) => run_configured(cli.common, command),
    }
}

fn run_configured(common: CommonArgs, command: Configured) -> Result<Exit, Failure> {
    let config = ReplayConfig::load(&common.config_path("replay"))?;
    if matches!(command, Configured::Start { .. } | Configured::Restart) {
        daemon::keep_no_large_blocks();
    }
    admin::cli::warn(&config.daemon);
    match command {
        Configured::CheckConfig => say_config_is_ok(&common, &config.daemon),
        Configured::Start { detach } => start(&common, config, detach),
        Configured::Stop { fast } => daemon::stop(&config.daemon, fast),
        Configured::Reload => daemon::reload(&config.daemon),
        Configured::Restart => {
            daemon::stop_for_restart(&config.daemon)?;
            start(&common, config, true)
        }
        Configured::Online(online) => run_online(&Job::new(config, common), online),
    }
}

fn start(common: &CommonArgs, config: ReplayConfig, detach: bool) -> Result<Exit, Failure> {
    let settings = config.daemon.clone();
    daemon::start(
        &settings,
        detach,
        common.verbosity(),
        crate::daemon::body(config),
    )
}

fn run_online(job: &Job, command: Online) -> Result<Exit, Failure> {
    run_command("replay", job.common(), async {
        match command {
            Online::Install { first } => command::install::run(job, first).await,
            Online::Add(args) => command::add::run(&job.at_host().await?, &args).await,
            Online::Remove(args) => command::remove::run(&job.at_host().await?, &args).await,
            Online::Resync(args) => command::resync::run(&job.at_host().await?, &args).await,
            Online::RestoreDdl(args) => command::restore_ddl::run(job, &args).await,
            Online::AddSeq(args) => command::sequences::add(&job.at_host().await?, &args).await,
            Online::RemoveSeq(args) => {
                command::sequences::remove(&job.at_host().await?, &args).await
            }
            Online::Seqs(args) => command::sequences::list(&job.at_host().await?, &args).await,
            Online::Tables { json, subscriber } => {
                command::tables::run(job, json, subscriber.as_deref()).await
            }
            Online::Missing => command::missing::run(&job.at_host().await?).await,
            Online::Wait { timeout } => {
                command::wait::run(&job.at_host().await?, limit(timeout)?).await
            }
            Online::Pause => command::pause::pause(job).await,
            Online::Resume(args) => command::pause::resume(job, &args).await,
            Online::Adopt(args) => command::adopt::run(&job.at_host().await?, &args).await,
            Online::Base(args) => command::base::run(&job.at_host().await?, &args).await,
            Online::Execute(args) => command::execute::run(&job.at_host().await?, &args).await,
            Online::Restore(args) => command::restore::run(job, &args).await,
            Online::Archive(args) => command::archive::run(job, &args).await,
            Online::Compare(args) => command::compare::run(&job.at_host().await?, &args).await,
            Online::Repair(args) => command::repair::run(&job.at_host().await?, &args).await,
            Online::Skip(args) => command::skip::run(&job.at_host().await?, &args).await,
            Online::Lost(args) => command::lost::run(job, &args).await,
            Online::Rejoin(args) => command::rejoin::run(job, &args).await,
            Online::Uninstall(args) => command::uninstall::run(job, &args).await,
            Online::Status { json } => command::status::run(job, json).await,
        }
    })
}

fn limit(seconds: Option<f64>) -> Result<Option<Duration>, Failure> {
    seconds
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|error| {
                Failure::message(Exit::Usage, format!("--timeout {seconds}: {error}"))
            })
        })
        .transpose()
}
