//! What the check `versions` finds: whether what is installed fits this program. Reads the databases' own account.

use admin::config::ReplayConfig;
use admin::exit::one_line;
use sql::connect::Session;
use sql::installed::{self, Age, Installed};

use super::finding::{Check, Finding, Level};

/// Of a provider.
pub(super) async fn of(session: &Session, database: &str) -> Vec<Finding> {
    match installed::components(&**session).await {
        Ok(components) => findings(database, &components, "ticker install"),
        Err(error) => vec![unknown(database, &error)],
    }
}

/// Of each subscriber of a replay.
pub(super) async fn of_subscribers(replay: &ReplayConfig) -> Vec<Finding> {
    let purpose = format!("trunkline check {}", replay.daemon.job_name);
    let mut found = Vec::new();
    for subscriber in &replay.subscribers {
        let of = &subscriber.consumer;
        match subscriber.db.connect(&purpose).await {
            Err(error) => found.push(unknown(of, &error)),
            Ok(session) => match installed::components(&*session).await {
                Ok(components) => found.extend(findings(of, &components, "replay install")),
                Err(error) => found.push(unknown(of, &error)),
            },
        }
    }
    found
}

fn unknown(of: &str, error: &(dyn std::error::Error + 'static)) -> Finding {
    Finding::new(
        Check::Versions,
        of.to_owned(),
        Level::Unknown,
        one_line(error),
    )
}

fn findings(of: &str, components: &[Installed], command: &str) -> Vec<Finding> {
    if components.is_empty() {
        let text = format!("nothing is installed, run {command}");
        return vec![Finding::new(
            Check::Versions,
            of.to_owned(),
            Level::Critical,
            text,
        )];
    }
    let finding = |one: &Installed| {
        let made = format!("made by {}", one.program_version);
        let remedy = match &one.extension {
            Some(extension) => format!("alter extension {extension} update"),
            None => command.to_owned(),
        };
        let (level, message) = match one.age {
            Age::Same => (Level::Ok, made),
            Age::Older | Age::Other => (
                Level::Warning,
                format!("{made}, not by this version: run {remedy}"),
            ),
            Age::Newer => (
                Level::Critical,
                format!("{made}, which is newer than these programs: upgrade them"),
            ),
        };
        let of = format!("{of}/{}", one.component);
        Finding::new(Check::Versions, of, level, message)
    };
    components.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_depends_on_who_made_it() {
        let one = |age, extension: Option<&str>| {
            let installed = Installed {
                component: "pgq".into(),
                age,
                program_version: "0.0.1".into(),
                extension: extension.map(str::to_owned),
            };
            findings("db", &[installed], "ticker install").remove(0)
        };
        assert_eq!(one(Age::Same, None).status, Level::Ok);
        assert!(one(Age::Older, None).message.contains("run ticker install"));
        let extension = one(Age::Other, Some("pgq"));
        assert_eq!(extension.status, Level::Warning);
        assert!(extension.message.contains("alter extension pgq update"));
        assert_eq!(one(Age::Newer, None).status, Level::Critical);
        assert_eq!(findings("db", &[], "x")[0].status, Level::Critical);
    }
}
