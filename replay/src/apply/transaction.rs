//! The open transaction of an applier: what it has written so far, and how it writes a chunk.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use indexmap::IndexMap;
use sql::{
    event::shape::ShapeId,
    name::TableName,
    queue::tick::{Epoch, TickId},
    subscriber::{
        session_role::SessionRole,
        skipped_change::{self, Skipped},
    },
};

use super::{
    Applier,
    altered_table::AlteredTable,
    open_conflicts::Conflicts,
    order,
    pending::Pending,
    staged::Staged,
    table::{self, Staging},
    truncate::{self, Emptied},
    writable::Writable,
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// How many shapes may keep staging tables in a session. The server visits each staging table at the end of every
/// transaction.
const KEPT_STAGING: usize = 50;

/// The open transaction of an applier. Nothing else can use the applier's session until the transaction ends: by a
/// commit that takes a position or a table's state along, or by a rollback. A transaction that is dropped without an
/// end is rolled back before the next transaction begins.
pub(crate) struct ApplyTx<'a> {
    pub(super) applier: &'a mut Applier,
    pub(super) done: Done,
    pub(super) is_ended: bool,
}

/// What the open transaction has done so far.
#[derive(Clone, Default)]
pub(super) struct Done {
    /// Staging tables that the transaction has made.
    pub(super) made: HashSet<(ShapeId, Staging)>,
    /// Shapes whose tables the transaction holds: see [`ApplyTx::hold`].
    pub(super) held: HashSet<ShapeId>,
    /// What the staging tables hold.
    pub(super) staged: HashMap<ShapeId, [Staged; 2]>,
    /// Tables with sums that are staged and not written yet.
    pub(super) pending: Pending,
    /// Tables with rows that are gathered and not written yet.
    pub(super) gathered: Pending,
    pub(super) conflicts: Conflicts,
    pub(super) rows: u64,
    /// Changes of tables' columns.
    pub(super) altered: Vec<AlteredTable>,
}

/// A savepoint, with what the transaction had done when it was set.
pub(super) struct Savepoint {
    name: &'static str,
    before: Done,
}

impl Drop for ApplyTx<'_> {
    fn drop(&mut self) {
        self.applier.is_left_open |= !self.is_ended;
    }
}

impl Applier {
    /// Opens a transaction.
    pub(crate) async fn begin(&mut self) -> Result<ApplyTx<'_>, Trouble> {
        if self.is_left_open {
            self.rollback().await?;
        }
        let mut tx = ApplyTx::new(self);
        let begin = tx.start(&[]);
        tx.applier
            .session
            .batch_execute(&begin)
            .await
            .map_err(Trouble::database("could not begin on the subscriber"))?;
        Ok(tx)
    }
}

