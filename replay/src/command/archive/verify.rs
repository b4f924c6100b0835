//! `replay archive verify`: reads every object of an archive; with `--restore` a base and what follows it is restored
//! into a server that is made for it.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use serde_json::json;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose},
    name::quote_ident,
    subscriber::restore as noted,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    identity::{self, IdentityArgs},
    opened::{Opened, open},
    show,
};
use crate::{
    archive::{
        bases::verified_path,
        verify::{self, Depth, Fault, Verified},
    },
    command::{
        Job,
        restore::{self, FromArchiveArgs, Then},
    },
    frames::{manifest::Manifest, place::Time},
    pg_dump::PgDump,
    restore::server::Server,
};

/// The arguments of `archive verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Restore a base, and what follows it, into a server that is made for it and removed again
    #[arg(long)]
    restore: bool,
    /// The base that is restored; else the newest complete one
    #[arg(long, value_name = "BASE", requires = "restore")]
    base: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Runs the command: one line for each fault.
pub(super) async fn run(
    job: &Job,
    one: &ArchiveConfig,
    args: &VerifyArgs,
) -> Result<Exit, Failure> {
    let opened = args.identity.opens(job, open(job, one)?)?;
    let found = verify::archive(&opened.store, &opened.identity, Depth::Bodies)
        .with_context(|| format!("archive {} cannot be read", one.name))?;
    for Fault { object, what } in &found.faults {
        eprintln!("{object}: {what}");
    }
    if !found.faults.is_empty() {
        return Ok(Exit::Part);
    }
    let events: u64 = found.lines.iter().map(|line| line.events).sum();
    job.say(&format!(
        "archive {}: {} segments, {events} events, {} bases, all as they were written",
        one.name,
        found.lines.len(),
        found.bases.made().count()
    ))?;
    if found.closed > 0 {
        job.say(&format!(
            "{} segments are encrypted: that is what their hashes say; what is in them was not read (--identity)",
            found.closed
        ))?;
    }
    match args.restore {
        true => {
            prove(
                job,
                one,
                (&opened, &args.identity),
                chosen(one, &found, args)?,
            )
            .await
        }
        false => Ok(Exit::Done),
    }
}

/// The base that is restored.
fn chosen<'a>(
    one: &ArchiveConfig,
    found: &'a Verified,
    args: &VerifyArgs,
) -> Result<&'a Manifest, Failure> {
    if let Some(name) = &args.base {
        return show::find(one, &found.bases, name);
    }
    let mut made = found.bases.made();
    made.rfind(|base| base.is_complete()).ok_or_else(|| {
        let text = format!("archive {} has no complete base", one.name);
        Failure::message(Exit::Failed, text).with_hint("make one: replay base")
    })
}

/// Restores a base into a server of its own. Where all went well the base says so from then on.
async fn prove(
    job: &Job,
    one: &ArchiveConfig,
    (opened, by): (&Opened, &IdentityArgs),
    manifest: &Manifest,
) -> Result<Exit, Failure> {
    let manifest = &identity::whole(one, opened, manifest)?;
    let pg_dump = PgDump::find(manifest.dump, "verify --restore").await?;
    // A signal that comes while the server is made is seen behind that.
    let (mut interrupted, mut terminated) = (
        signal(SignalKind::interrupt()).context("could not listen to signals")?,
        signal(SignalKind::terminate()).context("could not listen to signals")?,
    );
    let server = Server::start(pg_dump.directory()).await?;
    // Whoever leaves here drops the server, which ends it and removes its files.
    let restored = tokio::select! {
        restored = restored(job, one, (manifest, by), &server) => restored?,
        _ = interrupted.recv() => return Err(told_to_end(manifest)),
        _ = terminated.recv() => return Err(told_to_end(manifest)),
    };
    server.stop().await?;
    if restored != Exit::Done {
        eprintln!("base {} is not proven", manifest.base);
        return Ok(Exit::Part);
    }
    let time = Time::of(std::time::SystemTime::now()).context("the clock cannot be right")?;
    let seconds: String = String::from(time).chars().take(19).collect();
    let path = verified_path(&manifest.base, &(seconds.replace(['-', ':'], "") + "Z"));
    let text = json!({ "trunkline": "verified/1", "base": manifest.base, "to": "latest" });
    opened
        .store
        .create(&path, &[text.to_string().as_bytes()])
        .with_context(|| format!("{path} cannot be written"))?;
    job.say(&format!(
        "base {} is proven: it was restored",
        manifest.base
    ))?;
    Ok(Exit::Done)
}

fn told_to_end(manifest: &Manifest) -> Failure {
    let text = format!(
        "base {} is not proven: the command was told to end",
        manifest.base
    );
    Failure::message(Exit::Failed, text)
}

/// Restores a base into a server that is made for it.
async fn restored(
    job: &Job,
    one: &ArchiveConfig,
    (manifest, by): (&Manifest, &IdentityArgs),
    server: &Server,
) -> Result<Exit, Failure> {
    let superuser: ConnectInfo = server
        .conninfo("postgres")
        .parse()
        .context("could not connect to the server that was made")?;
    let name = ApplicationName::new(Purpose::Restore, job.name());
    let session = superuser.connect(&name).await?;
    for role in noted::missing_roles(&*session, &manifest.roles).await? {
        let create = format!("create role {}", quote_ident(&role));
        let made = session.batch_execute(&create).await;
        made.with_context(|| format!("could not make role {role}"))?;
    }
    let made = session.batch_execute("create database restored template template0");
    made.await.context("could not make a database")?;
    let args = FromArchiveArgs {
        epoch: None,
        abandon: false,
        then: Some(Then::Stop),
        from: Some(one.name.clone()),
        into: server.conninfo("restored"),
        to: "latest".into(),
        tables: Vec::new(),
        base: Some(manifest.base.to_string()),
        jobs: 1,
        no_owner: false,
        dry_run: false,
        identity: by.clone(),
    };
    let restored = restore::run(job, &args).await;
    drop(session);
    restored
}
