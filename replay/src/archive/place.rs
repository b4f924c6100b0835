//! Where an archive ends, as its files say.

use admin::config::ArchiveAddress;
use sql::subscriber::position::Position;

use super::{
    chain::{self, Listing},
    identity::Identity,
    store::Store,
    writer::unwritable,
};
use crate::trouble::Trouble;

/// An archive of a job, as a place in a queue.
#[derive(Clone, Debug)]
pub(crate) struct ArchivePlace {
    /// Where it lies.
    pub address: ArchiveAddress,
    /// The job.
    pub job: String,
    /// The queue.
    pub queue: String,
}

impl ArchivePlace {
    /// The position that the archive's newest segment ends at; without a segment where the archive begins. Reads the
    /// newest directory's names and one line.
    ///
    /// # Errors
    /// [`Trouble::Passing`]: it cannot be read, or is not this job's archive, or its newest line is damaged.
    pub(crate) fn end(&self) -> Result<Position, Trouble> {
        let store = Store::open(&self.address).map_err(unwritable)?;
        let unread = |error| Trouble::passing("the archive cannot be read", error);
        let identity = Identity::read(&store, &self.job, &self.queue);
        let identity = identity.map_err(|error| unread(anyhow::Error::new(error)))?;
        match Listing::newest(&store).map_err(unwritable)? {
            None => Ok(identity.begin.into()),
            Some(name) => {
                let stored = chain::line(&store, name);
                let stored = stored.map_err(|error| unread(anyhow::Error::new(error)))?;
                Ok(stored.line.to.into())
            }
        }
    }
}
