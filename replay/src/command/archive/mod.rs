//! `replay archive`: looks at the files of an archive, and asks the daemon to publish what it has.

mod cat;
mod check;
mod expire;
mod feed;
pub(super) mod identity;
mod install;
mod list;
pub(super) mod opened;
mod show;
mod switch;
mod verify;

use admin::exit::{Exit, Failure};

use self::{
    cat::CatArgs,
    check::CheckArgs,
    expire::{ExpireArgs, KeepArgs},
    feed::FeedArgs,
    list::ListArgs,
    show::ShowArgs,
    switch::SwitchArgs,
    verify::VerifyArgs,
};
pub(super) use self::{install::install, opened::captured};
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
    Check(CheckArgs),
    /// Read every object, and name each that is not as it was written: exit code 1 if there is one
    Verify(VerifyArgs),
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
    let one = opened::chosen(job, args.subscriber.as_deref())?;
    match &args.deed {
        Deed::List(args) => list::run(job, one, args),
        Deed::Show(args) => show::run(job, one, args),
        Deed::Check(args) => {
            // Where nobody is followed the check of the queue says so.
            let at_host = job.at_host().await;
            check::run(at_host.as_ref().unwrap_or(job), one, args).await
        }
        Deed::Verify(args) => verify::run(job, one, args).await,
        Deed::Switch(args) => switch::run(&job.at_host().await?, one, args).await,
        Deed::Keep(args) => expire::keep(job, one, args),
        Deed::Expire(args) => expire::run(job, one, args),
        Deed::Cat(args) => cat::run(job, one, args),
        Deed::Feed(args) => feed::run(job, one, args).await,
    }
}
