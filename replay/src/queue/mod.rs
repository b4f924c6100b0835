//! The provider's queue as a source of batches: finds what follows a position, streams and decodes its events, and
//! waits for ticks. Only `leave` writes: it ends what a consumer has there.

pub(crate) mod batches;
pub(crate) mod events;
pub(crate) mod filters;
pub(crate) mod leave;
pub(crate) mod ticks;
pub(crate) mod track;
