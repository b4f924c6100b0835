//! A server that is made for a proof, in a directory of its own, and removed again.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use admin::exit::{Exit, Failure};
use anyhow::{Context as _, anyhow};
use sql::name::quote_literal;
use tempfile::TempDir;
use tokio::process::Command;

/// The role that the server's files belong to, in the server.
const SUPERUSER: &str = "trunkline";

/// A running server. It is ended, and its files are removed, when it is dropped.
pub(crate) struct Server {
    directory: TempDir,
    programs: PathBuf,
    runs: bool,
}

impl Server {
    /// Makes a server with the programs of a directory, and starts it; it listens on a socket in its own directory.
    ///
    /// # Errors
    /// There are no programs of a server, or they refuse, as they do for root.
    pub(crate) async fn start(programs: &Path) -> Result<Server, Failure> {
        if !programs.join("initdb").exists() {
            let text = format!(
                "there is no initdb in {}, beside pg_dump: it takes a server to restore into",
                programs.display()
            );
            return Err(Failure::message(Exit::Failed, text)
                .with_hint("install the package postgresql of that version on this host"));
        }
        let directory = TempDir::with_prefix("trunkline-verify-");
        let mut server = Server {
            directory: directory.context("could not make a directory for a server")?,
            programs: programs.to_owned(),
            runs: false,
        };
        let data = server.data();
        let mut initdb = server.command("initdb");
        initdb
            .args([
                "-U",
                SUPERUSER,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
                "-D",
            ])
            .arg(&data);
        finish(initdb, "initdb").await?;
        let socket = server.directory.path().display().to_string();
        // Each setting is a word of a command line that a shell reads.
        let words = [
            format!("unix_socket_directories={socket}"),
            "listen_addresses=".into(),
            "port=5432".into(),
            "fsync=off".into(),
            "max_wal_size=4GB".into(),
        ];
        let options: Vec<String> = words
            .iter()
            .map(|word| format!("-c {}", quote_literal(word)))
            .collect();
        let mut pg_ctl = server.command("pg_ctl");
        pg_ctl
            .args(["start", "-w", "-s", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(server.directory.path().join("log"))
            .args(["-o", &options.join(" ")]);
        server.runs = true;
        finish(pg_ctl, "pg_ctl").await?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// The connection string of a database of it.
    pub(crate) fn conninfo(&self, database: &str) -> String {
        format!(
            "host={} port=5432 user={SUPERUSER} dbname={database}",
            self.directory.path().display()
        )
    }

    /// Ends it, and removes its files.
    ///
    /// # Errors
    /// It could not be ended.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl
            .args(["stop", "-w", "-s", "-m", "immediate", "-D"])
            .arg(self.data());
        finish(pg_ctl, "pg_ctl").await?;
        self.runs = false;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.runs {
            // Whoever drops it has an error to tell that says more than one of this.
            let _ = std::process::Command::new(self.programs.join("pg_ctl"))
                .args(["stop", "-w", "-s", "-m", "immediate", "-D"])
                .arg(self.data())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Runs a program to its end.
async fn finish(mut command: Command, name: &str) -> Result<(), Failure> {
    // The server that pg_ctl starts keeps what it inherits, so nothing is read of it but a file.
    let said = tempfile::tempfile().context("could not make a temporary file")?;
    let errors = said.try_clone().context("could not share a file")?;
    let status = command
        .stderr(errors)
        .status()
        .await
        .with_context(|| format!("could not run {name}"))?;
    if status.success() {
        return Ok(());
    }
    let text = std::io::read_to_string(rewound(said)?).context("could not read an error")?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    Err(anyhow!("{name} failed: {}", lines.join("; ")).into())
}

fn rewound(mut file: std::fs::File) -> anyhow::Result<std::fs::File> {
    use std::io::Seek as _;
    file.rewind().context("could not read an error")?;
    Ok(file)
}
