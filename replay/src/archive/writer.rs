//! Publishes segments: each under the one name that follows from the segment before. Two writers want the same name,
//! and whoever comes second reads the end of the archive again.

use std::io;

use tracing::warn;

use super::{
    chain::{self, Listing, Stored, Unreadable},
    filling::{Author, Filling, Sealed},
    identity::{Identity, NoArchive, uuid},
    seal::Recipients,
    store::{Create, Store, is_config},
};
use crate::{
    frames::{
        frame::Heirs,
        place::{Place, Time},
        segment::{Hop, Name},
    },
    trouble::Trouble,
};

/// The end of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    seq: u64,
    /// The hash of the newest segment's line, or of `archive.json`.
    sha: String,
    /// Where the newest segment ends; without a segment, where the archive begins.
    pub at: Place,
    /// The time of that.
    pub time: Option<Time>,
}

/// The one that writes an archive, as far as this process knows.
pub(super) struct Writer {
    store: Store,
    author: Author,
    end: End,
}

/// A segment that is published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// Its number.
    pub seq: u64,
    /// Its size.
    pub bytes: u64,
}

impl Writer {
    /// Reads the end of an archive. That needs no identity: a segment's line is never sealed.
    pub(super) fn open(
        store: Store,
        recipients: Recipients,
        job: &str,
        queue: &str,
    ) -> Result<Writer, Trouble> {
        let identity = Identity::read(&store, job, queue).map_err(no_archive)?;
        Identity::refuses_again(&store).map_err(no_archive)?;
        store.is_ours().map_err(unwritable)?;
        let newest = Listing::newest(&store).map_err(unwritable)?;
        let directory = newest.map_or("frames".to_owned(), |name| {
            format!("frames/{}", name.directory())
        });
        // What is read here is told to the queue as safe.
        store.settle(&directory).map_err(unwritable)?;
        store.sweep(&directory).map_err(unwritable)?;
        let end = match newest {
            None => End {
                seq: identity.first - 1,
                sha: identity.sha.clone(),
                at: identity.begin,
                time: None,
            },
            Some(name) => end(&store, &identity, name, &recipients)?,
        };
        Ok(Writer {
            store,
            author: Author {
                archive: identity.archive,
                writer: uuid(),
                recipients,
            },
            end,
        })
    }

    /// The end of the archive.
    pub(super) fn end(&self) -> &End {
        &self.end
    }

    /// Publishes a segment.
    ///
    /// # Errors
    /// Another writer has published one of that name; or the directory cannot be written, and then the segment may be
    /// there all the same: who opens the archive again sees that.
    pub(super) fn publish(&mut self, filling: Filling) -> Result<Published, Trouble> {
        let sealed = filling.seal(&self.author);
        self.put(sealed.map_err(unwritable)?)
    }

    /// Publishes a segment that says that events are missing.
    pub(super) fn publish_hole(
        &mut self,
        from: Place,
        to: Place,
        why: &str,
    ) -> Result<Published, Trouble> {
        let sealed = Filling::hole(from, to, why, &self.author);
        self.put(sealed.map_err(unwritable)?)
    }

    /// Publishes a segment that says that the archive goes on in another queue, whose tables are the heirs. `hole`: why
    /// events are missing in between.
    pub(super) fn publish_hop(
        &mut self,
        (to_time, hop): (Option<Time>, Hop),
        heirs: &Heirs,
        hole: Option<&str>,
    ) -> Result<Published, Trouble> {
        let (from, to) = (self.end.at, (hop.to, to_time));
        let sealed = Filling::hop(from, to, hop, (heirs, hole), &self.author);
        self.put(sealed.map_err(unwritable)?)
    }

    fn put(&mut self, Sealed { mut line, body }: Sealed) -> Result<Published, Trouble> {
        line.seq = self.end.seq + 1;
        line.prev = self.end.sha.clone();
        let written = line
            .written()
            .map_err(|error| unwritable(io::Error::other(error)))?;
        let name = line.name();
        let made = self
            .store
            .create(&name.path(), &[written.text.as_bytes(), &body])
            .map_err(unwritable)?;
        if made == Create::Exists {
            // Whoever made it: the end of the archive is read again before anything else is written.
            let why = anyhow::anyhow!("{name} is there already");
            return Err(Trouble::passing("another writer writes the archive", why));
        }
        self.end = End {
            seq: line.seq,
            sha: written.sha,
            at: line.to,
            time: line.to_time,
        };
        Ok(Published {
            seq: line.seq,
            bytes: written.text.len() as u64 + body.len() as u64,
        })
    }
}

/// The end that an archive's newest segment says.
fn end(
    store: &Store,
    identity: &Identity,
    name: Name,
    recipients: &Recipients,
) -> Result<End, Trouble> {
    let damaged = |why: String| Trouble::Operator {
        doing: format!("stopped, nothing was archived: archive damaged at {name}"),
        advice: "see replay archive check; a segment that is damaged is never written over".into(),
        source: anyhow::anyhow!(why),
    };
    let Stored { line, sha, .. } = chain::line(store, name).map_err(|error| match error {
        // What cannot be read now may be whole.
        Unreadable::Io(error) => unwritable(error),
        Unreadable::Line(bad) => damaged(bad.to_string()),
    })?;
    if line.archive != identity.archive || line.name() != name {
        return Err(damaged("its line is that of another segment".into()));
    }
    // A config that lacks the keys, such as that of a standby, would go on in the clear without a word.
    if !line.sealed.is_empty() && recipients.keys().is_empty() {
        warn!(segment = %name, "archive is not encrypted any more");
    }
    Ok(End {
        seq: line.seq,
        sha,
        at: line.to,
        time: line.to_time,
    })
}

/// The directory is not this job's archive.
pub(super) fn no_archive(error: NoArchive) -> Trouble {
    match error {
        NoArchive::Io(error) => unwritable(error),
        other @ (NoArchive::Missing(_)
        | NoArchive::Unreadable(_)
        | NoArchive::Format(_)
        | NoArchive::OfAnother { .. }
        | NoArchive::Overwrites(_)) => Trouble::Operator {
            doing: "stopped, nothing was archived".into(),
            advice: "mount the directory, or put `archive` right; for a new archive run: replay \
                     install"
                .into(),
            source: anyhow::Error::new(other),
        },
    }
}

/// The place cannot be read or written now. The queue keeps the events until it can.
pub(super) fn unwritable(error: io::Error) -> Trouble {
    if is_config(&error) {
        return Trouble::Operator {
            doing: "stopped, nothing was archived".into(),
            advice: "put `archive`, `archive_options` and `encrypt_to` right, or take the package's replay"
                .into(),
            source: anyhow::Error::new(error),
        };
    }
    Trouble::Passing {
        doing: "the archive cannot be written".into(),
        advice: Some(
            "make room, give replay's user its rights back, or have the store answer: the queue keeps all until then"
                .into(),
        ),
        source: anyhow::Error::new(error),
    }
}
