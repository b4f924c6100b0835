//! The subscriber's side: writes change sets in one transaction, which ends by moving a position. Replicated tables are
//! written only here and by the initial copy.

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
mod session_role;
mod small_batch;
mod staged;
mod sums;
pub(crate) mod table;
mod text_value;
pub(crate) mod truncate;
mod ways;
mod writable;

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use indexmap::IndexMap;
use sql::{
    connect::Session,
    event::{mapping::Mapping, shape::ShapeId},
    name::TableName,
    queue::tick::{Epoch, TickId},
    subscriber::{
        conflict::OnConflict,
        position::Mover,
        session_role::SessionRole,
        skipped_change::{self, Skipped},
        table_state::TableRow,
    },
};

use self::{
    open_conflicts::Conflicts, pending::Pending, session_role::make_ready, staged::Staged,
    table::Staging, truncate::Emptied, writable::Writable,
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// How many shapes may keep staging tables in a session. The server visits each staging table at the end of every
/// transaction.
const KEPT_STAGING: usize = 50;

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
    /// Shapes whose staging tables the open transaction has made.
    made_now: HashSet<(ShapeId, Staging)>,
    /// Shapes that may have staging tables. No shape is ever removed: a drop may be rolled back with its transaction.
    ever_made: HashSet<ShapeId>,
    /// Shapes whose tables the open transaction holds: see [`Applier::hold`].
    held: HashSet<ShapeId>,
    /// What the staging tables hold in the open transaction.
    staged: HashMap<ShapeId, [Staged; 2]>,
    /// Tables with sums that are staged and not written yet.
    pending: Pending,
    /// Tables with rows that are gathered and not written yet.
    gathered: Pending,
    conflicts: Conflicts,
    rows: u64,
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
        let mover = Mover::prepare(&*session)
            .await
            .map_err(Trouble::database("could not read trunkline.position"))?;
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
            made_now: HashSet::new(),
            held: HashSet::new(),
            staged: HashMap::new(),
            pending: Pending::default(),
            gathered: Pending::default(),
            conflicts: Conflicts::default(),
            rows: 0,
        })
    }

    /// The session, for reads and writes that belong to the same transaction.
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

    /// Opens the transaction.
    pub(crate) async fn begin(&mut self) -> Result<(), Trouble> {
        let begin = self.start(&[]);
        self.session
            .batch_execute(&begin)
            .await
            .map_err(Trouble::database("could not begin on the subscriber"))
    }

    /// Forgets the last transaction, and gives the statements that open the next one and hold its tables.
    fn start(&mut self, held: &[Arc<Writable>]) -> String {
        self.conflicts.clear();
        self.rows = 0;
        self.pending.clear();
        self.gathered.clear();
        self.staged.clear();
        self.held.clear();
        let mut begin = String::from("begin isolation level read committed read write; ");
        if self.made.len() > KEPT_STAGING {
            for (shape, _) in self.made.drain() {
                if self.ever_made.contains(&shape) {
                    begin.push_str(&table::drop_staging(shape));
                }
            }
        }
        if self.session_role == SessionRole::Origin {
            begin.push_str("set constraints all deferred; ");
        }
        if let Some(hold) = self.to_hold(held) {
            begin.push_str(&hold);
            begin.push_str("; ");
            self.note_held(held);
        }
        begin.push_str("savepoint chunk");
        begin
    }

    /// The changes of a table that an operator has dropped; the list cannot grow until the transaction ends.
    pub(crate) async fn skipped(&self, epoch: Epoch, table_oid: u32) -> Result<Skipped, Trouble> {
        let of = skipped_change::Of {
            consumer: &self.consumer,
            provider_oid: table_oid,
            epoch,
        };
        skipped_change::hold(&*self.session, of)
            .await
            .map_err(Trouble::database(
                "could not read which changes are skipped",
            ))
    }

    /// Writes sets on trial, inside the open transaction, and gives the result; the writes are rolled back.
    pub(crate) async fn try_sets(
        &mut self,
        sets: &[impl Borrow<ChangeSet>],
        tick: TickId,
    ) -> Result<Result<(), Trouble>, Trouble> {
        // Writing uses a savepoint named `chunk`, so the savepoint around the trial has another name.
        let run = async |applier: &Applier, sql: &str| {
            let done = applier.session.batch_execute(sql).await;
            done.map_err(Trouble::database("could not set a savepoint"))
        };
        run(self, "savepoint trial; savepoint chunk").await?;
        let (made, held) = (self.made_now.clone(), self.held.clone());
        let conflicts = std::mem::take(&mut self.conflicts);
        let mut tried = self.write(sets, tick).await;
        if tried.is_ok() {
            tried = self.settle(tick).await;
        }
        if let Err(again @ (Trouble::Passing { .. } | Trouble::Stale)) = tried {
            return Err(again);
        }
        self.pending.clear();
        self.gathered.clear();
        (self.made_now, self.held) = (made, held);
        self.conflicts = conflicts;
        run(self, "rollback to savepoint trial").await?;
        Ok(tried)
    }

    /// Rows written since `begin`.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    async fn run_at(&self, sql: &str, table: &TableName, doing: &str) -> Result<(), Trouble> {
        self.session
            .batch_execute(sql)
            .await
            .map_err(Trouble::at_table(table, doing))
    }

    /// Writes a chunk: the change sets of any number of tables, those of one table in order. Conflicts are stored under
    /// `tick`.
    pub(crate) async fn write(
        &mut self,
        sets: &[impl Borrow<ChangeSet>],
        tick: TickId,
    ) -> Result<(), Trouble> {
        let sets: Vec<&ChangeSet> = sets.iter().map(Borrow::borrow).collect();
        self.look_up(sets.iter().map(|set| &set.shape)).await?;
        let writable: Vec<Arc<Writable>> = sets
            .iter()
            .map(|set| self.writable(&set.shape))
            .collect::<Result<_, _>>()?;
        let mut emptied: Vec<&Arc<Writable>> = sets
            .iter()
            .zip(&writable)
            .filter(|(set, _)| set.truncate)
            .map(|(_, writable)| writable)
            .collect();
        if self.session_role == SessionRole::Origin {
            order::children_first(&mut emptied);
        }
        if !emptied.is_empty() {
            self.hold(&writable, "").await?;
            self.empty(&emptied).await?;
        }
        for set in sets.iter().filter(|set| set.truncate) {
            self.forget_gathered(set).await?;
        }
        for (set, writable) in sets.iter().zip(&writable) {
            self.make_room_for_sums(set, writable, tick).await?;
        }
        self.hold(&writable, "release savepoint chunk; savepoint chunk")
            .await?;
        let (mut now, mut writable_now, mut later) = (Vec::new(), Vec::new(), Vec::new());
        let mut begun = HashSet::new();
        for (set, one) in sets.iter().copied().zip(&writable) {
            // Once a table's set is gathered, its later sets must follow in order.
            if self.must_gather(set, one) || begun.contains(&set.shape.table.oid) {
                begun.insert(set.shape.table.oid);
                later.push((set, one));
            } else {
                now.push(set);
                writable_now.push(Arc::clone(one));
            }
        }
        match self.session_role {
            SessionRole::Replica => self.write_as_they_come(&now, &writable_now, tick).await?,
            SessionRole::Origin => self.write_in_order(&now, &writable_now, tick).await?,
        }
        for (set, one) in later {
            self.conflicts.take_back(set);
            self.gather(set, one, tick).await?;
        }
        for (set, writable) in sets.iter().zip(&writable) {
            if !set.sums.is_empty() {
                self.pending.add(writable);
            }
        }
        self.rows += sets.iter().map(|set| set.len() as u64).sum::<u64>();
        Ok(())
    }

    async fn write_as_they_come(
        &mut self,
        sets: &[&ChangeSet],
        writable: &[Arc<Writable>],
        tick: TickId,
    ) -> Result<(), Trouble> {
        let work: Vec<(&ChangeSet, &Writable)> = sets
            .iter()
            .copied()
            .zip(writable.iter().map(Arc::as_ref))
            .filter(|(set, _)| !set.is_empty())
            .collect();
        if self.write_quickly(&work).await? {
            self.take_back(&work);
        } else {
            self.roll_chunk_back().await?;
            for (set, writable) in &work {
                self.conflicts.take_back(set);
                self.write_carefully(set, writable, tick).await?;
            }
        }
        Ok(())
    }

    /// Takes back the conflicts of keys that the written sets say something new of.
    fn take_back(&mut self, work: &[(&ChangeSet, &Writable)]) {
        for (set, _) in work {
            self.conflicts.take_back(set);
        }
    }

    /// Writes a chunk where foreign keys are enforced.
    async fn write_in_order(
        &mut self,
        sets: &[&ChangeSet],
        writable: &[Arc<Writable>],
        tick: TickId,
    ) -> Result<(), Trouble> {
        let rounds = order::rounds(sets, writable);
        let work: Vec<(&ChangeSet, &Writable)> = rounds
            .iter()
            .flatten()
            .map(|(set, writable)| (set, writable.as_ref()))
            .collect();
        if self.write_quickly(&work).await? {
            self.take_back(&work);
        } else {
            self.roll_chunk_back().await?;
            for round in &rounds {
                self.write_round_carefully(round, tick).await?;
            }
        }
        Ok(())
    }

    /// Ends the writing, when all transactions of the batch are complete: writes all gathered rows and all staged sums,
    /// and stores conflicts or stops their table.
    pub(crate) async fn settle(&mut self, tick: TickId) -> Result<(), Trouble> {
        for writable in self.gathered.take_all() {
            self.write_together(&writable, tick).await?;
        }
        for writable in self.pending.take_all() {
            self.write_sums(&writable, tick).await?;
        }
        self.store_conflicts().await
    }

    /// Empties tables; the tables of one owner are emptied together.
    async fn empty(&self, tables: &[&Arc<Writable>]) -> Result<(), Trouble> {
        let mut by_role: IndexMap<Option<&str>, Vec<Emptied<'_>>> = IndexMap::new();
        for writable in tables {
            let target = &writable.target;
            let of_role = by_role.entry(target.acting.role()).or_default();
            of_role.push((&target.name, &target.acting));
        }
        for of_role in by_role.values() {
            truncate::tables(&self.session, of_role).await?;
        }
        Ok(())
    }

    async fn roll_chunk_back(&mut self) -> Result<(), Trouble> {
        self.made_now.clear();
        self.session
            .batch_execute("rollback to savepoint chunk")
            .await
            .map_err(Trouble::database("could not roll a chunk back"))
    }
}
