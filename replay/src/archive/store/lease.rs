//! A lock in a bucket, which has none of its own: whoever wants it makes an object of his own, looks who else has one,
//! and takes it back if somebody who lives was there. So two that come at the same moment may both go away, and never
//! both stay.

use std::{
    collections::BTreeSet,
    fs, io,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;

/// The directory of those objects.
const TURNS: &str = "turns";

/// From this age on, by the store's own clock, one of another host is the rest of a process that was killed.
const LEFT_SECONDS: i64 = 86_400;

/// Those that this process has. One of its own that is not among them could not be removed.
static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The lock; it ends when this is dropped.
pub(crate) struct Lease {
    bucket: Bucket,
    path: String,
}

/// A process, as others may see whether it lives.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    /// What the kernel calls its own start: other hosts, and this one before a reboot, have another one.
    boot: String,
    /// The numbers of processes are those of this namespace.
    namespace: String,
    pid: u32,
    /// When it was started, since the kernel was.
    started: String,
}

impl Process {
    fn own() -> io::Result<Process> {
        let pid = std::process::id();
        Ok(Process {
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?
                .trim()
                .to_owned(),
            namespace: fs::read_link("/proc/self/ns/pid")?.display().to_string(),
            pid,
            started: started(pid).ok_or_else(|| io::Error::other("/proc has not this process"))?,
        })
    }

    /// Whether it lives; None: that cannot be seen, as of one of another host.
    fn lives(&self, own: &Process) -> Option<bool> {
        if self.boot != own.boot || self.namespace != own.namespace {
            return None;
        }
        match started(self.pid) {
            Some(started) => Some(started == self.started),
            // Where the first process cannot be seen, others are hidden, too.
            None => started(1).map(|_| false),
        }
    }
}

/// When a process of this host was started; None: there is none, or it is hidden.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have blanks and brackets.
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(19).map(str::to_owned)
}

impl Lease {
    /// Takes the lock; None: another process has it.
    pub(super) fn take(bucket: &Bucket) -> io::Result<Option<Lease>> {
        let own = Process::own()?;
        let random: u128 = rand::random();
        let lease = Lease {
            bucket: bucket.clone(),
            path: format!("{TURNS}/{random:032x}"),
        };
        let held = || HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held().insert(lease.path.clone());
        let text = serde_json::to_vec(&own)?;
        bucket.create(&lease.path, &[&text])?;
        let found = bucket.objects(TURNS)?;
        let here = bucket.object(&lease.path);
        let mine = found.iter().find(|one| one.location == here);
        let mine = mine.ok_or_else(|| io::Error::other("an object is not listed that was made"))?;
        for one in found.iter().filter(|one| one.location != here) {
            let Some(name) = one.location.filename() else {
                continue;
            };
            let path = format!("{TURNS}/{name}");
            let Some(bytes) = bucket.read(&path)? else {
                continue;
            };
            let process: Option<Process> = serde_json::from_slice(&bytes).ok();
            let is_own = process.as_ref() == Some(&own);
            let lives = match is_own {
                true => Some(held().contains(&path)),
                false => process.and_then(|process| process.lives(&own)),
            };
            let age = mine.last_modified - one.last_modified;
            if lives.unwrap_or(age.num_seconds() < LEFT_SECONDS) {
                return Ok(None);
            }
            bucket.remove(&path)?;
        }
        Ok(Some(lease))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What stays is known as nobody's.
        let _ = self.bucket.remove(&self.path);
        HELD.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_this_host_lives_or_not_and_one_of_another_host_is_not_known() {
        let own = Process::own().unwrap();
        assert_eq!(own.lives(&own), Some(true));
        let other = |change: fn(&mut Process)| {
            let mut other = Process::own().unwrap();
            change(&mut other);
            other.lives(&own)
        };
        assert_eq!(other(|one| one.started = "0".into()), Some(false));
        assert_eq!(other(|one| one.pid = 0), Some(false));
        assert_eq!(other(|one| one.boot = "x".into()), None);
        assert_eq!(other(|one| one.namespace = "x".into()), None);
    }
}
