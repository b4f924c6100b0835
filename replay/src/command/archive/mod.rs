//! `replay archive`: looks at the files of an archive, and asks the daemon to publish what it has.

mod cat;
mod check;
mod expire;
mod feed;
mod install;
mod list;
mod opened;
mod show;
mod switch;
mod verify;

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use sql::near;

use self::{
    cat::CatArgs,
    expire::{ExpireArgs, KeepArgs},
    feed::FeedArgs,
    list::ListArgs,
    show::ShowArgs,
    switch::SwitchArgs,
};
pub(super) use self::{
    install::install,
    opened::{Opened, captured, open},
};
use super::Job;

/// The arguments of `archive`.
#[derive(Debug, clap::Args)]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    deed: Deed,
    /// The archive, where the config has several
    #[arg(long, value_name = "NAME", global = true)]
    subscriber: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// List what the archive covers: stretches without a gap, the holes between them, and bases
    List(ListArgs),
    /// Show what a base has, and what it has not
    Show(ShowArgs),
    /// Check that archive and queue fit together, by names and first lines: exit code 1 if something is wrong
    Check,
    /// Read every object, and name each that is not as it was written: exit code 1 if there is one
    Verify,
    /// Publish what was committed before the call, and wait until it is on the disk
    Switch(SwitchArgs),
    /// Pin a base, whatever retention says, or let it go
    Keep(KeepArgs),
    /// Remove what retention does not keep
    Expire(ExpireArgs),
    /// Print segments as lines of JSON
    Cat(CatArgs),
    /// Bring a subscriber's database up by the archive's files, without the provider
    Feed(FeedArgs),
}

/// Runs the command.
pub(crate) async fn run(job: &Job, args: &ArchiveArgs) -> Result<Exit, Failure> {
    let one = chosen(job, args.subscriber.as_deref())?;
    match &args.deed {
        Deed::List(args) => list::run(job, one, args),
        Deed::Show(args) => show::run(job, one, args),
        Deed::Check => check::run(job, one).await,
        Deed::Verify => verify::run(job, one),
        Deed::Switch(args) => switch::run(job, one, args).await,
        Deed::Keep(args) => expire::keep(job, one, args),
        Deed::Expire(args) => expire::run(job, one, args),
        Deed::Cat(args) => cat::run(job, one, args),
        Deed::Feed(args) => feed::run(job, one, args).await,
    }
}

/// The archive that is meant.
pub(super) fn chosen<'a>(job: &'a Job, name: Option<&str>) -> Result<&'a ArchiveConfig, Failure> {
    let archives = job.config.archives.as_slice();
    let file = job.config.daemon.config_file.display();
    let usage = |text: String| Failure::message(Exit::Usage, text);
    match (name, archives) {
        (None, [one]) => Ok(one),
        (None, []) => Err(usage(format!("{file}: no subscriber is an archive"))),
        (None, [_, _, ..]) => Err(usage(format!(
            "{file} has {} archives: say which, by --subscriber",
            archives.len()
        ))),
        (Some(name), _) => archives.iter().find(|one| one.name == name).ok_or_else(|| {
            let near = near::name(name, archives.iter().map(|one| one.name.as_str()));
            let near = near::did_you_mean(near);
            usage(format!("{file}: no archive is named {name}{near}"))
        }),
    }
}
