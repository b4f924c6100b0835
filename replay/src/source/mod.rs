//! The provider's side: finds batches, reads their events, and hears of ticks. Only reads.

pub mod reader;
pub mod shapes;
pub mod stream;
pub mod table_reader;
pub mod ticks;
pub mod track;
