//! A table as a session writes it: the target, and its statements. Pure.

use sql::event::mapping::Mapping;

use super::{
    pipeline::TargetStatements,
    table::{SetStatements, SumStatements, Target, TogetherStatements},
};

/// A target, with the statements that are made of it once a session.
pub(super) struct Writable {
    /// The mapping by which the target was looked up, beside the shape.
    pub(super) mapping: Mapping,
    pub(super) target: Target,
    pub(super) known: SetStatements,
    pub(super) unknown: SetStatements,
    pub(super) sums: SumStatements,
    pub(super) together: TogetherStatements,
    pub(super) prepared: Option<TargetStatements>,
}
