//! The steps of an upgrade. Each may be repeated, and is as soon as it is not known to be done.

use admin::{
    cli::{CommonArgs, say},
    exit::{Exit, Failure},
    terminal,
};
use sql::{
    connect::ConnectInfo,
    doctor::{self, Facts, Kind},
};

use super::{
    args::UpgradeArgs,
    child::{self, Print},
    place::Place,
    plan::Step,
    provider::Provider,
    schema,
    side::{self, facts},
};
use crate::pg_dump::Owners;

/// An upgrade at work.
pub(super) struct Upgrade<'a> {
    pub(super) place: Place,
    pub(super) args: &'a UpgradeArgs,
    pub(super) common: &'a CommonArgs,
}

impl Upgrade<'_> {
    /// Does all steps up to the one that is named, or all.
    pub(super) async fn forward(&mut self) -> Result<Exit, Failure> {
        let until = self.args.until.unwrap_or(Step::Switchover);
        for step in Step::ALL {
            if step > until {
                return Ok(Exit::Done);
            }
            let number = step as usize + 1;
            say(
                self.common,
                &format!("==> {number}/{}: {}", Step::ALL.len(), step.word()),
            )?;
            match step {
                Step::Check => self.check().await?,
                Step::Install => self.install().await?,
                Step::Schema => self.schema().await?,
                Step::Copy => self.copy().await?,
                Step::Compare => self.compare().await?,
                Step::Ready => self.ready("new").await?,
                Step::Switchover => {
                    if !self.agreed()? {
                        return Ok(Exit::Part);
                    }
                    return self.turn(Provider::New).await;
                }
            }
        }
        Ok(Exit::Done)
    }

    fn agreed(&self) -> Result<bool, Failure> {
        if self.args.yes {
            return Ok(true);
        }
        if !terminal::can_ask() {
            eprintln!(
                "nothing is switched over: nobody can be asked; say --yes, or run it at a terminal"
            );
            return Ok(false);
        }
        let question = "The new database takes the writes now. Do it?";
        let agreed = terminal::agreed(question).map_err(anyhow::Error::from)?;
        if !agreed {
            eprintln!("nothing is switched over: not agreed to");
        }
        Ok(agreed)
    }

    /// Runs a program on the config of a side: `old-ticker` and the like.
    pub(super) async fn on(
        &self,
        config: &str,
        also: &[i32],
        (program, args): (&str, &[&str]),
    ) -> Result<child::Ended, Failure> {
        let path = self.place.config(config).display().to_string();
        let args = [&["-c", path.as_str()], args].concat();
        child::must(&self.place, self.common, also, (program, &args)).await
    }

    /// The same, and what it has printed.
    pub(super) async fn read(
        &self,
        config: &str,
        (program, args): (&str, &[&str]),
    ) -> Result<child::Ended, Failure> {
        let path = self.place.config(config).display().to_string();
        let args = [&["-c", path.as_str()], args].concat();
        child::run(&self.place, self.common, Print::Read, (program, &args)).await
    }

    /// Asks the doctor; a part of what it finds would be what the upgrade itself has made, once that has begun.
    async fn check(&mut self) -> Result<(), Failure> {
        if self.place.notes.installed {
            return say(self.common, "done before");
        }
        let (from, to) = (text(&self.place.old), text(&self.place.new));
        let args = ["doctor", from.as_str(), "--to", to.as_str()];
        // 1: a person should look. 3: something is not seen.
        let ended = child::must(&self.place, self.common, &[1, 2, 3], ("trunkline", &args)).await?;
        if self.common.quiet && ended.code != 0 {
            eprint!("{}", ended.stdout);
        }
        self.place.notes.no_way_back = !facts(&self.place.old).await?.sets_replica;
        let rights = facts(&self.place.new).await?;
        if !rights.sets_replica {
            let what = "the role may not set session_replication_role on the new database, which has to be a standby";
            return Err(Failure::message(Exit::Failed, what)
                .with_hint("trunkline doctor says how to grant it"));
        }
        self.has_tables(&rights)?;
        self.place.save()?;
        if ended.code == 2 && !self.args.force {
            let what = "nothing was done: the doctor has found what would make it fail";
            return Err(Failure::message(Exit::Failed, what)
                .with_hint("end the causes; --force goes on all the same"));
        }
        Ok(())
    }

    async fn install(&mut self) -> Result<(), Failure> {
        if self.place.notes.installed {
            say(self.common, "done before")?;
            return self.start_all().await;
        }
        // Both queues first: whoever begins a set asks the other one whether it knows of a provider.
        for config in ["old-ticker", "new-ticker"] {
            self.on(config, &[], ("ticker", &["install"])).await?;
            self.start(config, "ticker").await?;
        }
        let first = ["install", "--first"];
        self.on("old-replay", &[], ("replay", &first)).await?;
        self.start("old-replay", "replay").await?;
        self.on("new-replay", &[], ("replay", &["install"])).await?;
        self.start("new-replay", "replay").await?;
        self.place.notes.installed = true;
        self.place.save()
    }

    /// Starts a daemon, unless it runs.
    async fn start(&self, config: &str, program: &str) -> Result<(), Failure> {
        if self.is_stopped(config, program).await? {
            let running = Exit::Running as i32;
            let start = (program, &["start", "-d"][..]);
            self.on(config, &[running], start).await?;
        }
        Ok(())
    }

    /// Whether a daemon does not run on this machine.
    async fn is_stopped(&self, config: &str, program: &str) -> Result<bool, Failure> {
        let status = self.read(config, (program, &["status"])).await?;
        Ok(status.code == Exit::Running as i32)
    }

    /// Starts all daemons that do not run.
    pub(super) async fn start_all(&self) -> Result<(), Failure> {
        for node in ["old", "new"] {
            self.start(&format!("{node}-ticker"), "ticker").await?;
            self.start(&format!("{node}-replay"), "replay").await?;
        }
        Ok(())
    }

    /// Whether the new database has tables: those that an earlier run has made, or that are said to be the schema.
    fn has_tables(&self, to: &Facts) -> Result<bool, Failure> {
        let there = to.relations.iter().find(|one| one.kind != Kind::Foreign);
        let Some(one) = there else {
            return Ok(false);
        };
        let notes = &self.place.notes;
        if notes.schema || notes.schema_begun || self.args.keep_schema {
            return Ok(true);
        }
        let what = format!(
            "nothing was done: the new database has tables already, such as {}",
            one.name
        );
        Err(Failure::message(Exit::Failed, what).with_hint(
            "drop them, and the schema is made; --keep-schema: it is there already, without rows",
        ))
    }

    async fn schema(&mut self) -> Result<(), Failure> {
        let (from, to) = (facts(&self.place.old).await?, facts(&self.place.new).await?);
        if self.has_tables(&to)? {
            say(
                self.common,
                "the new database has tables: its schema stays as it is",
            )?;
        } else {
            self.place.notes.schema_begun = true;
            self.place.save()?;
            let (old, new) = (&self.place.old, &self.place.new);
            let owners = match self.args.no_owner {
                true => Owners::Left,
                false => Owners::Kept,
            };
            for left in schema::make((old, &from), (new, &to), owners).await? {
                eprintln!("not made: {left}");
            }
            say(self.common, "the schema is made")?;
        }
        let (database, rows) = (doctor::of_database(&from, &to), &from.extension_rows);
        for left in database {
            eprintln!("not made: {left}");
        }
        for table in rows {
            eprintln!(
                "not made: the rows of {table}, which belongs to an extension (pg_dump -a -t {table})"
            );
        }
        self.place.notes.schema = true;
        self.place.save()
    }

    async fn compare(&mut self) -> Result<(), Failure> {
        if self.args.no_compare || self.place.notes.compared {
            let word = if self.args.no_compare {
                "left out"
            } else {
                "done before"
            };
            return say(self.common, word);
        }
        let ended = self
            .on("new-replay", &[1], ("replay", &["compare"]))
            .await?;
        if ended.code == 1 {
            let config = self.place.config("new-replay").display().to_string();
            return Err(
                Failure::message(Exit::Part, "rows differ, see above").with_hint(format!(
                    "replay -c {config} repair --apply, or resync TABLE; then run the upgrade again"
                )),
            );
        }
        self.place.notes.compared = true;
        self.place.save()
    }

    /// What is told when there is nothing to be done; a switchover that is not quite over is ended first.
    pub(super) async fn after(&mut self, now: Provider) -> Result<Exit, Failure> {
        self.start_all().await?;
        self.end_operation(now).await
    }

    /// The way back.
    pub(super) async fn back(&mut self, now: Provider) -> Result<Exit, Failure> {
        if now != Provider::New {
            say(self.common, "the old database takes the writes already")?;
            return match now {
                Provider::Old => self.after(now).await,
                Provider::Nobody | Provider::New => Ok(Exit::Done),
            };
        }
        if self.place.notes.no_way_back {
            let what = "there is no way back: the old database does not follow the new one";
            return Err(Failure::message(Exit::Failed, what).with_hint(
                "its role may not set session_replication_role; copy the rows back as into a new database",
            ));
        }
        self.start_all().await?;
        self.nothing_is_missing(Provider::Old).await?;
        say(self.common, "==> 1/2: ready")?;
        self.ready("old").await?;
        say(self.common, "==> 2/2: switchover")?;
        self.turn(Provider::Old).await
    }

    /// The end: what takes the writes has nothing of ours any more. The other database stays as it is, closed, so that
    /// nobody goes on writing there by mistake.
    pub(super) async fn finish(&mut self, now: Provider) -> Result<Exit, Failure> {
        if self.place.notes.finished.is_some() {
            return Ok(Exit::Done);
        }
        if self.place.notes.finishing.is_none() {
            self.refuse_while_turning().await?;
        }
        let question = format!(
            "The {} database keeps all, and there is no way back to the other one. Do it?",
            now.word()
        );
        if !self.args.yes {
            if !terminal::can_ask() {
                let what = "nothing was done: nobody can be asked";
                return Err(Failure::message(Exit::Usage, what).with_hint("say --yes"));
            }
            if !terminal::agreed(&question).map_err(anyhow::Error::from)? {
                return Err(Failure::message(
                    Exit::Failed,
                    "nothing was done: not agreed to",
                ));
            }
        }
        say(self.common, "==> 1/2: stop")?;
        let stopped = Exit::Running as i32;
        for program in ["replay", "ticker"] {
            for node in ["old", "new"] {
                let config = format!("{node}-{program}");
                if !self.is_stopped(&config, program).await? {
                    self.on(&config, &[stopped], (program, &["stop"])).await?;
                }
            }
        }
        say(self.common, "==> 2/2: uninstall")?;
        // From here on the side that has nothing of ours may be the one with all rows, which only the notes know.
        let now = match now {
            Provider::New => Provider::New,
            Provider::Old | Provider::Nobody => Provider::Old,
        };
        self.place.notes.finishing = Some(now);
        self.place.save()?;
        let alone = format!("{}-alone", now.word());
        let args = ["uninstall", "--provider", "--force"];
        self.on(&alone, &[], ("replay", &args)).await?;
        self.place.notes.finished = Some(now);
        self.place.save()?;
        Ok(Exit::Done)
    }

    /// Refuses the end in the midst of a switchover, when neither database takes writes. One that does not answer has
    /// no say: the other one is the provider then.
    async fn refuse_while_turning(&self) -> Result<(), Failure> {
        let begun = side::running(&self.place).await.unwrap_or_default();
        let Some(one) = begun.iter().find(|one| !one.is_promoted) else {
            return Ok(());
        };
        let what = format!(
            "nothing was done: a switchover to the {} database has been begun",
            one.to.word()
        );
        Err(Failure::message(Exit::Failed, what).with_hint(
            "the same command without --finish goes on to the new database, with --back to the old one",
        ))
    }

    /// Who is provider now.
    pub(super) async fn now(&self) -> Result<Provider, Failure> {
        side::provider(&self.place).await
    }
}

fn text(database: &ConnectInfo) -> String {
    database.for_libpq().conninfo
}
