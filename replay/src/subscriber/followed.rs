//! The tables that take the changes of a batch: which sets of a part are theirs, how a part is written, and which table
//! a failure belongs to. The batch loop, a table that catches up or is taken over, and the search for a refused change
//! all use it.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use sql::{
    connect::Session,
    event::{Mark, shape::Shape},
    name::TableName,
    queue::tick::TickId,
    script::Script,
    subscriber::table_state::TableRow,
};

use crate::{
    apply::ApplyTx,
    batch::{Barrier, BatchPart, End},
    fold::ChangeSet,
    queue::filters::Filters,
    table,
    trouble::Trouble,
};

/// The tables that take changes at present.
pub(crate) struct Followed {
    /// The tables by their oids on the provider.
    tables: HashMap<u32, TableRow>,
    /// The oids of the tables that the present batch writes, by their present names on the provider.
    names: HashMap<TableName, u32>,
    /// The filters; none if no table has a filter.
    filters: Option<Filters>,
    /// A table's rows have become the provider's own since that was asked last.
    has_own: bool,
    /// The tables' columns are changed as on the provider (`replicate_ddl`).
    alters: bool,
}

impl Followed {
    /// A list without tables. Filters are asked over `provider`, a session that streams nothing; the session may be
    /// missing if no table has a filter.
    pub(crate) fn new(provider: Option<Arc<Session>>) -> Followed {
        Followed {
            tables: HashMap::new(),
            names: HashMap::new(),
            filters: provider.map(Filters::new),
            has_own: false,
            alters: false,
        }
    }

    /// Whether columns follow the provider's (`replicate_ddl`).
    pub(crate) fn alters(&self) -> bool {
        self.alters
    }

    /// The same list, whose tables' columns are changed as the provider's were, or are not (`replicate_ddl`).
    pub(crate) fn altering(self, alters: bool) -> Followed {
        Followed { alters, ..self }
    }

    /// Replaces all tables by these.
    pub(crate) fn replace(&mut self, rows: impl IntoIterator<Item = TableRow>) {
        self.tables = rows
            .into_iter()
            .map(|row| (row.provider_oid, row))
            .collect();
    }

    /// Adds a table.
    pub(crate) fn insert(&mut self, row: TableRow) {
        self.tables.insert(row.provider_oid, row);
    }

    /// Takes a table out.
    pub(crate) fn remove(&mut self, table_oid: u32) {
        self.tables.remove(&table_oid);
    }

    /// Whether a table takes changes.
    pub(crate) fn has(&self, table_oid: u32) -> bool {
        self.tables.contains_key(&table_oid)
    }

    /// A row with the names that its table has by now.
    pub(crate) fn with_names(&self, row: &TableRow) -> TableRow {
        let known = self.tables.get(&row.provider_oid);
        TableRow {
            now: known.map_or_else(|| row.now.clone(), |known| known.now.clone()),
            ..row.clone()
        }
    }

    /// The first table that a script touches, by name.
    pub(crate) fn touched_by(&self, script: &Script) -> Option<&TableRow> {
        let rows = self.tables.values();
        rows.filter(|row| script.touches(row.provider_oid, &row.table))
            .min_by(|one, other| one.table.cmp(&other.table))
    }

    /// The number of tables.
    pub(crate) fn len(&self) -> usize {
        self.tables.len()
    }

    /// The table with a name, which is the name that the table was added under.
    pub(crate) fn named(&self, table: &TableName) -> Option<&TableRow> {
        self.tables.values().find(|row| row.table == *table)
    }

    /// Whether a table's rows have become the provider's own since this was asked last.
    pub(crate) fn take_own(&mut self) -> bool {
        std::mem::take(&mut self.has_own)
    }

    /// Begins a batch: forgets the names that tables had in the batch before.
    pub(crate) fn begin_batch(&mut self) {
        self.names.clear();
    }

    /// Writes a part of a batch in the open transaction, with the step that ends the part.
    ///
    /// # Errors
    /// [`Trouble::Table`] if a table cannot go on, under the name that the table was added by.
    pub(crate) async fn write(
        &mut self,
        tx: &mut ApplyTx<'_>,
        part: &BatchPart,
        tick: TickId,
    ) -> Result<(), Trouble> {
        self.check(part)?;
        self.note_names(tx, part).await?;
        let sets = self.taken(part);
        let written = match self.narrowed(sets).await {
            Ok(sets) => tx.write(&sets, tick).await,
            Err(trouble) => Err(trouble),
        };
        written.map_err(|trouble| self.under_its_stored_name(trouble))?;
        match &part.end {
            End::Before(Barrier::Altered(shape, altered)) => {
                if !self.alters || !self.has(shape.table.oid) {
                    return Ok(());
                }
                self.names.insert(shape.table_name(), shape.table.oid);
                let done = tx.alter(shape, altered, tick).await;
                done.map_err(|trouble| self.under_its_stored_name(trouble))
            }
            // Who has asked for the part sees to the script.
            End::Open | End::Last { .. } | End::Before(Barrier::Script(_)) => Ok(()),
            End::Before(Barrier::Mark(shape, mark)) => self.mark(tx, shape, mark, tick).await,
        }
    }

