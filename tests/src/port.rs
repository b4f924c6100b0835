//! Free loopback ports. Tests run as parallel processes, so "bind to port 0 and
//! let go" is a race; here a port belongs to the process that holds the lock on
//! its file.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// The ports, below the range that the kernel hands out for outgoing connections.
const PORTS: std::ops::Range<u16> = 24_100..31_900;

/// The directory of the locks, one file for each port in use.
pub(crate) fn locks() -> PathBuf {
    std::env::temp_dir().join("trunkline-test-ports")
}

/// A port that no other test has, until it is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn take() -> Self {
        let dir = locks();
        std::fs::create_dir_all(&dir).expect("make the directory of port locks");
        // Root and ordinary users share the directory, as the temporary directory.
        let _ = std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o1777));
        let span = PORTS.end - PORTS.start;
        // The processes start at different ports, so that they do not try the same locks.
        let first = u16::try_from(std::process::id() % u32::from(span)).expect("below span");
        for step in 0..span {
            let number = PORTS.start + (first + step) % span;
            let path = dir.join(number.to_string());
            let Ok(lock) = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
            else {
                continue;
            };
            // Who had the port before may have removed the file between our opening and our locking it: then the next
            // one locks another file of that name.
            let is_there = || {
                let (ours, there) = (lock.metadata(), std::fs::metadata(&path));
                matches!((ours, there), (Ok(ours), Ok(there)) if ours.ino() == there.ino())
            };
            if lock.try_lock().is_ok()
                && is_there()
                && TcpListener::bind(("127.0.0.1", number)).is_ok()
            {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("no free port in {PORTS:?}");
    }

    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let path = locks().join(self.number.to_string());
        // Unlinking under the lock is safe: a process that opened the old file and locks it afterwards sees that it is
        // not there any more.
        let _ = std::fs::remove_file(path);
        let _ = std::fs::remove_dir(locks());
    }
}