impl<'a> ApplyTx<'a> {
    /// A transaction that the statements of [`ApplyTx::start`] are to open.
    pub(super) fn new(applier: &'a mut Applier) -> ApplyTx<'a> {
        ApplyTx {
            applier,
            done: Done::default(),
            is_ended: false,
        }
    }

    /// The statements that open the transaction and hold tables of it.
    pub(super) fn start(&mut self, held: &[Arc<Writable>]) -> String {
        let mut begin = String::from("begin isolation level read committed read write; ");
        if self.applier.made.len() > KEPT_STAGING {
            for (shape, _) in self.applier.made.drain() {
                if self.applier.ever_made.contains(&shape) {
                    begin.push_str(&table::drop_staging(shape));
                }
            }
        }
        if self.applier.session_role == SessionRole::Origin {
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

    pub(super) async fn say(&self, sql: &str) -> Result<(), Trouble> {
        self.applier
            .session
            .batch_execute(sql)
            .await
            .map_err(Trouble::database("could not set a savepoint"))
    }

    /// Sets a savepoint, for what may have to be undone.
    pub(super) async fn savepoint(&self, name: &'static str) -> Result<Savepoint, Trouble> {
        self.say(&format!("savepoint {name}")).await?;
        Ok(Savepoint {
            name,
            before: self.done.clone(),
        })
    }

    /// Keeps what was done since a savepoint.
    pub(super) async fn release(&self, savepoint: Savepoint) -> Result<(), Trouble> {
        self.say(&format!("release savepoint {}", savepoint.name))
            .await
    }

    /// Undoes what was done since a savepoint, in the database and in what is noted here.
    pub(super) async fn roll_back_to(&mut self, savepoint: Savepoint) -> Result<(), Trouble> {
        self.say(&format!("rollback to savepoint {}", savepoint.name))
            .await?;
        self.done = savepoint.before;
        Ok(())
    }

    /// The changes of a table that an operator has dropped; the list cannot grow until the transaction ends.
    pub(crate) async fn skipped(&self, epoch: Epoch, table_oid: u32) -> Result<Skipped, Trouble> {
        let of = skipped_change::Of {
            consumer: &self.applier.consumer,
            provider_oid: table_oid,
            epoch,
        };
        Ok(skipped_change::hold(&*self.applier.session, of).await?)
    }

    /// Writes sets on trial, inside the open transaction, and gives the result; the writes are rolled back.
    pub(crate) async fn try_sets(
        &mut self,
        sets: &[impl Borrow<ChangeSet>],
        tick: TickId,
    ) -> Result<Result<(), Trouble>, Trouble> {
        let before = self.savepoint("trial").await?;
        // Writing marks its chunks by a savepoint of its own, which must lie within this one.
        self.say("savepoint chunk").await?;
        let mut tried = self.write(sets, tick).await;
        if tried.is_ok() {
            tried = self.settle(tick).await;
        }
        if let Err(again @ (Trouble::Passing { .. } | Trouble::Stale)) = tried {
            return Err(again);
        }
        self.roll_back_to(before).await?;
        Ok(tried)
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.done.rows
    }

    pub(super) async fn run_at(
        &self,
        sql: &str,
        table: &TableName,
        doing: &str,
    ) -> Result<(), Trouble> {
        self.applier
            .session
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
        if self.applier.session_role == SessionRole::Origin {
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
            // What follows in the same table follows in order.
            if self.must_gather(set, one) || begun.contains(&set.shape.table.oid) {
                begun.insert(set.shape.table.oid);
                later.push((set, one));
            } else {
                now.push(set);
                writable_now.push(Arc::clone(one));
            }
        }
        match self.applier.session_role {
            SessionRole::Replica => self.write_as_they_come(&now, &writable_now, tick).await?,
            SessionRole::Origin => self.write_in_order(&now, &writable_now, tick).await?,
        }
        for (set, one) in later {
            self.done.conflicts.take_back(set);
            self.gather(set, one, tick).await?;
        }
        for (set, writable) in sets.iter().zip(&writable) {
            if !set.sums.is_empty() {
                self.done.pending.add(writable);
            }
        }
        self.done.rows += sets.iter().map(|set| set.len() as u64).sum::<u64>();
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
                self.done.conflicts.take_back(set);
                self.write_carefully(set, writable, tick).await?;
            }
        }
        Ok(())
    }

    /// Takes back the conflicts of keys that the written sets say something new of.
    fn take_back(&mut self, work: &[(&ChangeSet, &Writable)]) {
        for (set, _) in work {
            self.done.conflicts.take_back(set);
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
        for writable in self.done.gathered.take_all() {
            self.write_together(&writable, tick).await?;
        }
        for writable in self.done.pending.take_all() {
            self.write_sums(&writable, tick).await?;
        }
        self.store_conflicts().await
    }

    /// Empties tables; the tables of one owner are emptied together. Of a table that other jobs write, too, only this
    /// job's rows are deleted.
    async fn empty(&self, tables: &[&Arc<Writable>]) -> Result<(), Trouble> {
        let mut by_role: IndexMap<Option<&str>, Vec<Emptied<'_>>> = IndexMap::new();
        for writable in tables {
            let target = &writable.target;
            if target.merge().is_some() {
                target.delete_mine(&self.applier.session).await?;
                continue;
            }
            let of_role = by_role.entry(target.acting.role()).or_default();
            of_role.push((&target.name, &target.acting));
        }
        for of_role in by_role.values() {
            truncate::tables(&self.applier.session, of_role).await?;
        }
        Ok(())
    }

    pub(super) async fn roll_chunk_back(&mut self) -> Result<(), Trouble> {
        self.done.made.clear();
        self.applier
            .session
            .batch_execute("rollback to savepoint chunk")
            .await
            .map_err(Trouble::database("could not roll a chunk back"))
    }
}
