//! The provider's side: finds batches, reads their events, and hears of ticks. Only reads.

pub(crate) mod filters;
pub(crate) mod reader;
pub(crate) mod readers;
pub(crate) mod shapes;
pub(crate) mod stream;
pub(crate) mod table_reader;
pub(crate) mod ticks;
pub(crate) mod track;
