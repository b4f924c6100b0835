//! The directory of an upgrade: four configs, which are the operator's once they are written, a lock, and notes of what
//! no database can be asked.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use admin::{
    cli::{CommonArgs, say},
    exit::{Exit, Failure},
    own_file,
};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sql::connect::ConnectInfo;

use super::provider::Provider;

/// The file of the notes.
pub(super) const NOTES: &str = "upgrade.json";

const LOCK: &str = "upgrade.lock";

/// The queue, whose name the set of the two databases has.
pub(super) const QUEUE: &str = "upgrade";

/// The configs of each of the two databases.
const CONFIGS: [&str; 3] = ["ticker", "replay", "alone"];

/// How long the lock is waited for: a command that a killed upgrade has left is over soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is noted. It is written anew, as a whole, after each step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// Connection strings without passwords: of both servers, of the old one, of the new one.
    pub(super) databases: [String; 3],
    /// Both sides are installed and their daemons were started.
    #[serde(default)]
    pub(super) installed: bool,
    /// The schema is on the new server.
    #[serde(default)]
    pub(super) schema: bool,
    /// The new database had no tables when the schema was begun: those that are there are of this upgrade.
    #[serde(default)]
    pub(super) schema_begun: bool,
    /// All tables were in step.
    #[serde(default)]
    pub(super) copied: bool,
    /// The rows of both sides were compared.
    #[serde(default)]
    pub(super) compared: bool,
    /// The operation that has switched over to the new database, how long writes have waited for it, in milliseconds.
    #[serde(default)]
    pub(super) pause_ms: Option<f64>,
    /// The same of the way back.
    #[serde(default)]
    pub(super) back_pause_ms: Option<f64>,
    /// Tables that are left behind.
    #[serde(default)]
    pub(super) left: Vec<String>,
    /// The role cannot have the old database follow the new one.
    #[serde(default)]
    pub(super) no_way_back: bool,
    /// Who took the writes when the end was begun. From then on no database can be asked: the one that took them has
    /// nothing of ours any more.
    #[serde(default)]
    pub(super) finishing: Option<Provider>,
    /// Who took the writes when the upgrade was finished.
    #[serde(default)]
    pub(super) finished: Option<Provider>,
}

/// What the command line says of the directory.
pub(super) struct Opening<'a> {
    pub(super) directory: &'a Path,
    /// The old database and the new one, if they were named.
    pub(super) databases: Option<(&'a ConnectInfo, &'a ConnectInfo)>,
    /// Nothing is written.
    pub(super) dry_run: bool,
}

/// An opened directory.
pub(super) struct Place {
    directory: PathBuf,
    /// Held as long as this process lives, and each command that it has started.
    pub(super) lock: File,
    pub(super) notes: Notes,
    pub(super) old: ConnectInfo,
    pub(super) new: ConnectInfo,
}

impl Place {
    /// Opens the directory, or makes it, with its configs.
    pub(super) async fn open(opening: &Opening<'_>, common: &CommonArgs) -> Result<Place, Failure> {
        let path = opening.directory;
        let given = opening.databases.map(|(from, to)| databases(from, to));
        let given = given.transpose()?;
        if given.is_none() && !path.join(NOTES).exists() {
            let what = format!("{} holds no upgrade", path.display());
            return Err(Failure::message(Exit::Usage, what)
                .with_hint("--from and --to name the two databases, once"));
        }
        make(path)?;
        let directory =
            fs::canonicalize(path).with_context(|| format!("could not find {}", path.display()))?;
        let lock = locked(&directory, common).await?;
        let noted = directory.join(NOTES);
        let notes = match fs::read(&noted) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("could not read {}", noted.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                refuse_configs(&directory)?;
                Notes {
                    databases: given.clone().unwrap_or_default(),
                    ..Notes::default()
                }
            }
            Err(error) => {
                return Err(anyhow::Error::new(error)
                    .context(format!("could not read {}", noted.display()))
                    .into());
            }
        };
        if given.is_some_and(|given| given != notes.databases) {
            let what = format!("{} holds the upgrade of other databases", path.display());
            return Err(Failure::message(Exit::Usage, what)
                .with_hint("leave --from and --to out, or name another directory"));
        }
        let parsed = |text: &String| {
            text.parse::<ConnectInfo>()
                .with_context(|| format!("{}: a connection string is wrong", noted.display()))
        };
        let place = Place {
            old: parsed(&notes.databases[1])?,
            new: parsed(&notes.databases[2])?,
            directory,
            lock,
            notes,
        };
        if !opening.dry_run {
            // First the notes: a config without notes would be taken for that of other databases.
            place.save()?;
            place.write_configs()?;
        }
        Ok(place)
    }

    /// The command as it is repeated.
    pub(super) fn words(&self) -> String {
        let directory = self.directory.display().to_string();
        let is_plain = directory
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        match is_plain {
            true => format!("replay upgrade --dir {directory}"),
            false => format!(
                "replay upgrade --dir '{}'",
                directory.replace('\'', "'\\''")
            ),
        }
    }

    /// The path of a config.
    pub(super) fn config(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.toml"))
    }

    /// Writes the notes: under another name first, so that they are whole whatever happens.
    pub(super) fn save(&self) -> Result<(), Failure> {
        let text =
            serde_json::to_string_pretty(&self.notes).context("could not write the notes")?;
        let written = |path: &Path| -> std::io::Result<()> {
            let aside = path.with_extension("json.new");
            let mut file = private(&aside, OpenOptions::new().create(true).truncate(true))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            File::open(&self.directory)?.sync_all()
        };
        let path = self.directory.join(NOTES);
        written(&path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(())
    }

    fn write_configs(&self) -> Result<(), Failure> {
        let [both, old, new] = &self.notes.databases;
        for (node, own, other) in [("old", old, new), ("new", new, old)] {
            let daemon = |program: &str| {
                let file = |ending: &str| {
                    quoted(
                        &self
                            .directory
                            .join(format!("{node}-{program}.{ending}"))
                            .display()
                            .to_string(),
                    )
                };
                format!(
                    "job_name = \"upgrade-{node}-{program}\"\nlogfile = {}\npidfile = {}\n",
                    file("log"),
                    file("pid")
                )
            };
            let ticker = format!(
                "[ticker]\n{}db = {}\nqueues = [\"{QUEUE}\"]\n",
                daemon("ticker"),
                quoted(own)
            );
            let replay = |provider: &str, own: &str, lines: &str| {
                format!(
                    "[replay]\n{}provider_db = {}\nsubscriber_db = {}\npgq_queue_name = \"{QUEUE}\"\n{lines}",
                    daemon("replay"),
                    quoted(provider),
                    quoted(own)
                )
            };
            let member = format!("node = \"{node}\"\nstandby = true\n");
            self.write_once(&format!("{node}-ticker"), &ticker)?;
            self.write_once(&format!("{node}-replay"), &replay(both, own, &member))?;
            // Names the one database alone, whoever is provider.
            self.write_once(&format!("{node}-alone"), &replay(own, other, ""))?;
        }
        Ok(())
    }

    /// A config that is there is the operator's.
    fn write_once(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.config(name);
        if path.exists() {
            return Ok(());
        }
        let written = || -> std::io::Result<()> {
            let aside = path.with_extension("toml.new");
            let mut file = private(&aside, OpenOptions::new().create(true).truncate(true))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &path)
        };
        written().with_context(|| format!("could not write {}", path.display()))?;
        Ok(())
    }
}

