//! The tables with changes that a transaction has staged and writes at its end. Pure.

use std::{collections::HashSet, sync::Arc};

use sql::event::shape::ShapeId;

use super::writable::Writable;
use crate::fold::ChangeSet;

/// Tables with changes that are staged and not written.
#[derive(Clone, Default)]
pub(super) struct Pending {
    staged: Vec<Arc<Writable>>,
    /// Shapes whose staging tables still hold what the open transaction has written.
    written: HashSet<ShapeId>,
}

impl Pending {
    /// Notes that a table has staged changes.
    pub(super) fn add(&mut self, writable: &Arc<Writable>) {
        let shape = writable.target.shape.shape;
        if !self
            .staged
            .iter()
            .any(|one| one.target.shape.shape == shape)
        {
            self.staged.push(Arc::clone(writable));
        }
    }

    /// Whether a table has staged changes.
    pub(super) fn has(&self, table_oid: u32) -> bool {
        let of = |one: &Arc<Writable>| one.target.shape.table.oid == table_oid;
        self.staged.iter().any(of)
    }

    /// Takes out a table's entries, of all shapes but that of `but`.
    pub(super) fn take(&mut self, table_oid: u32, but: Option<&ChangeSet>) -> Vec<Arc<Writable>> {
        let but = but.map(|set| set.shape.shape);
        let (taken, kept) = self.staged.drain(..).partition(|one| {
            let shape = &one.target.shape;
            shape.table.oid == table_oid && Some(shape.shape) != but
        });
        self.staged = kept;
        taken
    }

    /// Takes out all entries.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Writable>> {
        std::mem::take(&mut self.staged)
    }

    /// Notes that the staged changes of a shape are written.
    pub(super) fn written(&mut self, shape: ShapeId) {
        self.written.insert(shape);
    }

    /// Whether a shape's staging tables must be emptied before new rows are staged.
    pub(super) fn take_written(&mut self, shape: ShapeId) -> bool {
        self.written.remove(&shape)
    }
}
