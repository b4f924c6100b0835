//! What two databases are judged by together. Pure: facts in, findings out.

use std::collections::{HashMap, HashSet};

use sql::doctor::{Facts, Kind, Relation, of_database};
use sql::name::quote_ident;

use super::finding::{Finding, Side, Topic};
use super::judge::names;
use crate::check::Level;

/// Judges a provider and the database that is to follow it.
///
/// `free`: bytes on the disk of the latter, if they could be seen.
pub(super) fn judge(from: &Facts, to: &Facts, free: Option<u64>, findings: &mut Vec<Finding>) {
    versions(from, to, findings);
    roles_and_extensions(from, to, findings);
    beside_the_schema(from, to, findings);
    room(from, to, free, findings);
    let has_tables = to.relations.iter().any(|one| one.kind != Kind::Foreign);
    if has_tables {
        both_sides(from, to, findings);
    } else {
        let what =
            "the database has no tables: their schema is made by replay upgrade, or by pg_dump";
        findings.push(Finding::new(Topic::Tables, Side::To, Level::Ok, what));
    }
}

fn versions(from: &Facts, to: &Facts, findings: &mut Vec<Finding>) {
    let (old, new) = (&from.server, &to.server);
    if new.major < old.major {
        let what = format!(
            "PostgreSQL {} is older than {}, that of the other side: its schema may not be understood",
            new.major, old.major
        );
        findings.push(Finding::new(Topic::Version, Side::To, Level::Warning, what));
    }
    if new.encoding != old.encoding {
        let what = format!(
            "the encoding is {}, and {} on the other side",
            new.encoding, old.encoding
        );
        let fix = format!(
            "create database {} encoding '{}' template template0",
            quote_ident(&new.database),
            old.encoding
        );
        findings.push(Finding::new(Topic::Settings, Side::To, Level::Warning, what).fixed_by(fix));
    }
    if new.collation != old.collation {
        let what = format!(
            "texts are sorted as in {}, and as in {} on the other side",
            new.collation, old.collation
        );
        let fix = format!(
            "create database {} lc_collate '{}' template template0",
            quote_ident(&new.database),
            old.collation
        );
        findings.push(Finding::new(Topic::Settings, Side::To, Level::Warning, what).fixed_by(fix));
    }
    if new.major >= 12 {
        let removed = from.relations.iter().flat_map(|one| {
            let columns = one.old_types.iter();
            columns.map(|column| format!("{} {column}", one.name))
        });
        let removed: Vec<String> = removed.collect();
        let first = from.relations.iter().find(|one| !one.old_types.is_empty());
        if let Some(Relation { name: table, .. }) = first {
            let what = "columns of types that servers from 12 on do not have";
            let fix = format!("alter table {table} alter column ... type timestamptz");
            let finding = Finding::new(Topic::Types, Side::From, Level::Critical, what);
            findings.push(finding.about(removed).fixed_by(fix));
        }
    }
}

fn lacking(wanted: &[String], there: &[String]) -> Vec<String> {
    let there: HashSet<&String> = there.iter().collect();
    let lacking = wanted.iter().filter(|one| !there.contains(one));
    lacking.cloned().collect()
}

fn roles_and_extensions(from: &Facts, to: &Facts, findings: &mut Vec<Finding>) {
    let roles = lacking(&from.roles_used, &to.roles);
    if !roles.is_empty() {
        let what = "roles that own objects or have rights, and are not there";
        let fix = "pg_dumpall --roles-only --dbname=FROM | psql TO -- without superuser: --no-role-passwords, too";
        let finding = Finding::new(Topic::Roles, Side::To, Level::Critical, what);
        findings.push(finding.about(roles).fixed_by(fix));
    }
    let mut wanted = lacking(&from.extensions, &to.extensions);
    match &to.available {
        Ok(available) => wanted = lacking(&wanted, available),
        Err(_) if wanted.is_empty() => {}
        Err(why) => {
            let what = format!("whether these extensions can be made is not seen ({why})");
            let fix = format!("create extension {}", quote_ident(&wanted[0]));
            let finding = Finding::new(Topic::Extensions, Side::To, Level::Unknown, what);
            findings.push(finding.about(std::mem::take(&mut wanted)).fixed_by(fix));
        }
    }
    let extensions = wanted;
    if !extensions.is_empty() {
        let what = "extensions that the server has no files of";
        let fix = format!(
            "install the package that has {} for PostgreSQL {}",
            extensions[0], to.server.major
        );
        let finding = Finding::new(Topic::Extensions, Side::To, Level::Critical, what);
        findings.push(finding.about(extensions).fixed_by(fix));
    }
    if !from.server.event_triggers.is_empty() && !to.server.superuser {
        let what = "event triggers, which only a superuser can make there";
        let finding = Finding::new(Topic::Triggers, Side::To, Level::Warning, what);
        let fix = "create event trigger ... -- by a superuser, if they are wanted there";
        findings.push(
            finding
                .about(from.server.event_triggers.clone())
                .fixed_by(fix),
        );
    }
}

