//! The built programs `ticker`, `replay` and `trunkline`. They are found beside the running test, and built if they are
//! missing or old.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::run_in;

/// Where the built programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// The programs of the same build as the running executable. Cargo builds no program of another package for a test,
    /// so Cargo is asked to, once a process; `TRUNKLINE_BUILT=1` says that the caller has built them (etc/test.sh).
    ///
    /// # Panics
    ///
    /// If the programs cannot be built.
    #[must_use]
    pub fn get() -> &'static Self {
        static PROGRAMS: OnceLock<Programs> = OnceLock::new();
        PROGRAMS.get_or_init(|| {
            let dir = build_dir();
            if std::env::var_os("TRUNKLINE_BUILT").is_none() {
                build(&dir);
            }
            for program in ["ticker", "replay", "trunkline"] {
                let path = dir.join(program);
                assert!(path.exists(), "{} is missing: cargo build", path.display());
            }
            Self { dir }
        })
    }

    /// The path of one program.
    #[must_use]
    pub fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }

    /// The directory of the programs, for a PATH.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// `target/debug` for `target/debug/deps/tutorial-0123` and for `target/debug/benches`.
fn build_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of the running executable");
    let dir = exe.parent().expect("an executable is in a directory");
    if dir.ends_with("deps") {
        dir.parent().expect("deps is in a directory").to_owned()
    } else {
        dir.to_owned()
    }
}

fn build(dir: &Path) {
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    run_in(
        Command::new(cargo)
            // The variable belongs to the test's package: a package whose build script reads it would be built anew
            // each time.
            .env_remove("CARGO_MANIFEST_DIR")
            .args([
                "build", "--quiet", "-p", "ticker", "-p", "replay", "-p", "admin",
            ])
            .args(["--profile", profile])
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(dir.parent().expect("the profile's directory has a parent")),
        Duration::from_secs(1200),
    )
    .ok();
}
