//! Reading a batch: raw events become decoded and folded sets, once for all subscribers at the same position. Contains
//! no SQL: the events come from `queue`, or from `files` where the queue has given them away.

pub(crate) mod feed;
pub(crate) mod parts;
pub(crate) mod reader;
pub(crate) mod shared;
mod source;
pub(crate) mod tick_by_tick;
