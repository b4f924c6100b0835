//! The page of a daemon: one screen that says whether all is right and, if not, what to do. Pure: a status and the
//! history go in, HTML comes out.
//!
//! `replay` (with `lists`) and `ticker` say what is on the page of each; `view` draws it; `picture` and `plot` draw the
//! flow and the lines; `history` keeps what was seen. The page works without a script, in any width, and loads nothing.

mod history;
mod lists;
mod parts;
mod picture;
mod plot;
pub mod replay;
mod scale;
#[cfg(test)]
mod tests;
pub mod ticker;
mod view;

pub use history::{History, Measure, PERIOD, Reading, Span};

/// The page's style, of which the answer's headers have the digest.
pub const STYLE: &str = include_str!("style.css");

/// The page's script, of which the answer's headers have the digest.
pub const SCRIPT: &str = include_str!("live.js");
