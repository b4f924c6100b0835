//! A fresh directory for one test, and the watchdog that empties it. Everything
//! that a test starts lives under such a directory and is found through it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A fresh directory below the one that `TRUNKLINE_SCRATCH` names, or below the system's temporary directory.
///
/// When the value is dropped, the directory is removed, unless the test failed (or `TRUNKLINE_KEEP` is set): then it
/// stays and its path is printed.
///
/// A test can also die without running a destructor (SIGKILL from a test
/// runner's time limit). Then the watchdog, a shell that waits for the end of
/// a pipe that only the test holds open, ends every process whose pid file is
/// in the directory and removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    watchdog: Child,
}

/// The watchdog waits for the end of its input. `done` means that the owner has cleaned up. The pid is the first line
/// of postmaster.pid and the whole of a daemon's pid file, so the first field of the first line serves for both.
const WATCHDOG: &str = r#"
read -r word
[ "$word" = done ] && exit 0
for file in "$1"/*/data/postmaster.pid "$1"/run/*.pid "$1"/*/run/*.pid; do
    [ -f "$file" ] || continue
    pid=$(head -n 1 "$file")
    case $pid in ''|*[!0-9]*|0|1) continue ;; esac
    kill -QUIT "$pid" 2>/dev/null
    pids="$pids $pid"
    # The fourth line of postmaster.pid is the port, whose lock file goes too.
    port=$(sed -n 4p "$file")
    [ -n "$port" ] && rm -f "$2/$port"
done
sleep 2
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
sleep 0.2
rm -rf "$1"
rmdir "$2" 2>/dev/null
"#;

fn above() -> PathBuf {
    std::env::var_os("TRUNKLINE_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from)
}

impl Scratch {
    /// Makes the directory and starts its watchdog.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("trunkline-test-")
            .tempdir_in(above())
            .expect("make a temporary directory");
        // The servers run as another user when the test runs as root.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))
            .expect("open the temporary directory for reading");
        let path = dir.keep();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "trunkline-watchdog"])
            .arg(&path)
            .arg(crate::port::locks())
            .current_dir("/")
            // The watchdog has its own process group: a runner that kills the test's group must not kill the process
            // that cleans up after it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the watchdog");
        Self { path, watchdog }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory below this one (parents too) and gives its path.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).expect("make a directory");
        path
    }

    /// Writes a file below this directory and gives its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("make a directory");
        }
        std::fs::write(&path, text).expect("write a file");
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("TRUNKLINE_KEEP").is_some() {
            eprintln!("kept for you to look at: {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.watchdog.wait();
    }
}
