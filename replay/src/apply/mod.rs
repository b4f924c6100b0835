//! The subscriber's side: writes change sets in one transaction, which ends by moving a
//! position. Nothing else writes replicated tables, but for the initial copy.

pub(crate) mod empty;
mod marks;
mod rows;
mod sets;
mod sums;
pub(crate) mod target;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sql::{
    classify,
    conflict::{self, Kind},
    connect::Session,
    name::TableName,
    position::{Move, Mover},
    shape::{Shape, ShapeId},
    table_state::{self, Step},
    tick::TickId,
};
use tracing::warn;

use self::{
    rows::{Pipeline, Prepared},
    sets::{Differences, Failed, SetWriter, Stage, Staged, is_in_the_way, is_known_loaded},
    sums::Pending,
    target::{SetStatements, Staging, SumStatements, Target},
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// Sets with at most this many rows go one prepared statement a row. Measured: about 25
/// microseconds a row against 2 milliseconds and 6 microseconds a row through staging.
const ROW_BY_ROW_LIMIT: usize = 100;

/// Shapes whose staging tables a session keeps. The server looks at each of them at the end of
/// every transaction.
const KEPT_STAGING: usize = 50;

/// Conflicts of one set that are logged one by one; the rest is counted in one line.
const LOGGED_CONFLICTS: usize = 5;

/// What happens when a row is not as its change says.
pub(crate) use admin::config::OnConflict;

/// A target with what is made of it once a session.
struct Writable {
    target: Target,
    known: SetStatements,
    unknown: SetStatements,
    sums: SumStatements,
    prepared: Option<Prepared>,
}

/// Writes to one subscriber over one session.
pub(crate) struct Applier {
    session: Session,
    consumer: String,
    on_conflict: OnConflict,
    mover: Mover,
    writable: HashMap<ShapeId, Arc<Writable>>,
    /// Shapes whose staging tables a committed transaction of this session has made.
    made: HashSet<(ShapeId, Staging)>,
    /// The same, made by the transaction that is open.
    made_now: HashSet<(ShapeId, Staging)>,
    /// What the staging tables hold in the transaction that is open.
    staged: HashMap<ShapeId, [Staged; 2]>,
    /// Sums that are staged and not written yet.
    pending: Pending,
    conflicts: i64,
    rows: u64,
}

impl Applier {
    /// Takes a session for writing: replication role, so that the subscriber's own triggers
    /// and foreign keys do not act a second time, and durable commits.
    pub(crate) async fn new(
        session: Session,
        consumer: &str,
        on_conflict: OnConflict,
    ) -> Result<Applier, Trouble> {
        become_replica(&session).await?;
        let mover = Mover::prepare(&*session)
            .await
            .map_err(Trouble::database("could not read trunkline.position"))?;
        Ok(Applier {
            session,
            consumer: consumer.to_owned(),
            on_conflict,
            mover,
            writable: HashMap::new(),
            made: HashSet::new(),
            made_now: HashSet::new(),
            staged: HashMap::new(),
            pending: Pending::default(),
            conflicts: 0,
            rows: 0,
        })
    }

    /// The session, for reading and writing what belongs into the same transaction.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Opens the transaction.
    pub(crate) async fn begin(&mut self) -> Result<(), Trouble> {
        self.conflicts = 0;
        self.rows = 0;
        self.pending.clear();
        self.staged.clear();
        let mut begin = String::new();
        if self.made.len() > KEPT_STAGING {
            for (shape, _) in self.made.drain() {
                begin.push_str(&target::drop_staging(shape));
            }
        }
        begin.push_str("begin isolation level read committed; savepoint chunk");
        self.session
            .batch_execute(&begin)
            .await
            .map_err(Trouble::database("could not begin on the subscriber"))
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

    /// Writes a chunk: the change sets of any number of tables, those of one table in order.
    /// `tick` is what conflicts are stored under.
    pub(crate) async fn write(&mut self, sets: &[ChangeSet], tick: TickId) -> Result<(), Trouble> {
        let mut writable = Vec::with_capacity(sets.len());
        for set in sets {
            writable.push(self.writable(&set.shape).await?);
        }
        let emptied: Vec<TableName> = sets
            .iter()
            .zip(&writable)
            .filter(|(set, _)| set.truncate)
            .map(|(_, writable)| writable.target.name.clone())
            .collect();
        if !emptied.is_empty() {
            empty::tables(&self.session, &emptied).await?;
        }
        for (set, writable) in sets.iter().zip(&writable) {
            self.make_room_for_sums(set, writable, tick).await?;
        }
        self.mark_chunk().await?;
        let work: Vec<(&ChangeSet, &Writable)> = sets
            .iter()
            .zip(writable.iter().map(Arc::as_ref))
            .filter(|(set, _)| !set.is_empty())
            .collect();
        if !self.write_quickly(&work).await? {
            self.session
                .batch_execute("rollback to savepoint chunk")
                .await
                .map_err(Trouble::database("could not roll a chunk back"))?;
            self.made_now.clear();
            for (set, writable) in &work {
                self.write_carefully(set, writable, tick).await?;
            }
        }
        for (set, writable) in sets.iter().zip(&writable) {
            if !set.sums.is_empty() {
                self.pending.add(writable);
            }
        }
        self.rows += work.iter().map(|(set, _)| set.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Before sums of a table are staged: those of an older shape are written, and what was
    /// staged of a table that was emptied is forgotten.
    async fn make_room_for_sums(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        if set.shape.has_key() {
            return Ok(());
        }
        let table = set.shape.table_name();
        if set.truncate {
            for old in self.pending.take(set.shape.table.oid, None) {
                self.run_at(&old.sums.clear, &table, "could not empty a staging table")
                    .await?;
            }
        }
        for old in self.pending.take(set.shape.table.oid, Some(set)) {
            self.write_sums(&old, tick).await?;
        }
        self.make(writable, Staging::Sums).await?;
        if self.pending.take_written(set.shape.shape) {
            self.run_at(
                &writable.sums.clear,
                &table,
                "could not empty a staging table",
            )
            .await?;
        }
        Ok(())
    }

    /// Writes all sums that are staged: the transactions that they are of are complete.
    pub(crate) async fn settle(&mut self, tick: TickId) -> Result<(), Trouble> {
        for writable in self.pending.take_all() {
            self.write_sums(&writable, tick).await?;
        }
        Ok(())
    }

    async fn write_sums(&mut self, writable: &Writable, tick: TickId) -> Result<(), Trouble> {
        let table = writable.target.shape.table_name();
        let written = sums::write(&self.session, writable)
            .await
            .map_err(Trouble::at_table(
                &table,
                "could not write its rows on the subscriber",
            ))?;
        self.pending.written(writable.target.shape.shape);
        let differences = Differences {
            missing: written.missing,
            unruly: written.unruly,
            ..Differences::default()
        };
        self.judge(&table, differences, tick).await
    }

    async fn mark_chunk(&self) -> Result<(), Trouble> {
        self.session
            .batch_execute("release savepoint chunk; savepoint chunk")
            .await
            .map_err(Trouble::database("could not set a savepoint"))
    }

    /// Writes sets that are taken to fit; false if one did not, and then the chunk is to be
    /// rolled back.
    async fn write_quickly(&mut self, work: &[(&ChangeSet, &Writable)]) -> Result<bool, Trouble> {
        let mut start = 0;
        while start < work.len() {
            let small = work[start..]
                .iter()
                .take_while(|(set, writable)| is_small(set, writable))
                .count();
            let clean = if small > 0 {
                self.write_rows(&work[start..start + small])
                    .await
                    .map_err(Failed::Statement)
            } else {
                let (set, writable) = work[start];
                self.make_staging(set, writable).await?;
                match sums::stage(&self.session, writable, set).await {
                    Ok(()) => self.writer(writable).write_quickly(set).await,
                    Err(error) => Err(Failed::Statement(error)),
                }
            };
            match clean {
                Ok(true) => start += small.max(1),
                Ok(false) => return Ok(false),
                Err(Failed::Refused(error)) => {
                    let table = work[start].0.shape.table_name();
                    return Err(Trouble::at_table(&table, "could not load its rows")(error));
                }
                Err(Failed::Statement(error)) => match classify(&error) {
                    sql::Class::Transient => {
                        return Err(Trouble::database("could not write to the subscriber")(
                            error,
                        ));
                    }
                    // The careful way finds out whose fault it is.
                    sql::Class::Operator | sql::Class::Bug => return Ok(false),
                },
            }
        }
        Ok(true)
    }

    async fn write_rows(
        &self,
        work: &[(&ChangeSet, &Writable)],
    ) -> Result<bool, tokio_postgres::Error> {
        let mut pipeline = Pipeline::new(&self.session);
        for (set, writable) in work {
            if let Some(prepared) = &writable.prepared {
                pipeline.add(&writable.target, prepared, set);
            }
        }
        pipeline.run().await
    }

    async fn write_carefully(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let table = set.shape.table_name();
        let at_table = || Trouble::at_table(&table, "could not write its rows on the subscriber");
        if set.shape.has_key() {
            self.make(writable, Staging::Known).await?;
            self.make(writable, Staging::Unknown).await?;
        } else {
            // The rollback before this took them away if they are new.
            self.make(writable, Staging::Sums).await?;
        }
        self.run_at("savepoint careful", &table, "could not set a savepoint")
            .await?;
        sums::stage(&self.session, writable, set)
            .await
            .map_err(at_table())?;
        let mut writer = self.writer(writable);
        let differences = match writer.write_carefully(set).await {
            Ok(differences) => differences,
            Err(error) if is_in_the_way(&error) && !writable.target.has_own_columns => {
                self.run_at(
                    "rollback to savepoint careful",
                    &table,
                    "could not roll back",
                )
                .await?;
                let mut writer = self.writer(writable);
                writer.replace(set).await.map_err(at_table())?
            }
            Err(error) => return Err(at_table()(error)),
        };
        self.run_at("release savepoint careful", &table, "could not go on")
            .await?;
        self.judge(&table, differences, tick).await
    }

    /// Stops a table whose rows do not stay as they are written; notes the conflicts of any
    /// other.
    async fn judge(
        &mut self,
        table: &TableName,
        differences: Differences,
        tick: TickId,
    ) -> Result<(), Trouble> {
        if differences.unruly {
            return Err(Trouble::misfit(
                table,
                "its statements did not touch each row once".into(),
                "look for triggers (ENABLE ALWAYS or REPLICA) and rules of the subscriber's table \
                 that take rows away, and for a key that it holds more than once",
            ));
        }
        self.note(table, differences, tick).await
    }

    /// Stores, counts and logs conflicts, or stops the table, as the job is configured.
    async fn note(
        &mut self,
        table: &TableName,
        differences: Differences,
        tick: TickId,
    ) -> Result<(), Trouble> {
        for (kind, keys) in differences.by_kind() {
            if keys.is_empty() {
                continue;
            }
            if self.on_conflict == OnConflict::Stop {
                return Err(Trouble::misfit(
                    table,
                    format!(
                        "{} of its rows {} on the subscriber",
                        keys.len(),
                        kind_says(kind)
                    ),
                    "put the rows right on the subscriber, or set on_conflict = \"overwrite\"",
                ));
            }
            let hashes = conflict::store(&*self.session, &self.consumer, table, kind, keys, tick)
                .await
                .map_err(Trouble::database("could not store conflicts"))?;
            self.conflicts += i64::try_from(keys.len()).unwrap_or(i64::MAX);
            for hash in hashes.iter().take(LOGGED_CONFLICTS) {
                warn!(%table, kind = kind.as_str(), key_hash = %hash, tick = tick.0, "conflict");
            }
            if hashes.len() > LOGGED_CONFLICTS {
                warn!(%table, kind = kind.as_str(), rows = hashes.len(), tick = tick.0, "conflicts");
            }
        }
        Ok(())
    }

    /// Makes the staging tables that a set is written through, if the session has not got them.
    async fn make_staging(&mut self, set: &ChangeSet, writable: &Writable) -> Result<(), Trouble> {
        if !is_known_loaded(set, &writable.target) {
            self.make(writable, Staging::Known).await?;
        }
        if !(set.gone.is_empty() && set.puts.is_empty()) {
            self.make(writable, Staging::Unknown).await?;
        }
        Ok(())
    }

    async fn make(&mut self, writable: &Writable, staging: Staging) -> Result<(), Trouble> {
        let made = (writable.target.shape.shape, staging);
        if self.made.contains(&made) || self.made_now.contains(&made) {
            return Ok(());
        }
        let sql = match staging {
            Staging::Known => &writable.known.make,
            Staging::Unknown => &writable.unknown.make,
            Staging::Sums => &writable.sums.make,
        };
        let table = writable.target.shape.table_name();
        self.run_at(sql, &table, "could not make staging tables")
            .await?;
        self.made_now.insert(made);
        Ok(())
    }

    fn writer<'a>(&'a mut self, writable: &'a Writable) -> SetWriter<'a> {
        let staged = self.staged.entry(writable.target.shape.shape).or_default();
        let [known, unknown] = staged;
        let stage = |statements, staged| Stage {
            client: &self.session,
            target: &writable.target,
            statements,
            staged,
        };
        SetWriter {
            known: stage(&writable.known, known),
            unknown: stage(&writable.unknown, unknown),
        }
    }

    /// The target of a shape, looked up once a session.
    async fn writable(&mut self, shape: &Arc<Shape>) -> Result<Arc<Writable>, Trouble> {
        if let Some(writable) = self.writable.get(&shape.shape) {
            return Ok(Arc::clone(writable));
        }
        let target = Target::find(&*self.session, shape).await?;
        let has_key = target.shape.has_key();
        if has_key && target.shape.key_fields().is_empty() {
            return Err(Trouble::misfit(
                &shape.table_name(),
                "its shape has no key".into(),
                "give the table a primary key on the provider",
            ));
        }
        // Looked up once more, the table may have changed: its staging tables are outdated.
        let table = shape.table_name();
        self.run_at(
            &target::drop_staging(shape.shape),
            &table,
            "could not drop staging tables",
        )
        .await?;
        self.made.retain(|(made, _)| *made != shape.shape);
        self.made_now.retain(|(made, _)| *made != shape.shape);
        // The server refuses an UPDATE of a GENERATED ALWAYS column when it is prepared.
        let prepared = if has_key && target.can_update() {
            let prepared = Prepared::prepare(&self.session, &target).await;
            Some(prepared.map_err(Trouble::at_table(
                &table,
                "could not prepare its statements",
            ))?)
        } else {
            None
        };
        let writable = Arc::new(Writable {
            prepared,
            known: target.set_statements(Staging::Known),
            unknown: target.set_statements(Staging::Unknown),
            sums: target.sum_statements(),
            target,
        });
        self.writable.insert(shape.shape, Arc::clone(&writable));
        Ok(writable)
    }

    /// Ends the transaction by moving the consumer's position.
    pub(crate) async fn commit_move(&mut self, step: Move) -> Result<(), Trouble> {
        self.settle(step.to.id).await?;
        self.swap_position(step).await?;
        self.commit().await
    }

    /// Ends the transaction by a step of a table's state.
    pub(crate) async fn commit_step(
        &mut self,
        table: &TableName,
        step: &Step<'_>,
    ) -> Result<(), Trouble> {
        if let Some(tick) = step.tick {
            self.settle(tick.id).await?;
        }
        self.take_step(table, step).await?;
        self.commit().await
    }

    /// Ends the transaction by a step of a table's state at a position of the consumer that
    /// must be as given.
    pub(crate) async fn commit_step_at(
        &mut self,
        table: &TableName,
        step: &Step<'_>,
        at: Move,
    ) -> Result<(), Trouble> {
        self.settle(at.to.id).await?;
        self.take_step(table, step).await?;
        self.swap_position(at).await?;
        self.commit().await
    }

    async fn swap_position(&self, step: Move) -> Result<(), Trouble> {
        let step = Move {
            conflicts: self.conflicts,
            ..step
        };
        let moved = self
            .mover
            .compare_and_swap(&*self.session, &self.consumer, &step)
            .await
            .map_err(Trouble::database("could not write the position"))?;
        if moved { Ok(()) } else { Err(Trouble::Stale) }
    }

    async fn take_step(&self, table: &TableName, step: &Step<'_>) -> Result<(), Trouble> {
        let taken = table_state::take_step(&*self.session, &self.consumer, table, step)
            .await
            .map_err(Trouble::database("could not write a table's state"))?;
        if taken { Ok(()) } else { Err(Trouble::Stale) }
    }

    async fn commit(&mut self) -> Result<(), Trouble> {
        self.session
            .batch_execute("commit")
            .await
            .map_err(Trouble::database("could not commit on the subscriber"))?;
        self.made.extend(self.made_now.drain());
        Ok(())
    }

    /// Ends the transaction without a trace. What was learnt of tables is forgotten too, as
    /// they may have changed.
    pub(crate) async fn rollback(&mut self) -> Result<(), Trouble> {
        self.made_now.clear();
        self.pending.clear();
        self.writable.clear();
        self.session
            .batch_execute("rollback")
            .await
            .map_err(Trouble::database("could not roll back on the subscriber"))
    }
}

/// Makes a transaction apply changes as a replica: the subscriber's own triggers and foreign
/// keys do not act a second time, a hidden row is an error, and the commit is durable.
pub(crate) const REPLICA_SETTINGS: &str = "set local session_replication_role = replica; \
     set local synchronous_commit = on; set local row_security = off";

/// Makes a session apply changes as a replica.
pub(crate) async fn become_replica(session: &Session) -> Result<(), Trouble> {
    session
        .batch_execute(&REPLICA_SETTINGS.replace("set local", "set"))
        .await
        .map_err(|error| {
            let denied = error.code().is_some_and(|code| code.code() == "42501");
            if !denied {
                return Trouble::database("could not set the apply session up")(error);
            }
            Trouble::Operator {
                doing: "could not set session_replication_role on the subscriber".into(),
                advice: "make replay's role there a superuser, or from PostgreSQL 15 on: \
                         grant set on parameter session_replication_role to it"
                    .into(),
                source: anyhow::Error::new(error),
            }
        })
}

fn is_small(set: &ChangeSet, writable: &Writable) -> bool {
    set.len() <= ROW_BY_ROW_LIMIT && set.puts.is_empty() && writable.prepared.is_some()
}

fn kind_says(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "are missing",
        Kind::Exists => "are there already",
    }
}
