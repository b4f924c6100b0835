//! `trunkline doctor`: what stands in the way of an installation or an upgrade, before anything is installed. It only
//! reads, and needs nothing of ours in the databases.

mod finding;
mod judge;
mod pair;
mod print;

use admin::cli::CommonArgs;
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure, one_line};
use admin::output;
use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use sql::doctor::{self, Facts, Server};

use self::finding::{Finding, Side, Topic};
use crate::check::Level;

/// Which databases are looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The database that is, or will be, the provider, as a connection string; else that of the replay.toml that -c
    /// names, and its subscriber
    #[arg(value_name = "CONNINFO")]
    from: Option<ConnectInfo>,
    /// The database that will follow it
    #[arg(long, value_name = "CONNINFO", requires = "from")]
    to: Option<ConnectInfo>,
    /// Print JSON: {"status", "findings": [{"topic", "side", "status", "message", "objects", "fix"}]}
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    /// Whether the command line names the databases, so that no config is needed.
    pub(crate) fn needs_config(&self) -> bool {
        self.from.is_none()
    }
}

/// Looks at the databases, prints what was found, and gives the level of the worst.
///
/// # Errors
/// No database is named, or the findings cannot be printed.
pub(crate) async fn run(
    args: &DoctorArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Level, Failure> {
    let (from, to) = match &args.from {
        Some(from) => (from.clone(), args.to.clone()),
        None => of_configs(configs)?,
    };
    let mut findings = Vec::new();
    let from = look(Side::From, &from, &mut findings).await;
    let to = match &to {
        Some(to) => look(Side::To, to, &mut findings).await,
        None => None,
    };
    if let Some(from) = &from {
        judge::provider(from, &mut findings);
    }
    if let Some(to) = &to {
        judge::subscriber(to, &mut findings);
    }
    if let (Some(from), Some(to)) = (&from, &to) {
        pair::judge(from, to, free_bytes(&to.server), &mut findings);
    }
    if args.json {
        output::print_json(&print::json(&findings))?;
    } else {
        output::print(&print::text(&findings, common.quiet))?;
    }
    Ok(finding::worst(&findings))
}

/// The provider and the subscriber of the one replay.toml that is named.
fn of_configs(configs: &[AnyConfig]) -> Result<(ConnectInfo, Option<ConnectInfo>), Failure> {
    let replays = configs.iter().filter_map(|config| match config {
        AnyConfig::Replay(replay) => Some(replay),
        AnyConfig::Ticker(_) => None,
    });
    let mut replays: Vec<_> = replays.collect();
    match (replays.pop(), replays.is_empty()) {
        (Some(replay), true) => {
            let mut subscribers = replay.subscribers.iter();
            let to = match (subscribers.next(), subscribers.next()) {
                (Some(one), None) => Some(one.db.clone()),
                _ => None,
            };
            Ok((replay.provider.clone(), to))
        }
        _ => Err(Failure::message(
            Exit::Usage,
            "name one replay.toml with -c, or the databases by connection strings",
        )),
    }
}

/// What a database says of itself; one that cannot be asked is a finding.
async fn look(side: Side, database: &ConnectInfo, findings: &mut Vec<Finding>) -> Option<Facts> {
    let read = async {
        let name = ApplicationName::new(Purpose::Check, "doctor");
        let session = database.connect(&name).await.map_err(|error| {
            (
                one_line(&error),
                format!(
                    "psql \"{}\" -c 'select version()'",
                    database.for_libpq().conninfo
                ),
            )
        })?;
        let facts = doctor::read(&*session).await;
        facts.map_err(|error| (one_line(&error), String::new()))
    };
    match read.await {
        Ok(facts) => Some(facts),
        Err((error, fix)) => {
            let finding = Finding::new(Topic::Reachable, side, Level::Critical, error);
            findings.push(finding.fixed_by(fix));
            None
        }
    }
}

/// What is free on the disk of a server of this machine; None: it is another machine, or it does not say where.
fn free_bytes(server: &Server) -> Option<u64> {
    let directory = server
        .data_directory
        .as_deref()
        .filter(|_| server.is_local)?;
    let disk = nix::sys::statvfs::statvfs(directory).ok()?;
    Some(disk.blocks_available() * disk.fragment_size())
}
