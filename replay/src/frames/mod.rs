//! Frames: pieces of the queue, as files keep them. The formats of an archive, and nothing that touches a disk. Pure.
//!
//! - `place`: positions, times and 64-bit numbers, as JSON has them;
//! - `record` and `frame`: what the body of a segment consists of;
//! - `segment`: the line that a segment begins with, and its name;
//! - `body`: a body, read and checked record by record;
//! - `manifest`: what a base consists of, and its name; `detail`: what that of an encrypted one leaves out;
//! - `cut`: what of a frame follows one of its ticks.

pub mod body;
pub mod cut;
pub mod detail;
pub mod frame;
pub mod manifest;
pub mod place;
pub mod record;
pub mod segment;

#[cfg(test)]
pub(crate) mod tests;
