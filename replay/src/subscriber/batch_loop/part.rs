//! A part of a batch: which of its changes are for tables that take them now, how they are
//! written, and whose trouble it is if they are not.

use std::sync::Arc;

use sql::{
    event::{Mark, shape::Shape},
    subscriber::table_state::TableRow,
};

use super::BatchLoop;
use crate::{
    fold::ChangeSet,
    reading::reader::{Header, Part},
    table,
    trouble::Trouble,
};

impl BatchLoop<'_> {
    pub(super) async fn write(&mut self, part: &Part, header: &Header) -> Result<(), Trouble> {
        let sets = self.taken(part);
        let narrowed = self.narrowed(&sets).await;
        let narrowed = narrowed.map_err(|trouble| self.under_its_stored_name(trouble))?;
        // Others read the same part: what a filter leaves of a set is a set of its own.
        let sets: Vec<&ChangeSet> = sets
            .iter()
            .zip(&narrowed)
            .map(|(whole, narrowed)| narrowed.as_ref().unwrap_or(whole))
            .collect();
        let written = self.applier.write(&sets, header.to.tick.id).await;
        written.map_err(|trouble| self.under_its_stored_name(trouble))
    }

    /// The part's sets of tables that take their changes now.
    fn taken<'p>(&mut self, part: &'p Part) -> Vec<&'p ChangeSet> {
        let sets: Vec<&ChangeSet> = part
            .sets
            .iter()
            .filter(|set| self.takes(set.shape.table.oid))
            .collect();
        for set in &sets {
            self.names
                .insert(set.shape.table_name(), set.shape.table.oid);
        }
        sets
    }

    /// Applies a part that is a whole batch, and commits, if it is small and nothing has to be
    /// asked of it first; else false.
    pub(super) async fn apply_at_once(
        &mut self,
        part: &Part,
        header: &Header,
    ) -> Result<bool, Trouble> {
        let sets = self.taken(part);
        let is_filtered = |set: &&ChangeSet| {
            let row = self.ok_table(set.shape.table.oid);
            row.is_none_or(|row| row.mapping.filter.is_some())
        };
        if sets.iter().any(is_filtered) {
            return Ok(false);
        }
        let applied = self
            .applier
            .apply_at_once(&sets, self.move_to(header))
            .await;
        applied.map_err(|trouble| self.under_its_stored_name(trouble))
    }

    /// Of each set of a table with a filter, what that takes.
    async fn narrowed(&mut self, sets: &[&ChangeSet]) -> Result<Vec<Option<ChangeSet>>, Trouble> {
        let mut narrowed = Vec::with_capacity(sets.len());
        for set in sets {
            let of_set = match self.tables.get(&set.shape.table.oid) {
                None => None,
                Some(row) => {
                    self.filters
                        .narrowed(&self.provider, &row.mapping, set)
                        .await?
                }
            };
            narrowed.push(of_set);
        }
        Ok(narrowed)
    }

    pub(super) async fn mark(
        &mut self,
        shape: &Arc<Shape>,
        mark: &Mark,
        header: &Header,
    ) -> Result<(), Trouble> {
        self.names.insert(shape.table_name(), shape.table.oid);
        let marked = self.applier.mark(shape, mark, header.to.tick.id).await;
        marked.map_err(|trouble| self.under_its_stored_name(trouble))
    }

    /// A table that was renamed on the provider is written under its new name, and known here
    /// by the name that it was added under: trouble with it is that table's alone.
    pub(super) fn under_its_stored_name(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Table {
                table: written,
                doing,
                advice,
                source,
            } => {
                let known = self
                    .names
                    .get(&written)
                    .and_then(|oid| self.tables.get(oid))
                    .map(|row| row.table.clone());
                let (table, doing) = match known {
                    Some(known) if known != written => {
                        (known, format!("now {written} on the provider: {doing}"))
                    }
                    Some(_) | None => (written, doing),
                };
                Trouble::Table {
                    table,
                    doing,
                    advice,
                    source,
                }
            }
            other @ (Trouble::Passing { .. } | Trouble::Operator { .. } | Trouble::Stale) => other,
        }
    }

    /// Whether tables that are `ok` can go on with what a part of a batch says beside rows.
    pub(super) fn check(&self, part: &Part) -> Result<(), Trouble> {
        for shape in &part.shapes {
            if let Some(row) = self.ok_table(shape.table.oid) {
                table::shape_can_go_on(shape, &row.mapping).map_err(|misfit| {
                    Trouble::unfollowable(&row.table, misfit.why, misfit.advice)
                })?;
            }
        }
        let large = part.large.iter().find_map(|oid| self.ok_table(*oid));
        large.map_or(Ok(()), |row| Err(table::too_large(&row.table)))
    }

    pub(super) fn takes(&self, table_oid: u32) -> bool {
        self.ok_table(table_oid).is_some()
    }

    fn ok_table(&self, table_oid: u32) -> Option<&TableRow> {
        self.tables.get(&table_oid)
    }
}
