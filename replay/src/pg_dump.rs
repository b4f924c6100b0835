//! Finds a `pg_dump` that knows the provider's version, and runs it and its `pg_restore`. Their output goes into files
//! without a name, so that nothing is left behind, however this process ends.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use admin::exit::{Exit, Failure};
use anyhow::{Context as _, anyhow, bail};
use sql::{connect::Libpq, name::TableName};
use tokio::process::Command;

/// How long `pg_dump` waits for a table that another session alters.
const LOCK_WAIT_MS: u32 = 60_000;

/// Directories of the versions, as Debian and Red Hat have them.
const PARENTS: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// A `pg_dump` with the `pg_restore` beside it.
#[derive(Clone, Debug)]
pub(crate) struct PgDump {
    directory: PathBuf,
    major: u32,
}

impl PgDump {
    /// The oldest `pg_dump` that is at least as new as the provider: a subscriber understands most of its output.
    /// Error: the package that has such a `pg_dump`.
    /// `what`: what needs it, for the error.
    pub(crate) async fn find(provider_major: u32, what: &str) -> Result<PgDump, Failure> {
        let mut found: Vec<PgDump> = Vec::new();
        for directory in directories() {
            if let Some(major) = major_of(&directory.join("pg_dump")).await
                && directory.join("pg_restore").exists()
            {
                found.push(PgDump { directory, major });
            }
        }
        let newest = found.iter().map(|one| one.major).max();
        let fits = found.into_iter().filter(|one| one.major >= provider_major);
        fits.min_by_key(|one| one.major).ok_or_else(|| {
            let seen = newest.map_or_else(
                || "none was found".to_owned(),
                |major| format!("the newest one found is of version {major}"),
            );
            Failure::message(
                Exit::Failed,
                format!("{what} needs a pg_dump of version {provider_major} or newer: {seen}"),
            )
            .with_hint(format!(
                "install the package postgresql-client-{provider_major}"
            ))
        })
    }

    /// The directory of the programs, where those of a server may be, too.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The version of `pg_dump`: older ones do not read what it has written.
    pub(crate) fn major(&self) -> u32 {
        self.major
    }

    /// Dumps the schema of a database, as an exported snapshot sees it or as it is now, without some tables. The
    /// password, if there is one, goes into the child's environment, because everybody can read arguments.
    pub(crate) async fn dump(
        &self,
        from: &Libpq,
        application_name: &str,
        snapshot: Option<&str>,
        without_tables: &[TableName],
    ) -> anyhow::Result<File> {
        let without: Vec<String> = without_tables.iter().map(pattern).collect();
        let archive = tempfile::tempfile().context("could not make a temporary file")?;
        let mut command = Command::new(self.directory.join("pg_dump"));
        command
            .args(["--schema-only", "--format=custom", "--encoding=UTF8"])
            .arg(format!("--lock-wait-timeout={LOCK_WAIT_MS}"))
            .args(snapshot.map(|snapshot| format!("--snapshot={snapshot}")))
            .args([
                "-N",
                "pgq",
                "-N",
                "pgq_ext",
                "-N",
                "pgq_coop",
                "-N",
                "trunkline",
            ])
            .args(without.iter().flat_map(|table| ["-T", table]))
            .arg("--dbname")
            .arg(&from.conninfo)
            .env("PGAPPNAME", application_name)
            .stdout(archive.try_clone().context("could not share a file")?);
        if let Some(password) = &from.password {
            command.env("PGPASSWORD", password);
        }
        finish(command, "pg_dump").await?;
        Ok(archive)
    }

    /// The archive's list, with what each entry depends on.
    pub(crate) async fn list(&self, archive: &File) -> anyhow::Result<String> {
        let mut command = Command::new(self.directory.join("pg_restore"));
        command.args(["--list", "--verbose"]).arg(path_of(archive));
        written(command).await
    }

    /// The list of a section of the archive, one line an entry.
    pub(crate) async fn list_section(
        &self,
        archive: &File,
        section: &str,
    ) -> anyhow::Result<String> {
        let mut command = Command::new(self.directory.join("pg_restore"));
        command
            .arg("--list")
            .arg(format!("--section={section}"))
            .arg(path_of(archive));
        written(command).await
    }

    /// The SQL of some entries, in this order, without owners and rights.
    pub(crate) async fn script(&self, archive: &File, entries: &[u32]) -> anyhow::Result<String> {
        self.sql(archive, entries, Owners::Left).await
    }

