//! `ticker install`: schemas, roles and queues in each database of the config.

use admin::config::{Databases, TickerConfig};
use admin::exit::{Exit, Failure};
use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use sql::install::{Component, Outcome, OverPgq, Report};

use crate::databases;
use crate::trouble::Trouble;

const COMPONENTS: [Component; 5] = [
    Component::Pgq,
    Component::Coop,
    Component::Ext,
    Component::Provider,
    Component::Member,
];

/// Prints the SQL of a fresh install.
pub(crate) fn print_sql() -> Result<Exit, Failure> {
    let script = sql::install::print_sql(&COMPONENTS).map_err(anyhow::Error::from)?;
    admin::output::print(&script)?;
    Ok(Exit::Done)
}

/// Installs into every database of the config; an error in one does not stop the others.
///
/// # Errors
/// The only database failed, or all failed. [`Exit::Part`]: some failed; each was named on standard error.
pub(crate) async fn run(config: &TickerConfig, over: OverPgq) -> Result<Exit, Failure> {
    let targets = databases::named(config)
        .await
        .map_err(|trouble| Failure::from(anyhow::Error::from(trouble)))?;
    if targets.is_empty() && config.databases == Databases::All {
        return Err(
            Failure::message(Exit::Failed, "no database of this server has the queue")
                .with_hint("name the databases to install it in: databases = [\"db1\"]"),
        );
    }
    let mut failures = Vec::new();
    for target in &targets {
        match one(target, config, over).await {
            Ok(text) => admin::output::print(&text)?,
            Err(trouble) => failures.push((target.dbname(), failure(target, trouble))),
        }
    }
    let Some((_, last)) = failures.pop() else {
        return Ok(Exit::Done);
    };
    let all_failed = failures.len() + 1 == targets.len();
    for (_, failure) in &failures {
        failure.print();
    }
    if all_failed {
        return Err(last);
    }
    last.print();
    Ok(Exit::Part)
}

fn failure(target: &ConnectInfo, trouble: Trouble) -> Failure {
    let name = target.dbname();
    let foreign = matches!(trouble, Trouble::Sql(sql::Error::ForeignSchema { .. }));
    let failure = Failure::from(
        anyhow::Error::from(trouble).context(format!("could not install in database {name}")),
    );
    if foreign {
        failure.with_hint(
            "if it is PgQ's: ticker install --upgrade-from-pgq makes it Trunkline's, with its queues and consumers; \
             anything else has to be renamed or dropped",
        )
    } else {
        failure
    }
}

/// Installs into one database and makes its queues; prints what was done, a line each.
async fn one(
    target: &ConnectInfo,
    config: &TickerConfig,
    over: OverPgq,
) -> Result<String, Trouble> {
    let name = target.dbname();
    let purpose = ApplicationName::new(Purpose::Install, &config.daemon.job_name);
    let mut session = target.connect(&purpose).await?;
    let report = sql::install::install_over(&mut session, &COMPONENTS, over).await?;
    let mut text = format!("database {name}: {}\n", summary(&report));
    for queue in &config.queues {
        let made = sql::queue::create(&*session, queue).await?;
        let what = if made { "made" } else { "there already" };
        text.push_str(&format!("database {name}: queue {queue} {what}\n"));
    }
    Ok(text)
}

fn summary(report: &Report) -> &'static str {
    let any = |wanted| {
        report
            .components
            .iter()
            .any(|(_, outcome)| *outcome == wanted)
    };
    if !report.changed {
        "nothing to do"
    } else if report.removed_dump {
        "installed, after removing objects that came with a dump"
    } else if any(Outcome::TakenOver) {
        "installed, with the queues and consumers of PgQ"
    } else if any(Outcome::Upgraded) {
        "upgraded"
    } else {
        "installed"
    }
}
