//! `replay base`: makes a base of an archive.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use sql::name::TableName;

use super::{Job, archive::opened::chosen};
use crate::base::{From, Making, pace::Pace};

/// The arguments of `base`.
#[derive(Debug, clap::Args)]
pub(crate) struct BaseArgs {
    /// The archive, where the config has several
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
    /// Where rows are read: a subscriber's name, or provider; else as base_from of the config says
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Only this table; can be given several times
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<TableName>,
    /// What the list calls it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Streams that read at the same time
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Give up waiting for the archive after this time, with exit code 4
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
}

/// Runs the command.
pub(crate) async fn run(job: &Job, args: &BaseArgs) -> Result<Exit, Failure> {
    let archive = chosen(job, args.subscriber.as_deref())?;
    let from = args.from.as_deref().or(archive.base_from.as_deref());
    let limit = args.timeout.map(Duration::try_from_secs_f64).transpose();
    let limit =
        limit.map_err(|error| Failure::message(Exit::Usage, format!("--timeout: {error}")))?;
    let making = Making {
        config: &job.config,
        archive,
        from: From::named(&job.config, archive, from).await?,
        tables: &args.tables,
        whole: false,
        label: args.label.clone(),
        streams: usize::from(args.jobs),
        pace: Pace::new(archive.base_rate).map(Into::into),
        deadline: limit.map(|limit| Instant::now() + limit),
    };
    let made = making.make().await?;
    for one in &made.missing {
        let table = TableName::new(one.schema.clone(), one.name.clone());
        eprintln!("not in the base: {table}: {}", one.why);
    }
    job.say(&format!(
        "archive {}: base {}: {} tables, {} rows, {} bytes, off {}",
        archive.name,
        made.base,
        made.tables.len(),
        made.rows(),
        made.bytes(),
        made.source
    ))?;
    let is_as_asked = match args.tables.is_empty() {
        true => made.is_complete(),
        false => args
            .tables
            .iter()
            .all(|table| made.tables.iter().any(|one| one.table() == *table)),
    };
    Ok(match is_as_asked {
        true => Exit::Done,
        false => Exit::Part,
    })
}
