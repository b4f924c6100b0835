//! What a session knows of each table that it writes: the target, its statements, and the
//! staging tables that it has made for them.

use std::sync::Arc;

use sql::{mapping::Mapping, shape::Shape};

use super::{
    Applier,
    rows::Prepared,
    sets::{SetWriter, Stage, is_known_loaded},
    target::{self, SetStatements, Staging, SumStatements, Target},
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// A target with what is made of it once a session.
pub(super) struct Writable {
    /// What the target was found by, beside the shape.
    mapping: Mapping,
    pub(super) target: Target,
    pub(super) known: SetStatements,
    pub(super) unknown: SetStatements,
    pub(super) sums: SumStatements,
    pub(super) prepared: Option<Prepared>,
}

impl Applier {
    /// Makes the staging tables that a set is written through, if the session has not got them.
    pub(super) async fn make_staging(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
    ) -> Result<(), Trouble> {
        if !is_known_loaded(set, &writable.target) {
            self.make(writable, Staging::Known).await?;
        }
        if !(set.gone.is_empty() && set.puts.is_empty()) {
            self.make(writable, Staging::Unknown).await?;
        }
        Ok(())
    }

    pub(super) async fn make(
        &mut self,
        writable: &Writable,
        staging: Staging,
    ) -> Result<(), Trouble> {
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

    pub(super) fn writer<'a>(&'a mut self, writable: &'a Writable) -> SetWriter<'a> {
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
    pub(super) async fn writable(&mut self, shape: &Arc<Shape>) -> Result<Arc<Writable>, Trouble> {
        let mapping = self.mapping(shape.table.oid)?;
        // A table that was removed and added again may have the same shape, and another mapping.
        if let Some(writable) = self.writable.get(&shape.shape)
            && writable.mapping == mapping
        {
            return Ok(Arc::clone(writable));
        }
        let target = Target::find(&*self.session, shape, &mapping, self.session_role).await?;
        target.acting.refuse_code(&shape.table_name())?;
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
        let maker = self.makers.remove(&shape.shape);
        self.act_as(maker.as_deref(), &table).await?;
        self.run_at(
            &target::drop_staging(shape.shape),
            &table,
            "could not drop staging tables",
        )
        .await?;
        self.act_as_self(maker.as_deref(), &table).await?;
        if let Some(role) = target.acting.role() {
            self.makers.insert(shape.shape, role.to_owned());
        }
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
            mapping,
            prepared,
            known: target.set_statements(Staging::Known),
            unknown: target.set_statements(Staging::Unknown),
            sums: target.sum_statements(),
            target,
        });
        self.writable.insert(shape.shape, Arc::clone(&writable));
        Ok(writable)
    }
}
