//! `archive.json`: whose archive a directory is. Made once, by `replay install`; the chain of segments begins with its
//! hash.

use serde::{Deserialize, Serialize};

use super::{begin::Mark, store::Store};
use crate::frames::{place::Place, segment::sha};

/// The file's name.
pub(crate) const FILE: &str = "archive.json";

/// The format and its version.
const FORMAT: &str = "archive/1";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    trunkline: String,
    archive: String,
    job: String,
    queue: String,
    begin: Place,
}

/// Whose archive it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The archive's own identity.
    pub archive: String,
    /// The number of the first segment: 1, or the first one that has not expired.
    pub first: u64,
    /// What the first segment names: the hash of the file, or that of the line of the segment that was before it.
    pub sha: String,
    /// Where the first segment begins. An archive without a segment ends there, so that segments that are all gone are
    /// missed.
    pub begin: Place,
}

/// Why a directory is not the archive of a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoArchive {
    /// It has no identity.
    #[error("{0} has no {FILE}")]
    Missing(String),
    /// The identity cannot be read.
    #[error("{FILE} cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// A newer version has made it.
    #[error("{FILE} says {0:?}, and this version knows {FORMAT:?}")]
    Format(String),
    /// It is the archive of another job or queue.
    #[error("it is the archive of job {job}, queue {queue}")]
    OfAnother {
        /// The job that it belongs to.
        job: String,
        /// The queue that it keeps.
        queue: String,
    },
    /// An object of the same name can be made twice.
    #[error(
        "{0} makes an object that is there already: writers could overwrite each other's segments"
    )]
    Overwrites(String),
    /// The directory cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Identity {
    /// The identity of a job's archive.
    pub(crate) fn read(store: &Store, job: &str, queue: &str) -> Result<Identity, NoArchive> {
        Identity::read_as(store, Some(job), queue)
    }

    /// The identity of an archive of a queue, whichever job writes it.
    pub(crate) fn of_queue(store: &Store, queue: &str) -> Result<Identity, NoArchive> {
        Identity::read_as(store, None, queue)
    }

    fn read_as(store: &Store, job: Option<&str>, queue: &str) -> Result<Identity, NoArchive> {
        let missing = || NoArchive::Missing(store.to_string());
        let bytes = store.read(FILE)?.ok_or_else(missing)?;
        let content: Content = serde_json::from_slice(&bytes).map_err(NoArchive::Unreadable)?;
        if content.trunkline != FORMAT {
            return Err(NoArchive::Format(content.trunkline));
        }
        if job.is_some_and(|job| content.job != job) || content.queue != queue {
            let Content { job, queue, .. } = content;
            return Err(NoArchive::OfAnother { job, queue });
        }
        let identity = Identity {
            archive: content.archive,
            first: 1,
            sha: sha(&bytes),
            begin: content.begin,
        };
        Ok(identity.now(store)?)
    }

    /// The identity, with the archive's begin of now: segments may have expired meanwhile.
    pub(crate) fn now(self, store: &Store) -> std::io::Result<Identity> {
        let mark = Mark::newest(store, &self.archive)?;
        Ok(match mark.filter(|mark| mark.first > self.first) {
            None => self,
            Some(mark) => Identity {
                archive: self.archive,
                first: mark.first,
                sha: mark.prev,
                begin: mark.from,
            },
        })
    }

    /// Makes a directory the archive of a job, which begins after a position.
    pub(crate) fn make(
        store: &Store,
        job: &str,
        queue: &str,
        begin: Place,
    ) -> Result<Identity, NoArchive> {
        let content = Content {
            trunkline: FORMAT.into(),
            archive: uuid(),
            job: job.into(),
            queue: queue.into(),
            begin,
        };
        let bytes = serde_json::to_vec(&content).map_err(NoArchive::Unreadable)?;
        // What another process may have made meanwhile stays. A second file of the name must be refused.
        store.create(FILE, &[&bytes])?;
        Identity::refuses_again(store)?;
        Identity::read(store, job, queue)
    }

    /// Checks that what is there cannot be made once more. Each writer asks, since a store may be another one by then.
    ///
    /// # Errors
    /// It can: two writers would overwrite each other. Or there is no archive.
    pub(crate) fn refuses_again(store: &Store) -> Result<(), NoArchive> {
        let missing = || NoArchive::Missing(store.to_string());
        let bytes = store.read(FILE)?.ok_or_else(missing)?;
        match store.refuses_again(FILE, &bytes)? {
            true => Ok(()),
            false => Err(NoArchive::Overwrites(store.to_string())),
        }
    }
}

/// A random UUID (version 4).
pub(crate) fn uuid() -> String {
    let random: u128 = rand::random();
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{bits:032x}");
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin::config::ArchiveAddress;

    use crate::frames::place::Number;

    #[test]
    fn the_identity_is_what_it_always_was() {
        let content = Content {
            trunkline: FORMAT.into(),
            archive: "a".into(),
            job: "j".into(),
            queue: "q".into(),
            begin: Place(Number(7), Number(1), Number(2)),
        };
        assert_eq!(
            serde_json::to_string(&content).unwrap(),
            r#"{"trunkline":"archive/1","archive":"a","job":"j","queue":"q","begin":["7","1","2"]}"#
        );
    }

    #[test]
    fn an_archive_belongs_to_one_job_and_queue() {
        let scratch = tempfile::tempdir().unwrap();
        let address = ArchiveAddress::Directory(scratch.path().join("a"));
        let store = Store::open(&address).unwrap();
        assert!(matches!(
            Identity::read(&store, "j", "q"),
            Err(NoArchive::Missing(_))
        ));
        store.make().unwrap();
        let begin = Place(Number(7), Number(1), Number(2));
        let first = Identity::make(&store, "j", "q", begin).unwrap();
        assert_eq!(first.begin, begin);
        let other = Place(Number(7), Number(9), Number(2));
        assert_eq!(Identity::make(&store, "j", "q", other).unwrap(), first);
        for (job, queue) in [("k", "q"), ("j", "r")] {
            assert!(matches!(
                Identity::make(&store, job, queue, begin),
                Err(NoArchive::OfAnother { .. })
            ));
        }
    }

    #[test]
    fn a_uuid_is_random_and_says_so() {
        let one = uuid();
        assert_ne!(one, uuid());
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