    /// The SQL of some entries, in this order.
    pub(crate) async fn sql(
        &self,
        archive: &File,
        entries: &[u32],
        owners: Owners,
    ) -> anyhow::Result<String> {
        let mut list = tempfile::tempfile().context("could not make a temporary file")?;
        for number in entries {
            writeln!(list, "{number};").context("could not write a temporary file")?;
        }
        let mut command = Command::new(self.directory.join("pg_restore"));
        match owners {
            Owners::Left => {
                command.args(["--no-owner", "--no-acl"]);
            }
            Owners::Kept => {}
        }
        command
            .args(["--no-tablespaces", "--no-security-labels"])
            .arg("--use-list")
            .arg(path_of(&list))
            .args(["--file", "/dev/stdout"])
            .arg(path_of(archive));
        written(command).await
    }
}

/// What becomes of owners and rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Whoever runs the SQL owns what it makes.
    Left,
    /// They are as they were.
    Kept,
}

/// The settings before the entries, as `pg_dump` itself would write them. The archive's own settings are left out,
/// because an older server does not know all of them.
pub(crate) const SESSION: &str = "set local check_function_bodies = off; set local xmloption = content; \
     set local client_min_messages = warning; set local standard_conforming_strings = on; \
     set local search_path = ''; ";

/// The entries of `pg_restore`'s script, without the settings before and the comment behind them, and without settings
/// that a server of this version does not know.
pub(crate) fn for_server(script: &str, major: u32) -> String {
    // If one of the two borders is not found nothing is cut there, so that no entry is lost.
    let entries = script
        .rsplit_once("\n--\n-- PostgreSQL database dump complete\n")
        .map_or(script, |(entries, _)| entries);
    let entries = entries
        .find("\n--\n-- Name: ")
        .and_then(|start| entries.get(start..))
        .unwrap_or(entries);
    if major >= 12 {
        return entries.to_owned();
    }
    entries.replace("\nSET default_table_access_method = heap;\n", "\n")
}
/// A table's name as a pattern that stands for this table alone.
fn pattern(table: &TableName) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

/// A path under which a child can open a file that has no name.
fn path_of(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// Runs a command and gives what it has written.
async fn written(mut command: Command) -> anyhow::Result<String> {
    let mut output = tempfile::tempfile().context("could not make a temporary file")?;
    command.stdout(output.try_clone().context("could not share a file")?);
    finish(command, "pg_restore").await?;
    let mut text = String::new();
    output
        .rewind()
        .and_then(|()| output.read_to_string(&mut text))
        .context("could not read what pg_restore has written")?;
    Ok(text)
}

async fn finish(mut command: Command, name: &str) -> anyhow::Result<()> {
    let child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not run {name}"))?;
    let ended = child
        .wait_with_output()
        .await
        .with_context(|| format!("could not wait for {name}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    if lines.is_empty() {
        bail!("{name} failed ({})", ended.status);
    }
    Err(anyhow!("{}", lines.join("; ")))
}

/// The directories to search. A version's own directory comes before PATH, where Debian has a script that chooses a
/// version by itself.
fn directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for (parent, prefix) in PARENTS {
        let Ok(there) = std::fs::read_dir(parent) else {
            continue;
        };
        let versions = there.filter_map(Result::ok).filter(|entry| {
            let name = entry.file_name();
            let version = name.to_string_lossy();
            version
                .strip_prefix(prefix)
                .is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
        });
        directories.extend(versions.map(|entry| entry.path().join("bin")));
    }
    if let Some(path) = std::env::var_os("PATH") {
        directories.extend(std::env::split_paths(&path));
    }
    directories
}

/// The major version of a `pg_dump`; none if the program does not exist or is no `pg_dump`.
async fn major_of(program: &Path) -> Option<u32> {
    if !program.exists() {
        return None;
    }
    let mut command = Command::new(program);
    let output = command.arg("--version").kill_on_drop(true).output().await;
    version_in(&String::from_utf8_lossy(&output.ok()?.stdout))
}

/// Reads `pg_dump (PostgreSQL) 15.4 (Debian ...)`, also of a beta, and of 9.6.
fn version_in(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_packager_writes_them() {
        assert_eq!(
            version_in("pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)\n"),
            Some(15)
        );
        assert_eq!(version_in("pg_dump (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(version_in("pg_dump (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(version_in("busybox\n"), None);
    }

    #[test]
    fn only_the_entries_of_a_script_are_run() {
        let script = "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\nSET transaction_timeout = 0;\n\
             \n--\n-- Name: t; Type: TABLE; Schema: public; Owner: -\n--\n\nSET default_table_access_method = heap;\n\n\
             create table t ();\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n";
        let newer = for_server(script, 12);
        assert!(
            newer.contains("create table t ();") && newer.contains("= heap"),
            "{newer}"
        );
        assert!(
            !newer.contains("restrict") && !newer.contains("transaction_timeout"),
            "{newer}"
        );
        assert!(!for_server(script, 11).contains("heap"));
    }
}