    /// The sets of a part that can be written as they are: those of the tables that take changes. None if one of these
    /// tables has a filter or a new shape.
    pub(crate) fn unfiltered<'p>(
        &mut self,
        part: &'p BatchPart,
    ) -> Result<Option<Vec<&'p ChangeSet>>, Trouble> {
        self.check(part)?;
        if part.shapes.iter().any(|shape| self.has(shape.table.oid)) {
            return Ok(None);
        }
        let sets = self.taken(part);
        let is_filtered = |set: &&ChangeSet| {
            let row = self.tables.get(&set.shape.table.oid);
            row.is_none_or(|row| row.mapping.filter.is_some())
        };
        Ok((!sets.iter().any(is_filtered)).then_some(sets))
    }

    /// The part of change sets that the tables' filters take; sets of tables without a filter are taken whole. Other
    /// subscribers read the same part, so a filtered set is a set of its own.
    pub(crate) async fn narrowed<'s>(
        &mut self,
        sets: Vec<&'s ChangeSet>,
    ) -> Result<Vec<Cow<'s, ChangeSet>>, Trouble> {
        let mut narrowed = Vec::with_capacity(sets.len());
        for set in sets {
            let row = self.tables.get(&set.shape.table.oid);
            let of_set = match row.filter(|row| row.mapping.filter.is_some()) {
                None => None,
                Some(row) => {
                    let filters = self.filters.as_mut().ok_or(Trouble::Stale)?;
                    filters.narrowed(&row.mapping, set).await?
                }
            };
            narrowed.push(of_set.map_or(Cow::Borrowed(set), Cow::Owned));
        }
        Ok(narrowed)
    }

    /// Whether the tables can go on with the shapes, marks and large rows of a part.
    fn check(&self, part: &BatchPart) -> Result<(), Trouble> {
        for shape in &part.shapes {
            if let Some(row) = self.tables.get(&shape.table.oid) {
                table::shape_can_go_on(shape, &row.mapping).map_err(|misfit| {
                    Trouble::unfollowable(&row.table, misfit.why, misfit.advice)
                })?;
            }
        }
        let large = part.large.iter().find_map(|oid| self.tables.get(oid));
        large.map_or(Ok(()), |row| Err(table::too_large(&row.table)))
    }

    /// Stores what tables and columns are called from new shapes on: with other providers they have other numbers.
    async fn note_names(&mut self, tx: &ApplyTx<'_>, part: &BatchPart) -> Result<(), Trouble> {
        for shape in &part.shapes {
            let oid = shape.table.oid;
            if let Some(row) = self.tables.get_mut(&oid)
                && let Some(now) = row.now.after(&row.mapping, shape)
            {
                tx.note_names(oid, &now).await?;
                row.now = now;
            }
        }
        Ok(())
    }

    /// The sets of the tables that take changes; notes the present names of these tables.
    fn taken<'p>(&mut self, part: &'p BatchPart) -> Vec<&'p ChangeSet> {
        let sets = part.sets.iter();
        let sets: Vec<&ChangeSet> = sets
            .filter(|set| self.tables.contains_key(&set.shape.table.oid))
            .collect();
        for set in &sets {
            self.names
                .insert(set.shape.table_name(), set.shape.table.oid);
        }
        sets
    }

    async fn mark(
        &mut self,
        tx: &mut ApplyTx<'_>,
        shape: &Arc<Shape>,
        mark: &Mark,
        tick: TickId,
    ) -> Result<(), Trouble> {
        if !self.tables.contains_key(&shape.table.oid) {
            return Ok(());
        }
        self.names.insert(shape.table_name(), shape.table.oid);
        self.has_own |= matches!(mark, Mark::Own);
        let marked = tx.mark(shape, mark, tick).await;
        marked.map_err(|trouble| self.under_its_stored_name(trouble))
    }

    /// The trouble of a table under the name that the table was added by. A table that was renamed on the provider is
    /// written under its new name, and known to the job by the old one.
    pub(crate) fn under_its_stored_name(&self, trouble: Trouble) -> Trouble {
        let Trouble::Table(trouble) = trouble else {
            return trouble;
        };
        let oid = self.names.get(trouble.table());
        match oid.and_then(|oid| self.tables.get(oid)) {
            Some(row) => trouble.renamed(&row.table).into(),
            None => Trouble::Table(trouble),
        }
    }
}