/// What no dump of a schema has, and no trigger sees.
fn beside_the_schema(from: &Facts, to: &Facts, findings: &mut Vec<Finding>) {
    let commands = of_database(from, to);
    if let Some(first) = commands.first() {
        let what = "settings of the database, or rights to it, that differ on the other side and are not carried over";
        let finding = Finding::new(Topic::Settings, Side::To, Level::Warning, what);
        findings.push(finding.fixed_by(first.clone()).about(commands));
    }
    if let Some(first) = from.extension_rows.first() {
        let what = "tables of extensions that have rows: these rows are not carried over";
        let fix = format!(
            "pg_dump --data-only -t {first} FROM | psql TO -- after the extension is there"
        );
        let finding = Finding::new(Topic::Extensions, Side::From, Level::Warning, what);
        findings.push(finding.about(from.extension_rows.clone()).fixed_by(fix));
    }
}

/// A server does not say how much room its disk has, so only a disk of this machine is seen.
fn room(from: &Facts, to: &Facts, free: Option<u64>, findings: &mut Vec<Finding>) {
    let needed = from.server.bytes.saturating_sub(to.server.bytes);
    // A database that is larger already needs nothing.
    let needed = u64::try_from(needed).unwrap_or_default();
    let mb = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    let needs = format!(
        "a copy takes about {} there, and the changes that come meanwhile wait on the other side",
        mb(needed)
    );
    let (level, what) = match free {
        None => (
            Level::Unknown,
            format!("{needs}; how much room the disks have is not seen from here"),
        ),
        Some(free) if free < needed => (
            Level::Critical,
            format!("{needs}; its disk has {} free", mb(free)),
        ),
        Some(free) if free / 2 < needed => (
            Level::Warning,
            format!("{needs}; its disk has {} free", mb(free)),
        ),
        Some(free) => {
            let what = format!("{needs}; its disk has {} free", mb(free));
            findings.push(Finding::new(Topic::Room, Side::To, Level::Ok, what));
            return;
        }
    };
    let fix = "df -h DATA_DIRECTORY -- on that machine, as `show data_directory` names it";
    findings.push(Finding::new(Topic::Room, Side::To, level, what).fixed_by(fix));
}

fn both_sides(from: &Facts, to: &Facts, findings: &mut Vec<Finding>) {
    let types = lacking(&from.types_used, &to.types);
    if !types.is_empty() {
        let what = "types of columns that are not there";
        let fix = "pg_dump --schema-only FROM | psql TO -- or: replay add --create";
        let finding = Finding::new(Topic::Types, Side::To, Level::Warning, what);
        findings.push(finding.about(types).fixed_by(fix));
    }
    let there: HashMap<&str, &Relation> = to
        .relations
        .iter()
        .map(|one| (one.name.as_str(), one))
        .collect();
    let is_table = |one: &Relation| matches!(one.kind, Kind::Table | Kind::Partitioned);
    let missing = names(&from.relations, |one| {
        is_table(one) && !one.is_partition && !there.contains_key(one.name.as_str())
    });
    if !missing.is_empty() {
        let what = "tables that are not there";
        let fix = "replay add --create --all -- makes them, without triggers and rights";
        let finding = Finding::new(Topic::Tables, Side::To, Level::Warning, what);
        findings.push(finding.about(missing).fixed_by(fix));
    }
    for (side, one, other) in pairs(from, &there) {
        let only = lacking(&one.triggers, &other.triggers);
        if only.is_empty() {
            continue;
        }
        let (what, fix) = match side {
            Side::From => (
                format!("triggers of {} that the other side does not have", one.name),
                format!(
                    "pg_dump --schema-only --section=post-data -t {} FROM",
                    one.name
                ),
            ),
            Side::To => (
                format!(
                    "triggers of {} that the other side does not have: they do not fire for replay unless they are \
                     ENABLE ALWAYS or REPLICA",
                    one.name
                ),
                format!("drop trigger {} on {}", quote_ident(&only[0]), one.name),
            ),
        };
        let finding = Finding::new(Topic::Triggers, side, Level::Warning, what);
        findings.push(finding.about(only).fixed_by(fix));
    }
}

/// Each table that both sides have, seen from either side.
fn pairs<'a>(
    from: &'a Facts,
    there: &HashMap<&str, &'a Relation>,
) -> Vec<(Side, &'a Relation, &'a Relation)> {
    let both = from.relations.iter().filter_map(|one| {
        let other = there.get(one.name.as_str())?;
        Some([(Side::From, one, *other), (Side::To, *other, one)])
    });
    both.flatten().collect()
}

#[cfg(test)]
mod tests;
