//! The tables that are `ok`, which the batch loop writes. Only the batch loop makes a table `ok`.

use sql::{
    connect::Session,
    queue::lineage::NodePath,
    subscriber::{
        position::Move,
        table_state::{self, Stand, State, TableRow},
    },
};

use super::{followed::Followed, shared::Subscription};
use crate::{apply::Applier, batch::Header, trouble::Trouble};

/// The tables of one subscriber that are `ok`, as they were last read.
///
/// Between two looks a wrong list of tables does no harm, because its version is part of every commit. Everybody else
/// who changes one of these tables changes the version. So the tables are read again only if the version has changed,
/// and a look costs as much as there are tables under way, not tables in sync.
pub(crate) struct InSync {
    pub(crate) tables: Followed,
    /// The version of the lists that the tables were read under.
    pub(crate) version: i64,
    /// The tables must be read, whatever their version is.
    is_unread: bool,
    /// All tables that want to be taken over must be read, not only those that a hint names.
    all_due: bool,
}

impl InSync {
    /// A list that is not read yet.
    pub(crate) fn new(tables: Followed, version: i64) -> InSync {
        InSync {
            tables,
            version,
            is_unread: true,
            all_due: true,
        }
    }

    /// Whether the tables must be read again under this version of the lists.
    pub(crate) fn is_outdated(&self, version: i64) -> bool {
        self.is_unread || version != self.version
    }

    /// Makes the next look read all tables that want to be taken over.
    pub(crate) fn look_at_all(&mut self) {
        self.all_due = true;
    }

    /// Reads the tables, for the loop and for the applier. `version` was read before: a change after that cannot be
    /// committed under this version.
    pub(crate) async fn read(
        &mut self,
        sub: &Subscription,
        applier: &mut Applier,
        version: i64,
    ) -> Result<(), Trouble> {
        self.version = version;
        let rows = table_state::list(&**applier.session(), &sub.consumer).await?;
        applier.choose(&rows);
        applier.map_tables(&rows);
        let ok = rows.into_iter().filter(|row| row.stand == Stand::Ok);
        self.tables.replace(ok);
        self.is_unread = false;
        Ok(())
    }

    /// The step of the position over a batch that was written under this list. Where no table has taken a change, no
    /// node is stored as one above.
    pub(crate) fn move_to(&self, sub: &Subscription, header: &Header) -> Move {
        let mut lineage = header.lineage.clone();
        if self.tables.len() == 0 {
            lineage.path = NodePath::default();
        }
        Move {
            from: header.from,
            tables_version: self.version,
            to: header.to.tick,
            to_time: Some(header.to_time),
            conflicts: 0,
            lineage,
            is_kept: sub.tick_by_tick.relays(),
        }
    }

    /// The tables that want to be taken over.
    pub(crate) async fn wanting(
        &mut self,
        sub: &Subscription,
        subscriber: &Session,
    ) -> Result<Vec<TableRow>, Trouble> {
        let told = sub.take_wanting();
        if std::mem::take(&mut self.all_due) {
            let want = [State::WannaSync];
            let all = table_state::unfinished(&**subscriber, &sub.consumer, &want).await;
            return Ok(all?);
        }
        let mut wanting = Vec::new();
        for table in told {
            let row = table_state::find(&**subscriber, &sub.consumer, &table).await;
            wanting.extend(row?);
        }
        Ok(wanting)
    }

    /// Whether every table of the subscriber is `ok`.
    pub(crate) async fn is_everything(
        &self,
        sub: &Subscription,
        subscriber: &Session,
    ) -> Result<bool, Trouble> {
        Ok(table_state::none_unfinished(&**subscriber, &sub.consumer).await?)
    }
}
