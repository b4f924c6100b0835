//! What a session knows of each table that it writes: the target, its statements, and the staging tables that the
//! session has made for them.

use std::sync::Arc;

use futures::future::join_all;
use sql::event::{mapping::Mapping, shape::Shape};

use super::{
    ApplyTx,
    pipeline::TargetStatements,
    staged::{SetWriter, Stage, is_known_loaded},
    table::{self, Staging, Target},
    writable::Writable,
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// How many tables are looked up together. All answers are in memory at once.
const LOOKED_UP_AT_ONCE: usize = 50;

impl ApplyTx<'_> {
    /// Makes the staging tables that a set is written through, unless the session has them.
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
        if self.applier.made.contains(&made) || self.done.made.contains(&made) {
            return Ok(());
        }
        let sql = match staging {
            Staging::Known => &writable.known.make,
            Staging::Unknown => &writable.unknown.make,
            Staging::Sums => &writable.sums.make,
            Staging::Together => &writable.together.make,
        };
        let table = writable.target.shape.table_name();
        self.run_at(sql, &table, "could not make staging tables")
            .await?;
        self.done.made.insert(made);
        self.applier.ever_made.insert(made.0);
        Ok(())
    }

    pub(super) fn writer<'a>(&'a mut self, writable: &'a Writable) -> SetWriter<'a> {
        let staged = self
            .done
            .staged
            .entry(writable.target.shape.shape)
            .or_default();
        let [known, unknown] = staged;
        let stage = |statements, staged| Stage {
            client: &self.applier.session,
            target: &writable.target,
            statements,
            staged,
        };
        SetWriter {
            known: stage(&writable.known, known),
            unknown: stage(&writable.unknown, unknown),
        }
    }

    /// The target of a shape that is looked up.
    pub(super) fn writable(&self, shape: &Shape) -> Result<Arc<Writable>, Trouble> {
        let known = self
            .applier
            .writable
            .get(&shape.shape)
            .ok_or(Trouble::Stale)?;
        Ok(Arc::clone(known))
    }

    /// Looks up the targets of shapes that are new to the session, many at once: each look-up costs two round trips,
    /// and a backlog may begin with a thousand tables.
    pub(super) async fn look_up(
        &mut self,
        shapes: impl Iterator<Item = &Arc<Shape>>,
    ) -> Result<(), Trouble> {
        let mut new: Vec<(&Arc<Shape>, Mapping)> = Vec::new();
        for shape in shapes {
            let mapping = self.applier.mapping(shape.table.oid)?;
            let known = self.applier.writable.get(&shape.shape);
            // A table that was removed and added again may have the same shape, and another mapping.
            if known.is_none_or(|known| known.mapping != mapping) {
                new.push((shape, mapping));
            }
        }
        new.sort_by_key(|(shape, _)| shape.shape.0);
        new.dedup_by_key(|(shape, _)| shape.shape.0);
        while !new.is_empty() {
            let some = new.drain(..new.len().min(LOOKED_UP_AT_ONCE)).collect();
            self.look_some_up(some).await?;
        }
        Ok(())
    }

    async fn look_some_up(&mut self, some: Vec<(&Arc<Shape>, Mapping)>) -> Result<(), Trouble> {
        let (client, role) = (&*self.applier.session, self.applier.session_role);
        let finding = some
            .iter()
            .map(|(shape, mapping)| Target::find(client, shape, mapping, role));
        let targets = all_or_first(join_all(finding).await)?;
        for target in &targets {
            let table = target.shape.table_name();
            target.acting.refuse_code(&table)?;
            target.acting.refuse_unlogged(&table)?;
            if target.shape.has_key() && target.key_fields.is_empty() {
                return Err(Trouble::unfollowable(
                    &table,
                    "its shape has no key".into(),
                    "give the table a primary key on the provider",
                ));
            }
        }
        let preparing = targets
            .iter()
            .map(|target| TargetStatements::find(client, target));
        let prepared = all_or_first(join_all(preparing).await)?;
        for (((_, mapping), target), prepared) in some.into_iter().zip(targets).zip(prepared) {
            self.forget_staging(&target).await?;
            let writable = Writable {
                mapping,
                prepared,
                known: target.set_statements(Staging::Known),
                unknown: target.set_statements(Staging::Unknown),
                sums: target.sum_statements(),
                together: target.together_statements(),
                target,
            };
            let shape = writable.target.shape.shape;
            self.applier.writable.insert(shape, Arc::new(writable));
        }
        Ok(())
    }

    /// Drops the staging tables of a target that is looked up again: the table may have changed, and then they are
    /// outdated.
    async fn forget_staging(&mut self, target: &Target) -> Result<(), Trouble> {
        let (shape, table) = (target.shape.shape, target.shape.table_name());
        if self.applier.ever_made.contains(&shape) {
            let drop = table::drop_staging(shape);
            self.run_at(&drop, &table, "could not drop staging tables")
                .await?;
        }
        self.applier.made.retain(|(made, _)| *made != shape);
        self.done.made.retain(|(made, _)| *made != shape);
        Ok(())
    }
}

/// All results, or the first failure. After the statement that fails a transaction, all statements behind it fail, too.
/// Their answers may belong to tables before the one at fault, which are not to blame.
fn all_or_first<T>(results: Vec<Result<T, Trouble>>) -> Result<Vec<T>, Trouble> {
    let (mut all, mut failed) = (Vec::with_capacity(results.len()), None);
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(trouble) => {
                if failed.as_ref().is_none_or(Trouble::follows_another) {
                    failed = Some(trouble);
                }
            }
        }
    }
    failed.map_or(Ok(all), Err)
}
