//! Brings back what copies took away and no copy brings back any more: foreign keys that wait until both of their
//! tables are copied, and objects of tables that were removed from the job meanwhile. One object at a time, beside the
//! tables' tasks.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sql::{
    name::TableName,
    subscriber::{
        kept_ddl::{self, Kept},
        position,
        table_state::{self, Stand, TableRow},
    },
};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tracing::{error, info};

use super::{names::Names, restore};
use crate::{subscriber::shared::Subscription, trouble::Trouble};

/// How long an object rests that could not be brought back, unless tables change: the table's rows violate it, and
/// somebody has to change them or copy them again.
const REST: Duration = Duration::from_secs(600);

/// Work that is due.
#[derive(Clone, Debug)]
enum Due {
    /// All kept objects of a table that is not the job's any more.
    Table(TableName, i64),
    /// A foreign key whose tables are both copied.
    ForeignKey(Box<Kept>),
}

impl Due {
    fn id(&self) -> i64 {
        match self {
            Due::Table(_, id) => *id,
            Due::ForeignKey(kept) => kept.id,
        }
    }
}

/// The work that is due, by the states of the job's tables.
fn due(kept: Vec<Kept>, rows: &[TableRow], names: &Names) -> Vec<Due> {
    let of_job = |table: &TableName| rows.iter().find(|row| row.table == *table);
    // A table that is not replicated has its rows.
    let is_in = |table: &TableName| of_job(table).is_none_or(|row| row.stand == Stand::Ok);
    // A table is found by its present name and by the one before: it need not be renamed here yet.
    let has_its_rows = |here: &TableName| {
        rows.iter()
            .filter(|row| names.target(row) == here || row.target() == here)
            .all(|row| row.stand == Stand::Ok)
    };
    kept.into_iter()
        .filter_map(|one| {
            let waits = one.is_foreign_key() && one.build.is_empty() && one.attach.is_empty();
            if !waits {
                return of_job(&one.table)
                    .is_none()
                    .then(|| Due::Table(one.table.clone(), one.id));
            }
            (is_in(&one.table) && has_its_rows(&one.on)).then(|| Due::ForeignKey(Box::new(one)))
        })
        .collect()
}

/// The running work, and the objects that rest.
#[derive(Default)]
pub(crate) struct Tending {
    running: JoinSet<(i64, Result<(), Trouble>)>,
    resting: HashMap<i64, Instant>,
    /// The version of the job's tables at the last look.
    tables_version: i64,
}

impl Tending {
    /// Looks for work, and begins with the next object if none is being brought back.
    pub(crate) async fn turn(
        &mut self,
        sub: &Arc<Subscription>,
        provider: &Client,
        subscriber: &Client,
    ) -> Result<(), Trouble> {
        while let Some(ended) = self.running.try_join_next() {
            if let Ok((id, Err(trouble))) = ended {
                error!(
                    consumer = %sub.consumer,
                    error = %trouble.chain(),
                    advice = trouble.advice().unwrap_or_default(),
                    "not brought back yet"
                );
                self.resting.insert(id, Instant::now() + REST);
            }
        }
        if !self.running.is_empty() {
            return Ok(());
        }
        let kept = kept_ddl::list(subscriber, &sub.consumer).await?;
        if kept.is_empty() {
            // Nearly always no object is kept.
            return Ok(());
        }
        self.wake_up(sub, subscriber).await?;
        if kept.iter().all(|one| self.resting.contains_key(&one.id)) {
            return Ok(());
        }
        let rows = table_state::list(subscriber, &sub.consumer).await?;
        let names = Names::read(provider, &rows).await?;
        let next = due(kept, &rows, &names)
            .into_iter()
            .find(|due| !self.resting.contains_key(&due.id()));
        if let Some(due) = next {
            let sub = Arc::clone(sub);
            self.running.spawn(async move {
                let id = due.id();
                let result = bring_back(&sub, due).await;
                sub.for_tables.notify_one();
                (id, result)
            });
        }
        Ok(())
    }

    /// Ends the rest of objects that have rested long enough, or of all if the job's tables have changed: a foreign key
    /// whose parent was empty for the moment finds its rows now.
    async fn wake_up(&mut self, sub: &Subscription, subscriber: &Client) -> Result<(), Trouble> {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let stored = position::find(subscriber, &sub.consumer).await?;
        let version = stored.map_or(0, |stored| stored.tables_version);
        if std::mem::replace(&mut self.tables_version, version) != version {
            self.resting.clear();
        }
        Ok(())
    }
}

async fn bring_back(sub: &Arc<Subscription>, due: Due) -> Result<(), Trouble> {
    match due {
        Due::Table(table, _) => restore::table(sub, &table).await,
        Due::ForeignKey(kept) => {
            restore::validate(sub, &kept).await?;
            info!(table = %kept.on, constraint = %kept.name, "foreign key validated");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::row;

    fn table(name: &str) -> TableName {
        TableName::new("public", name)
    }

    fn foreign_key(attached: bool) -> Kept {
        let attach = if attached {
            vec![]
        } else {
            vec!["alter table".into()]
        };
        Kept {
            id: 7,
            table: table("parent"),
            kind: "foreign key".into(),
            name: "fk".into(),
            on: table("child"),
            bytes: 0,
            build: vec![],
            attach,
            validate: Some(vec!["validate".into()]),
            error: None,
            of_parts: false,
            depth: 0,
        }
    }

    #[test]
    fn a_foreign_key_waits_until_both_of_its_tables_are_in() {
        let rows = |parent, child| [row("parent", 1, parent), row("child", 2, child)];
        let waits =
            |rows: &[TableRow]| due(vec![foreign_key(true)], rows, &Names::default()).is_empty();
        assert!(waits(&rows(Stand::Ok, Stand::InCopy(None))));
        assert!(waits(&rows(Stand::Waiting, Stand::Ok)));
        assert!(!waits(&rows(Stand::Ok, Stand::Ok)));
        let of_user = "the child is the user's";
        assert!(!waits(&[row("parent", 1, Stand::Ok)]), "{of_user}");
    }

    #[test]
    fn a_foreign_key_waits_for_a_table_that_has_another_name_by_now() {
        let names = Names::of(2, table("child"));
        let waits = |child| {
            let rows = [row("parent", 1, Stand::Ok), row("child_before", 2, child)];
            due(vec![foreign_key(true)], &rows, &names).is_empty()
        };
        assert!(waits(Stand::InCopy(None)));
        assert!(!waits(Stand::Ok));
    }

    #[test]
    fn what_a_copy_still_has_to_bring_back_is_left_to_it_unless_the_table_is_removed() {
        let unfinished = || vec![foreign_key(false)];
        assert!(
            due(
                unfinished(),
                &[row("parent", 1, Stand::InCopy(None))],
                &Names::default()
            )
            .is_empty()
        );
        assert!(matches!(
            due(unfinished(), &[], &Names::default())[..],
            [Due::Table(..)]
        ));
    }
}
