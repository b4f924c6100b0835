//! The schema of the old database, made on the new server in one transaction: a kill leaves nothing of it.

use std::fmt::Write as _;

use admin::exit::{self, Exit, Failure};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose},
    doctor::Facts,
    server,
};

use super::side::bare;
use crate::{
    pg_dump::{Owners, PgDump, SESSION, for_server},
    restore::entries::{Entry, Kind, entries, of_ours},
};

/// Kinds of objects that are not made: who gets the changes of a database, and where it gets its own from, is for the
/// owner to say again.
const NOT_MADE: [&str; 4] = [
    "PUBLICATION",
    "SUBSCRIPTION",
    "PUBLICATION TABLE",
    "SUBSCRIPTION TABLE",
];

/// Makes the schema; gives what was left out. `old`, `new`: what the databases say of themselves.
pub(super) async fn make(
    (old, from): (&ConnectInfo, &Facts),
    (new, to): (&ConnectInfo, &Facts),
    owners: Owners,
) -> Result<Vec<String>, Failure> {
    let pg_dump = PgDump::find(from.server.major, "an upgrade").await?;
    let name = ApplicationName::new(Purpose::PgDump, "upgrade");
    let dump = pg_dump
        .dump(&old.for_libpq(), name.as_str(), None, &[])
        .await;
    let dump = dump.context("could not dump the schema")?;
    let list = |section| pg_dump.list_section(&dump, section);
    let (before, after) = (list("pre-data").await?, list("post-data").await?);
    let unknown = "pg_restore lists unknown entries";
    let mut wanted = entries(&before).context(unknown)?;
    let mut left_out = Vec::new();
    wanted.retain(|entry| is_wanted(entry, to, &mut left_out));
    let mut numbers: Vec<u32> = wanted.iter().map(|entry| entry.number).collect();
    let mut after = entries(&after).context(unknown)?;
    after.retain(|entry| is_wanted(entry, to, &mut left_out));
    for entry in after {
        if entry.kind == Kind::Trigger {
            let script = pg_dump.sql(&dump, &[entry.number], owners).await?;
            match of_ours(&script) {
                Some("trunkline") => continue,
                Some(schema) => {
                    left_out.push(format!("{}: it calls a function of {schema}", entry.label));
                    continue;
                }
                None => {}
            }
        }
        numbers.push(entry.number);
    }
    let script = pg_dump.sql(&dump, &numbers, owners).await?;
    let session = bare(new).await?;
    let major = server::major(&*session).await?;
    let mut text = format!("begin; {SESSION}\n{}", for_server(&script, major));
    let _ = write!(text, "\n; commit");
    let made = session.batch_execute(&text).await;
    made.map_err(|error| {
        let text = exit::one_line(&error);
        let context = "the schema could not be made, nothing was";
        Failure::new(Exit::Failed, anyhow!("{text}").context(context)).with_hint(
            "end the cause (trunkline doctor names roles and extensions that are missing; --no-owner gives all to \
             the role), or make the schema by hand: the upgrade goes on with the tables that are there",
        )
    })?;
    Ok(left_out)
}

/// Whether an entry is to be made.
fn is_wanted(entry: &Entry, to: &Facts, left_out: &mut Vec<String>) -> bool {
    let label = entry.label.as_str();
    // It is there, and belongs to the server.
    if label.starts_with("COMMENT - EXTENSION plpgsql") || label.starts_with("EXTENSION - plpgsql")
    {
        return false;
    }
    let is_not_made = NOT_MADE
        .iter()
        .any(|kind| label.starts_with(&format!("{kind} ")));
    let is_event = label.starts_with("EVENT TRIGGER ");
    if is_not_made || is_event && !to.server.superuser {
        // Those of capture are no loss.
        if !label.contains(" trunkline_") {
            left_out.push(label.to_owned());
        }
        return false;
    }
    true
}
