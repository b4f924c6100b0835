//! What a switchover does, decided from what the nodes say: who takes which part, what keeps it from beginning, and
//! what becomes of one whose command has died. Pure.

mod course;
mod parts;
mod refusal;

#[cfg(test)]
mod tests;

pub(super) use course::{Course, Known, Old, Wish, course};
pub(super) use parts::{Cast, Casting, cast};
pub(super) use refusal::{Readiness, refusals};
