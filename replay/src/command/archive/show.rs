//! `replay archive show`: what a base has, and what it has not.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use sql::{name::TableName, near};

use super::opened::open;
use crate::{
    archive::bases::{Base, Bases, State},
    command::Job,
    frames::manifest::{FILE, Manifest},
};

/// The arguments of `archive show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The base's name, as archive list has it
    #[arg(value_name = "BASE")]
    base: String,
    /// As JSON: the manifest
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(job: &Job, one: &ArchiveConfig, args: &ShowArgs) -> Result<Exit, Failure> {
    let opened = open(job, one)?;
    let bases = Bases::read(&opened.store, &opened.identity.archive)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    let manifest = find(one, &bases, &args.base)?;
    match args.json {
        true => output::print_json(manifest)?,
        false => output::print(&text(manifest))?,
    }
    Ok(Exit::Done)
}

/// The base with a name.
///
/// # Errors
/// There is none, or it is not as it should be.
pub(in crate::command) fn find<'a>(
    one: &ArchiveConfig,
    bases: &'a Bases,
    name: &str,
) -> Result<&'a Manifest, Failure> {
    let names = || {
        bases
            .bases
            .iter()
            .map(|base| String::from(base.name.clone()))
    };
    let found = bases
        .bases
        .iter()
        .find(|base| base.name.to_string() == name);
    match found.map(|Base { name, state, .. }| (name, state)) {
        Some((_, State::Made(manifest))) => Ok(manifest),
        Some((_, State::Unfinished)) => {
            let text = format!("base {name} has no manifest: it is unfinished");
            Err(Failure::message(Exit::Failed, text))
        }
        Some((base, State::Damaged(why))) => {
            let text = format!("{}: {why}", base.path(FILE));
            Err(Failure::message(Exit::Failed, text))
        }
        None => {
            let names: Vec<String> = names().collect();
            let near = near::name(name, names.iter().map(String::as_str));
            let near = near::did_you_mean(near);
            let text = format!("archive {} has no base {name}{near}", one.name);
            Err(Failure::message(Exit::Failed, text))
        }
    }
}

fn text(manifest: &Manifest) -> String {
    let state = match manifest.is_complete() {
        true => "complete",
        false => "incomplete: it serves to restore single tables",
    };
    let mut text = format!(
        "base: {}\nstate: {state}\ntick: {}\ntime: {}\nsource: {}\nserver: {}\nrows: {}\nbytes: {}\n",
        manifest.base,
        manifest.at.1.0,
        String::from(manifest.time),
        manifest.source,
        manifest.server,
        manifest.rows(),
        manifest.bytes(),
    );
    if let Some(label) = &manifest.label {
        text += &format!("label: {label}\n");
    }
    if !manifest.sealed.is_empty() {
        text += &format!("encrypted to: {}\n", manifest.sealed.join(", "));
    }
    for one in &manifest.tables {
        let conflicts = match one.conflicts {
            0 => String::new(),
            count => format!(", read where {count} changes had met another row than they said"),
        };
        text += &format!("table {}: {} rows{conflicts}\n", one.table(), one.rows);
    }
    for one in &manifest.missing {
        let table = TableName::new(one.schema.clone(), one.name.clone());
        text += &format!("missing: {table}: {}\n", one.why);
    }
    for one in &manifest.left_out {
        text += &format!("left out: {}: {}\n", one.what, one.why);
    }
    text + "left out: passwords of roles: a base has the roles' names only\n"
}
