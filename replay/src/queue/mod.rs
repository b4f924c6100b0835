//! The provider's queue: finds batches, streams their events, and hears of ticks. Only reads.

pub(crate) mod batches;
pub(crate) mod filters;
pub(crate) mod shapes;
pub(crate) mod ticks;
pub(crate) mod track;
