//! What a failover does, decided from what the nodes say: who was the provider, who takes its place, what is lost, and
//! what becomes of an operation whose command has died. Pure.

mod course;
mod dead;
mod elect;
mod loss;

#[cfg(test)]
mod tests;

pub(super) use course::{Course, Row, course};
pub(crate) use dead::has_provider;
pub(super) use dead::{Dead, Finding, dead};
pub(super) use elect::{Standing, Wish, elect, silent_standbys};
pub(super) use loss::{Loss, loss};
