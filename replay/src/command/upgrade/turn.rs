//! The switchover of an upgrade, either way: it is `trunkline switchover`, begun, or gone on with where it was left.

use std::time::{Duration, Instant};

use admin::{
    cli::say,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use serde_json::Value;

use super::{child, place::QUEUE, provider::Provider, side, steps::Upgrade};

/// How long what is in the way of a switchover may take to pass.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// After so long it is told what is waited for.
const TOLD: Duration = Duration::from_secs(5);

/// How often an operation that was given up is begun anew.
const TRIES: usize = 3;

/// How a switchover has ended.
enum Turned {
    /// The node is the provider; how long writes have waited, if that was measured.
    Done(Option<f64>),
    /// It was given up: all is as before.
    GivenUp,
}

impl Upgrade<'_> {
    /// Waits until nothing is in the way of a switchover to a node.
    pub(super) async fn ready(&mut self, to: &str) -> Result<(), Failure> {
        let began = Instant::now();
        let mut told = String::new();
        loop {
            let args = ["switchover", QUEUE, "--to", to, "--dry-run", "--json"];
            let said = self.read("new-replay", ("trunkline", &args)).await?;
            if said.code == Exit::Running as i32 {
                return say(self.common, "a switchover has been begun already");
            }
            let found: Value = match serde_json::from_str(&said.stdout) {
                Ok(found) => found,
                // It is the provider already, or the failure was told on standard error.
                Err(_) if said.code == 0 => return Ok(()),
                Err(_) => return Err(child::failed(&said, "trunkline", &args)),
            };
            let refused = reasons(&found);
            if refused.is_empty() {
                let number = |key: &str| found[key].as_f64();
                let relations = number("relations").unwrap_or_default();
                let pause = number("pause_ms").unwrap_or_default();
                return say(
                    self.common,
                    &format!(
                        "{relations} tables and partitions: writes will wait for about {pause:.0} ms and two ticks"
                    ),
                );
            }
            let why = refused.join("; ");
            if began.elapsed() >= PATIENCE {
                let what = format!("the switchover would be refused: {why}");
                return Err(Failure::message(Exit::TimedOut, what)
                    .with_hint("end the cause, and run the upgrade again: it goes on here"));
            }
            if began.elapsed() >= TOLD && told != why {
                say(self.common, &format!("waiting: {why}"))?;
                told = why;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Switches over, or goes on with what was begun, until the node is the provider.
    pub(super) async fn turn(&mut self, to: Provider) -> Result<Exit, Failure> {
        let notes = &mut self.place.notes;
        match to {
            Provider::New => notes.pause_ms = None,
            Provider::Old | Provider::Nobody => {
                notes.back_pause_ms = None;
                // What was equal is written on another server from now on.
                notes.compared = false;
            }
        }
        self.place.save()?;
        for _ in 0..TRIES {
            // Tables may have been made since the copy; the rows of one that is not replicated would be lost.
            self.nothing_is_missing(to).await?;
            let Turned::Done(pause) = self.switch(to).await? else {
                say(
                    self.common,
                    "the switchover that was begun was given up; it begins anew",
                )?;
                self.ready(to.word()).await?;
                continue;
            };
            let noted = match to {
                Provider::New => &mut self.place.notes.pause_ms,
                Provider::Old | Provider::Nobody => &mut self.place.notes.back_pause_ms,
            };
            *noted = pause;
            let known = *noted;
            self.place.save()?;
            let waited = match known {
                Some(ms) => format!("writes have waited for {:.2} s", ms / 1000.0),
                None => {
                    "how long writes have waited is not known: the command was killed meanwhile"
                        .to_owned()
                }
            };
            say(
                self.common,
                &format!("the {} database is the provider, {waited}", to.word()),
            )?;
            return self.end_operation(to).await;
        }
        let what = format!(
            "the switchover was given up {TRIES} times; {}",
            self.state().await
        );
        Err(Failure::message(Exit::Failed, what))
    }

    async fn state(&self) -> String {
        match self.now().await {
            Ok(now) => format!("the {} database is the provider", now.word()),
            Err(failure) => format!("{:#}", failure.error),
        }
    }

    async fn switch(&mut self, to: Provider) -> Result<Turned, Failure> {
        let drain = self.args.drain.to_string();
        let mut args = vec![
            "switchover",
            QUEUE,
            "--to",
            to.word(),
            "--json",
            "--drain",
            &drain,
        ];
        if let Some(how) = &self.args.verify {
            args.extend(["--verify", how]);
        }
        let mut said = self.read("new-replay", ("trunkline", &args)).await?;
        if said.code == Exit::Running as i32 {
            say(
                self.common,
                "a switchover was left by a command that has died: it goes on",
            )?;
            args = vec!["switchover", QUEUE, "--to", to.word(), "--resume", "--json"];
            if let Some(how) = &self.args.verify {
                args.extend(["--verify", how]);
            }
            said = self.read("new-replay", ("trunkline", &args)).await?;
        }
        let pause = pause(&said.stdout);
        if self.now().await? == to {
            return Ok(Turned::Done(pause));
        }
        match said.code {
            0 => Ok(Turned::GivenUp),
            _ => Err(child::failed(&said, "trunkline", &args)),
        }
    }

    /// Gives up a switchover to the other database that a killed command has left, as long as nothing is promoted; one
    /// that has been promoted is ended. To go on with it would bring about what nobody has asked for now.
    pub(super) async fn settle(&mut self, to: Provider) -> Result<(), Failure> {
        for begun in side::running(&self.place).await? {
            if begun.to == to {
                continue;
            }
            if begun.is_promoted {
                self.start_all().await?;
                self.end_operation(begun.to).await?;
                continue;
            }
            let what = format!(
                "a switchover to the {} database was begun and has come to nothing: it is given up",
                begun.to.word()
            );
            say(self.common, &what)?;
            let args = ["switchover", QUEUE, "--to", begun.to.word(), "--abort"];
            self.on("new-replay", &[], ("trunkline", &args)).await?;
        }
        Ok(())
    }

    /// Ends what is left of a switchover after the promotion: the other database follows, or cannot.
    pub(super) async fn end_operation(&mut self, now: Provider) -> Result<Exit, Failure> {
        let list = ["switchover", QUEUE, "--to", now.word(), "--dry-run"];
        let left = self.read("new-replay", ("trunkline", &list)).await?;
        if left.code != Exit::Running as i32 {
            return Ok(Exit::Done);
        }
        let mut args = vec![
            "switchover",
            QUEUE,
            "--to",
            now.word(),
            "--resume",
            "--json",
        ];
        if self.place.notes.no_way_back {
            // The old database cannot follow, which was told at the beginning.
            args.push("--force");
        }
        let ended = self.read("new-replay", ("trunkline", &args)).await?;
        match ended.code {
            0 => Ok(Exit::Done),
            1 => Ok(Exit::Part),
            _ => Err(child::failed(&ended, "trunkline", &args)),
        }
    }
}

/// Why a switchover would be refused, as its JSON says.
fn reasons(found: &Value) -> Vec<String> {
    let refused = found["refused"].as_array();
    let reasons = refused.into_iter().flatten();
    reasons
        .map(|one| one["reason"].as_str().unwrap_or("unknown").to_owned())
        .collect()
}

/// How long writes have waited, as the JSON of a switchover says.
fn pause(said: &str) -> Option<f64> {
    let value: Value = serde_json::from_str(said).context("no JSON").ok()?;
    value["pause_ms"].as_f64()
}
