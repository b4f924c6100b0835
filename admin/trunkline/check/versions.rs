//! The findings of the check `versions`: whether what is installed fits this program. Reads what the databases record.

use admin::config::ReplayConfig;
use admin::status::Asking;
use admin::status::verdict::Unasked;
use futures::future::join_all;
use sql::connect::{ApplicationName, Purpose, Session};
use sql::install::installed::{self, Age, Installed};

use super::finding::{Check, Finding, Level};

/// The findings about a provider.
pub(super) async fn of(session: &Session, database: &str, asking: &Asking) -> Vec<Finding> {
    let asked = asking.ask(async { Ok(installed::components(&**session).await?) });
    match asked.await {
        Ok(components) => findings(database, &components, "ticker install"),
        Err(unasked) => vec![unknown(database, unasked)],
    }
}

/// The findings about each subscriber of a replay. If `told`, another check reports the subscribers that cannot be
/// asked, and they are left out here.
pub(super) async fn of_subscribers(
    replay: &ReplayConfig,
    asking: &Asking,
    told: bool,
) -> Vec<Finding> {
    let purpose = ApplicationName::new(Purpose::Check, &replay.daemon.job_name);
    let asked = replay.subscribers.iter().map(|subscriber| {
        let purpose = &purpose;
        async move {
            let components = asking.ask(async {
                let session = subscriber.db.connect(purpose).await?;
                Ok(installed::components(&*session).await?)
            });
            match components.await {
                Ok(found) => findings(&subscriber.consumer, &found, "replay install"),
                Err(_) if told => Vec::new(),
                Err(unasked) => vec![unknown(&subscriber.consumer, unasked)],
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn unknown(of: &str, unasked: Unasked) -> Finding {
    Finding::new(
        Check::Versions,
        of.to_owned(),
        Level::Unknown,
        unasked.error,
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
