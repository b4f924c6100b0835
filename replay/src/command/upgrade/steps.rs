//! The steps of an upgrade. Each may be repeated, and is as soon as it is not known to be done.

use admin::{
    cli::{CommonArgs, say},
    exit::{Exit, Failure},
    terminal,
};
use sql::{
    connect::ConnectInfo,
    doctor::{self, Facts, Kind, Relation},
};

use super::{
    args::UpgradeArgs,
    child::{self, Print},
    place::Place,
    plan::Step,
    provider::Provider,
    schema,
    side::{self, bare},
};
use crate::pg_dump::Owners;

/// How long one wait for the copy takes, after which it is told how far it is.
const LOOK: &str = "5";

/// Tables that one command adds by all their columns.
const AT_ONCE: usize = 50;

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

    async fn schema(&mut self) -> Result<(), Failure> {
        let (old, new) = (&self.place.old, &self.place.new);
        let (from, to) = (facts(old).await?, facts(new).await?);
        if to.relations.iter().any(|one| one.kind != Kind::Foreign) {
            say(
                self.common,
                "the new database has tables: its schema stays as it is",
            )?;
        } else {
            let owners = match self.args.no_owner {
                true => Owners::Left,
                false => Owners::Kept,
            };
            for left in schema::make((old, &from), (new, &to), owners).await? {
                eprintln!("not made: {left}");
            }
            say(self.common, "the schema is made")?;
        }
        self.place.notes.schema = true;
        self.place.save()
    }

    async fn copy(&mut self) -> Result<(), Failure> {
        if self.place.notes.copied {
            self.nothing_is_missing().await?;
            return self.wait_for_all().await;
        }
        let all = ["add", "--all", "--create", "--with-seqs"];
        // 1: some cannot be added like that.
        self.on("new-replay", &[1], ("replay", &all)).await?;
        let from = facts(&self.place.old).await?;
        let lacks_key = |one: &&Relation| {
            matches!(one.kind, Kind::Table | Kind::Partitioned) && !one.is_partition && !one.has_key
        };
        let keyless: Vec<&str> = from
            .relations
            .iter()
            .filter(lacks_key)
            .map(|one| one.name.as_str())
            .filter(|name| !self.is_left(name))
            .collect();
        for some in keyless.chunks(AT_ONCE) {
            let args = [
                &["add", "--identity", "full", "--create", "--with-seqs"],
                some,
            ]
            .concat();
            self.on("new-replay", &[1], ("replay", &args)).await?;
        }
        self.nothing_is_missing().await?;
        self.wait_for_all().await?;
        self.place.notes.copied = true;
        self.place.save()
    }

    fn is_left(&self, name: &str) -> bool {
        let short = name.strip_prefix("public.").unwrap_or(name);
        let left = self.args.leave.iter().chain(&self.place.notes.left);
        left.into_iter().any(|one| one == name || one == short)
    }

    /// A table that is not replicated would be empty on the new database, and nobody would notice.
    async fn nothing_is_missing(&mut self) -> Result<(), Failure> {
        let missing = self.read("new-replay", ("replay", &["missing"])).await?;
        if missing.code != 0 {
            return Err(child::failed(&missing, "replay", &["missing"]));
        }
        let (mut left, mut lacking) = (Vec::new(), Vec::new());
        for line in missing.stdout.lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            match self.is_left(name) {
                true => left.push(name.to_owned()),
                false => lacking.push(line.to_owned()),
            }
        }
        if !lacking.is_empty() {
            let what = format!("these are not replicated: {}", lacking.join("; "));
            return Err(Failure::message(Exit::Failed, what).with_hint(
                "replay add says why, and how they could be; --leave TABLE leaves one behind, without its rows",
            ));
        }
        for name in &left {
            eprintln!("left behind: {name}");
        }
        self.place.notes.left = left;
        self.place.save()
    }

    /// Waits until all tables are in step, and tells how far they are.
    async fn wait_for_all(&self) -> Result<(), Failure> {
        const TIMED_OUT: i32 = Exit::TimedOut as i32;
        let wait = ["wait", "--timeout", LOOK];
        while self
            .on("new-replay", &[TIMED_OUT], ("replay", &wait))
            .await?
            .code
            != 0
        {
            let tables = self.read("new-replay", ("replay", &["tables"])).await?;
            let states = tables.stdout.lines().skip(1);
            let states: Vec<&str> = states.filter_map(|line| line.split(' ').nth(1)).collect();
            let ok = states.iter().filter(|state| **state == "ok").count();
            say(
                self.common,
                &format!("{ok} of {} tables are in step", states.len()),
            )?;
        }
        Ok(())
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
        if self.place.notes.no_way_back {
            let what = "there is no way back: the old database does not follow the new one";
            return Err(Failure::message(Exit::Failed, what).with_hint(
                "its role may not set session_replication_role; copy the rows back as into a new database",
            ));
        }
        if now != Provider::New {
            say(self.common, "the old database takes the writes already")?;
            return match now {
                Provider::Old => self.after(now).await,
                Provider::Nobody | Provider::New => Ok(Exit::Done),
            };
        }
        self.start_all().await?;
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
        for program in ["replay", "ticker"] {
            for node in ["old", "new"] {
                let config = format!("{node}-{program}");
                if !self.is_stopped(&config, program).await? {
                    self.on(&config, &[], (program, &["stop"])).await?;
                }
            }
        }
        say(self.common, "==> 2/2: uninstall")?;
        let alone = format!("{}-alone", now.word());
        let args = ["uninstall", "--provider", "--force"];
        self.on(&alone, &[], ("replay", &args)).await?;
        self.place.notes.finished = Some(match now {
            Provider::New => Provider::New,
            Provider::Old | Provider::Nobody => Provider::Old,
        });
        self.place.save()?;
        Ok(Exit::Done)
    }

    /// Who is provider now.
    pub(super) async fn now(&self) -> Result<Provider, Failure> {
        side::provider(&self.place).await
    }
}

fn text(database: &ConnectInfo) -> String {
    database.for_libpq().conninfo
}

/// What a database says of itself.
async fn facts(database: &ConnectInfo) -> Result<Facts, Failure> {
    let session = bare(database).await?;
    Ok(doctor::read(&*session).await?)
}
