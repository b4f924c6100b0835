//! The provider's queue as a source of batches: finds what follows a position, streams its events
//! and decodes them, and hears of ticks. Only reads.

pub(crate) mod batches;
pub(crate) mod events;
pub(crate) mod filters;
pub(crate) mod ticks;
pub(crate) mod track;