/// Refuses a directory that has a config of an upgrade and no notes: nobody knows which databases it is of.
fn refuse_configs(directory: &Path) -> Result<(), Failure> {
    let nodes = ["old", "new"].into_iter();
    let names = nodes.flat_map(|node| CONFIGS.map(|one| format!("{node}-{one}.toml")));
    let mut there = names
        .map(|name| directory.join(name))
        .filter(|path| path.exists());
    let Some(one) = there.next() else {
        return Ok(());
    };
    let what = format!("{} is there, and no notes of an upgrade are", one.display());
    Err(Failure::message(Exit::Usage, what)
        .with_hint("it may be of other databases: remove it, or name another directory"))
}

/// The three connection strings of two databases.
fn databases(from: &ConnectInfo, to: &ConnectInfo) -> Result<[String; 3], Failure> {
    let usage = |what: String| Failure::message(Exit::Usage, what);
    if from.has_password() || to.has_password() {
        let what =
            "a connection string has a password, which others would see in the list of processes";
        return Err(usage(what.to_owned())
            .with_hint("put it into the password file: ~/.pgpass, or the file of PGPASSFILE"));
    }
    let databases = from.beside(to);
    let databases = databases.map_err(|why| usage(format!("--from and --to: {why}")))?;
    if databases[1] == databases[2] {
        return Err(usage("--from and --to are one database".to_owned()));
    }
    if databases[0].contains("${") {
        return Err(usage(
            "${ in a connection string: name the value itself".to_owned(),
        ));
    }
    Ok(databases)
}

/// JSON's strings are TOML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn private(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    options.write(true).mode(0o600).open(path)
}

/// Makes the directory; one that is there is refused if others may make files in it.
fn make(path: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("could not make {}", path.display()))?;
    let metadata =
        fs::metadata(path).with_context(|| format!("could not look at {}", path.display()))?;
    if !own_file::is_trusted(metadata.uid()) {
        let what = format!(
            "{} belongs to another user, who may change what is there",
            path.display()
        );
        return Err(
            Failure::message(Exit::Usage, what).with_hint("name a directory of the role's own")
        );
    }
    if metadata.mode() & 0o022 != 0 {
        let what = format!("{}: others may make files there", path.display());
        return Err(
            Failure::message(Exit::Usage, what).with_hint(format!("chmod go-w {}", path.display()))
        );
    }
    Ok(())
}

/// Takes the lock. A command that a killed upgrade has left holds it, too, until it has ended.
async fn locked(directory: &Path, common: &CommonArgs) -> Result<File, Failure> {
    let path = directory.join(LOCK);
    let failed = || format!("could not lock {}", path.display());
    let lock = private(
        &path,
        OpenOptions::new().read(true).create(true).truncate(false),
    )
    .with_context(failed)?;
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!(
                    "another upgrade works in {}, or a command that it has left",
                    directory.display()
                );
                return Err(Failure::message(Exit::Running, what)
                    .with_hint(format!("fuser -v {} names it", path.display())));
            }
            Err(TryLockError::Error(error)) => {
                return Err(anyhow::Error::new(error).context(failed()).into());
            }
        }
        if !is_told && began.elapsed() > Duration::from_secs(2) {
            is_told = true;
            say(common, "waiting: another command works in the directory")?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_config_and_without_notes_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        refuse_configs(directory.path()).unwrap();
        fs::write(directory.path().join("new-alone.toml"), "").unwrap();
        let failure = refuse_configs(directory.path()).unwrap_err();
        assert!(
            failure.error.to_string().contains("new-alone.toml"),
            "{:#}",
            failure.error
        );
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        make(directory.path()).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o770)).unwrap();
        make(directory.path()).unwrap_err();
    }
}
