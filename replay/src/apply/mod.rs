//! The subscriber's side: writes change sets in one transaction, which ends by moving a position. Replicated tables are
//! written only here and by the initial copy.

pub(crate) mod alter;
mod altered_table;
mod beside;
mod commit;
mod conflicts;
mod deferred;
mod gathered;
mod hold;
mod known_table;
mod marks;
mod open_conflicts;
mod order;
pub(crate) mod origin;
pub(crate) mod owner;
mod pending;
mod pipeline;
mod script;
mod session_role;
mod small_batch;
mod staged;
mod sums;
pub(crate) mod table;
pub(crate) mod text_value;
mod transaction;
pub(crate) mod truncate;
mod ways;
mod writable;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sql::{
    connect::Session,
    event::{mapping::Mapping, shape::ShapeId},
    subscriber::{
        conflict::OnConflict, position::Mover, session_role::SessionRole, table_state::TableRow,
    },
};

pub(crate) use self::{commit::MoveTold, transaction::ApplyTx};
use self::{session_role::make_ready, table::Staging, writable::Writable};
use crate::trouble::Trouble;

/// Writes to one subscriber over one session.
pub(crate) struct Applier {
    session: Session,
    consumer: String,
    on_conflict: OnConflict,
    session_role: SessionRole,
    /// Choices of tables that have a choice of their own, by their oids on the provider.
    choices: HashMap<u32, OnConflict>,
    mover: Mover,
    /// The mappings of tables, by their oids on the provider.
    mappings: HashMap<u32, Mapping>,
    writable: HashMap<ShapeId, Arc<Writable>>,
    /// Shapes whose staging tables a committed transaction of this session has made.
    made: HashSet<(ShapeId, Staging)>,
    /// Shapes that may have staging tables. No shape is ever removed: a drop may be rolled back with its transaction.
    ever_made: HashSet<ShapeId>,
    /// A transaction was dropped without an end.
    is_left_open: bool,
}

impl Applier {
    /// Prepares a session for writing. The session gets a role in which the subscriber's own triggers and foreign keys
    /// do not act a second time, or tables with such triggers are refused; and its commits are durable.
    pub(crate) async fn new(
        session: Session,
        consumer: &str,
        on_conflict: OnConflict,
        session_role: SessionRole,
    ) -> Result<Applier, Trouble> {
        make_ready(&session, session_role).await?;
        let mover = Mover::prepare(&*session).await?;
        Ok(Applier {
            session,
            consumer: consumer.to_owned(),
            on_conflict,
            session_role,
            choices: HashMap::new(),
            mover,
            mappings: HashMap::new(),
            writable: HashMap::new(),
            made: HashSet::new(),
            ever_made: HashSet::new(),
            is_left_open: false,
        })
    }

    /// The session, between two transactions.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Notes the mappings of all tables that will be written.
    pub(crate) fn map_tables<'a>(&mut self, rows: impl IntoIterator<Item = &'a TableRow>) {
        self.mappings = rows
            .into_iter()
            .map(|row| (row.provider_oid, row.mapping.clone()))
            .collect();
    }

    /// Notes the mapping of one more table, and its choice for conflicts.
    pub(crate) fn learn(&mut self, row: &TableRow) {
        self.mappings.insert(row.provider_oid, row.mapping.clone());
        match row.on_conflict {
            Some(choice) => self.choices.insert(row.provider_oid, choice),
            None => self.choices.remove(&row.provider_oid),
        };
    }

    /// The mapping of a table. A table without a known mapping is not written as if it had no filter: the lists are
    /// read again.
    fn mapping(&self, table_oid: u32) -> Result<Mapping, Trouble> {
        self.mappings.get(&table_oid).cloned().ok_or(Trouble::Stale)
    }

    /// Notes the choices of tables that have a choice of their own.
    pub(crate) fn choose<'a>(&mut self, tables: impl IntoIterator<Item = &'a TableRow>) {
        self.choices = tables
            .into_iter()
            .filter_map(|row| Some((row.provider_oid, row.on_conflict?)))
            .collect();
    }
}
