//! Moves a subscriber to another provider of the same data, without a copy. The subscriber's position is a tick of one
//! node's queue. Another node's ticks say which ticks of that queue they contain, so the position has a place there:
//!
//! 1. The provider says at which of its ticks the subscriber goes on, and which of its tables are the subscriber's. Who
//!    has applied more of a former provider's log than this one has begun with goes back to that place first (`back`).
//! 2. The nodes above the provider are stored, so that no circle is closed.
//! 3. It is noted that the provider may hold the consumer. Then the consumer is registered there, the provider's
//!    tables and sequences get it as their consumer, and tables with a place of their own get their helpers.
//! 4. Where the position lies between two ticks, the events between them are applied once more, as states.
//! 5. In the same transaction position and tables get the names that they have in the new log, by compare-and-swap; and
//!    the old provider is noted as one that may hold the consumer.
//! 6. The old provider is told as soon as it answers (`left`).
//!
//! The process may die between any two steps. Before the commit of step 5 nothing has changed but notes and
//! registrations, and the next start begins again, at this provider or at the old one; after it, the position says
//! where the subscriber is, and step 6 is done by whoever runs next.

mod back;
mod follow;
pub(crate) mod left;
#[cfg(test)]
mod model;
pub(crate) mod origins;
pub(crate) mod plan;
pub(crate) mod relaying;
pub(crate) mod states;

use std::sync::Arc;

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    provider::{self, Heir, PlaceAnswer, Places, TickFound, Want, WantedIdentity},
    queue::{consumer, lineage::NodePath, tick::TickId},
    subscriber::{
        hop::{self, Hop, LeftUpstream},
        path,
        position::{self, Position, Stored},
        sequence_state,
        table_state::{self, Place, Stand, TableRow, Why},
    },
    successor,
};
use tracing::{error, info, warn};

use self::{
    follow::{Decision, Way},
    plan::{NewUpstream, OwnPlace},
    states::Unmendable,
};
use super::{followed::Followed, scripts::elsewhere, sequences::Sequences, shared::Subscription};
use crate::{
    apply::{Applier, MoveTold},
    batch::{Barrier, End},
    queue::{batches::Queue, track::OffTrack},
    reading::parts::{PartSizes, Parts},
    table::helper,
    trouble::Trouble,
};

/// A number of events that no queue reaches.
const EVERYTHING: i64 = 1 << 62;

/// Moves the subscriber to the queue of the provider that the config names, if its position is in another queue that
/// this one goes on from. `admin` is a session to the subscriber.
///
/// # Errors
/// [`Trouble::Passing`] while the provider has not got as far as the subscriber; [`Trouble::Operator`] if there is no
/// place to go on.
pub(crate) async fn run(sub: &Subscription, admin: &Session) -> Result<(), Trouble> {
    let installed = position::is_installed(&**admin).await;
    if !installed.map_err(Trouble::sql("could not look for replay's tables"))? {
        return Ok(());
    }
    let Some(stored) = position::find(&**admin, &sub.consumer).await? else {
        return Ok(());
    };
    // A provider that cannot be reached, or has no such queue, is reported by the loops, which look at the epoch too.
    let Ok(provider) = sub.provider_session(Purpose::Admin).await else {
        return Ok(());
    };
    match provider::queue_epoch(&*provider, &sub.settings.queue).await? {
        None => return Ok(()),
        Some(epoch) if epoch == stored.position.epoch => {
            hop::note_address(&**admin, &sub.consumer, &sub.provider.address()).await?;
            return Ok(());
        }
        Some(_) => {}
    }
    let (stored, way) = match find_way(sub, &provider, &stored).await? {
        Ok(way) => (stored, way),
        Err(nowhere) => {
            let Some(stored) = back::go(sub, admin, &provider, &stored).await? else {
                return Err(nowhere);
            };
            let way = find_way(sub, &provider, &stored).await??;
            (stored, way)
        }
    };
    let mut this = Hopping {
        sub,
        provider: Arc::new(provider),
        stored,
        way,
        tables: Vec::new(),
    };
    this.prepare(admin).await?;
    this.apply().await?;
    this.tell();
    Ok(())
}

/// Step 1: where the subscriber goes on. The inner error: there is no such place.
async fn find_way(
    sub: &Subscription,
    provider: &Session,
    stored: &Stored,
) -> Result<Result<Way, Trouble>, Trouble> {
    let places = Places::of(stored.position, stored.origins.as_deref())?;
    let found = provider::place_of(&**provider, &sub.settings.queue, &places).await?;
    let found = found.ok_or(Trouble::Stale)?;
    let off = OffTrack::OtherEpoch {
        stored: stored.position.epoch.0,
        now: found.epoch.0,
    };
    let rests = match (stored.is_held, stored.paused) {
        (true, _) => Some("a failover holds the subscriber where it stands"),
        (false, true) => Some("the subscriber is paused"),
        (false, false) => None,
    };
    match follow::decide(found, &places, rests) {
        Decision::Go(way) => Ok(Ok(way)),
        Decision::Wait(why) => {
            let doing = "the new provider has no place for the subscriber yet";
            Err(Trouble::passing(doing, anyhow::anyhow!(why)))
        }
        Decision::Stop(why) => Ok(Err(Trouble::Operator {
            doing: "stopped, nothing was applied".into(),
            advice: off.advice().into(),
            source: anyhow::anyhow!("it has no place for the subscriber: {why}").context(off),
        })),
    }
}

/// A move under way.
struct Hopping<'a> {
    sub: &'a Subscription,
    /// A session for questions to the new provider.
    provider: Arc<Session>,
    stored: Stored,
    way: Way,
    /// All tables of the subscriber: as they are, and as they will be.
    tables: Vec<(TableRow, TableRow)>,
}

impl Hopping<'_> {
    fn queue(&self) -> &str {
        &self.sub.settings.queue
    }

    /// Steps 2 and 3.
    async fn prepare(&mut self, admin: &Session) -> Result<(), Trouble> {
        super::above::join(self.sub, &self.provider, admin).await?;
        let arriving = LeftUpstream {
            epoch: self.way.from.position.epoch,
            address: Some(self.sub.provider.address()),
        };
        hop::note_left(&**admin, &self.sub.consumer, &arriving).await?;
        let heirs = self
            .heirs(self.way.place, self.way.from.position.tick.id)
            .await?;
        for row in table_state::list(&**admin, &self.sub.consumer).await? {
            let after = self.planned(&row, &heirs).await?;
            self.tables.push((row, after));
        }
        let (sub, provider) = (self.sub, &**self.provider);
        let at = self.way.from.position.tick.id;
        consumer::register_at(provider, self.queue(), &sub.consumer, at)
            .await
            .map_err(Trouble::queue)?;
        // Who reads the rest of a log is no reason to log what the node there applies by now.
        let reads_on = !successor::has_ended(provider, self.queue()).await?;
        let heirs = if reads_on { heirs } else { Vec::new() };
        for (_, row) in &self.tables {
            self.register_table(row, &heirs).await?;
        }
        for sequence in sequence_state::list(&**admin, &sub.consumer).await? {
            let name = sequence.sequence;
            match provider::add_sequence(provider, self.queue(), &sub.consumer, &name).await {
                Ok(_) => {}
                Err(error) if error.class() == sql::Class::Transient => return Err(error.into()),
                Err(error) => {
                    let error = admin::exit::log_line(&error);
                    warn!(sequence = %name, %error, "sequence is not carried over from the new provider");
                }
            }
        }
        Ok(())
    }

    async fn heirs(&self, place: Position, tick: TickId) -> Result<Vec<Heir>, Trouble> {
        Ok(provider::heirs(&**self.provider, self.queue(), place, tick).await?)
    }

    /// The table's row after the move.
    async fn planned(&self, row: &TableRow, heirs: &[Heir]) -> Result<TableRow, Trouble> {
        let heir_in = |log: Position, heirs: &[Heir]| {
            let oid = if log.epoch == self.stored.position.epoch {
                Some(row.provider_oid)
            } else {
                row.origin_oids.oid_in(log.epoch)
            };
            plan::heir_of(row, oid, heirs).cloned()
        };
        let Some(place) = row
            .stand
            .place()
            .filter(|one| !plan::needs_its_snapshot(one))
        else {
            let heir = heir_in(self.way.place, heirs);
            let to = NewUpstream {
                heir: heir.as_ref(),
                own: None,
            };
            return Ok(plan::after(row, to));
        };
        let (own, log) = self.own_place(place).await?;
        let heir = match (&own, log) {
            (OwnPlace::Found(there), Some(log)) => {
                heir_in(log, &self.heirs(log, there.tick.id).await?)
            }
            (OwnPlace::Found(_) | OwnPlace::Lost(_), _) => heir_in(self.way.place, heirs),
        };
        let to = NewUpstream {
            heir: heir.as_ref(),
            own: Some(&own),
        };
        Ok(plan::after(row, to))
    }

    /// The place in the new log of a table that is not at the subscriber's position; and the place, by the name that
    /// the new provider knows it by.
    async fn own_place(&self, place: &Place) -> Result<(OwnPlace, Option<Position>), Trouble> {
        if place.overlap.is_some() {
            let why = "it has not got over its last move to another provider";
            return Ok((OwnPlace::Lost(why.into()), None));
        }
        let stands = Position {
            epoch: self.stored.position.epoch,
            tick: place.tick,
        };
        let places = Places::of(stands, place.origins.as_deref())?;
        let found = provider::place_of(&**self.provider, self.queue(), &places).await?;
        let found = found.ok_or(Trouble::Stale)?;
        let log = found.place.and_then(|number| places.0.get(number)).copied();
        let at = |at: TickFound, overlap| Place {
            origins: at.origins,
            overlap,
            ..Place::after(at.position.tick)
        };
        let own = match found.answer {
            PlaceAnswer::At(found) => OwnPlace::Found(at(found, None)),
            PlaceAnswer::Overlap { from, until } => {
                OwnPlace::Found(at(from, Some(until.position.tick.id)))
            }
            PlaceAnswer::Wait(why) => {
                let doing = "the new provider has no place for a table of the subscriber yet";
                return Err(Trouble::passing(doing, anyhow::anyhow!(why)));
            }
            PlaceAnswer::Ahead(why) | PlaceAnswer::Gone(why) => OwnPlace::Lost(why),
        };
        Ok((own, log))
    }

    /// Makes the consumer one of the new provider's table, which is captured already, and registers the table's helper.
    async fn register_table(&self, row: &TableRow, heirs: &[Heir]) -> Result<(), Trouble> {
        let (sub, provider) = (self.sub, &**self.provider);
        if let Some(heir) = heirs.iter().find(|heir| heir.oid == row.provider_oid) {
            let identity = WantedIdentity::Own;
            provider::add_table(
                provider,
                self.queue(),
                &sub.consumer,
                &heir.table,
                &identity,
            )
            .await?;
        }
        if let Some(place) = row.stand.place() {
            let helper = helper::holding(place, &sub.consumer, row.provider_oid);
            consumer::register_at(provider, self.queue(), &helper, place.tick.id)
                .await
                .map_err(Trouble::queue)?;
        }
        Ok(())
    }

    /// Steps 4 and 5.
    async fn apply(&mut self) -> Result<(), Trouble> {
        let sub = self.sub;
        let session = sub.subscriber_session(Purpose::Apply).await?;
        let (on_conflict, role) = (sub.settings.on_conflict, sub.settings.session_role);
        let mut applier = Applier::new(session, &sub.consumer, on_conflict, role).await?;
        let mut sequences = Sequences::new(self.queue(), &sub.consumer);
        sequences.carry(&self.provider, applier.session()).await?;
        loop {
            match self.try_apply(&mut applier).await? {
                TryEnd::Done => return Ok(()),
                TryEnd::Unmendable(Unmendable { oid, why }) => {
                    self.replace(
                        |row| row.provider_oid == oid,
                        |row| plan::unmendable(row, why),
                    )?;
                }
                TryEnd::Refused { table, why } => {
                    let until = self.way.to().position.tick.id;
                    let place = Place {
                        origins: self.way.from.origins.clone(),
                        ..Place::after(self.way.from.position.tick)
                    };
                    let oid = self.replace(
                        |row| row.table == table,
                        |row| plan::parked_at(row, place, until, why),
                    )?;
                    let parked = self.tables.iter().find(|(_, row)| row.provider_oid == oid);
                    self.register_table(&parked.ok_or(Trouble::Stale)?.1, &[])
                        .await?;
                }
            }
            // The transaction that met it is rolled back, and the session may be lost with it.
            let session = sub.subscriber_session(Purpose::Apply).await?;
            applier = Applier::new(session, &sub.consumer, on_conflict, role).await?;
        }
    }

    /// Replaces the planned row of a table that takes changes; gives its oid.
    fn replace(
        &mut self,
        is_it: impl Fn(&TableRow) -> bool,
        by: impl FnOnce(&TableRow) -> TableRow,
    ) -> Result<u32, Trouble> {
        let mut rows = self.tables.iter_mut().map(|(_, after)| after);
        let row = rows.find(|row| row.stand == Stand::Ok && is_it(row));
        let row = row.ok_or(Trouble::Stale)?;
        *row = by(row);
        Ok(row.provider_oid)
    }

    async fn try_apply(&self, applier: &mut Applier) -> Result<TryEnd, Trouble> {
        let rows: Vec<&TableRow> = self.tables.iter().map(|(_, after)| after).collect();
        applier.choose(rows.iter().copied());
        applier.map_tables(rows.iter().copied());
        let mut followed =
            Followed::new(Some(Arc::clone(&self.provider))).altering(self.sub.replicates_columns);
        let ok = rows.into_iter().filter(|row| row.stand == Stand::Ok);
        followed.replace(ok.cloned());
        let mut tx = applier.begin().await?;
        let to = self.way.to();
        elsewhere::translate(self.sub, &self.provider, &tx, to.position.tick.id).await?;
        let mut path = NodePath::default();
        if let Some(until) = &self.way.until {
            let session = self.sub.provider_session(Purpose::Queue).await?;
            let mut queue = Queue::open(session, self.queue(), None).await?;
            let want = Want {
                max_events: EVERYTHING,
                up_to: Some(until.position.tick.id),
                ..Want::default()
            };
            let next = queue
                .after(self.way.from.position, &want)
                .await?
                .on_track()?;
            let batch = next.batch.filter(|batch| batch.to == until.position.tick);
            let batch = batch.ok_or(Trouble::Stale)?;
            self.sub.refuse_circle(&batch.lineage.path)?;
            path = batch.lineage.path.clone();
            let settings = PartSizes {
                chunk_bytes: self.sub.settings.chunk_bytes,
                once_more: true,
                ..PartSizes::default()
            };
            let mut parts = Parts::new(queue.events(&batch).await?, settings);
            while let Some(part) = parts.next(|| false).await? {
                if let Some(found) =
                    states::unmendable(&part, |oid| followed.has(oid), followed.alters())
                {
                    return Ok(TryEnd::Unmendable(found));
                }
                if let Err(trouble) = followed.write(&mut tx, &part, batch.to.id).await {
                    return TryEnd::refused(trouble);
                }
                if let End::Before(Barrier::Script(script)) = &part.end {
                    let writes = (&mut tx, &followed);
                    let met = elsewhere::at_hop(self.sub, &self.provider, writes, script).await;
                    if let Err(trouble) = met {
                        return TryEnd::refused(trouble);
                    }
                }
            }
        }
        let tables = self.tables.iter();
        let tables = tables.map(|(was, is)| (was.clone(), followed.with_names(is)));
        let hop = Hop {
            from: self.stored.position,
            tables_version: self.stored.tables_version,
            to: to.position,
            to_time: to.time,
            origins: to.origins.as_deref(),
            path: &path,
            address: Some(&self.sub.provider.address()),
            tables: &tables.collect::<Vec<_>>(),
        };
        // A standby goes on at another provider; repmgr has a name for that.
        let is_standby = self.sub.settings.standby;
        let told = MoveTold {
            queue: self.queue(),
            event: if is_standby {
                "standby_follow"
            } else {
                "hopped"
            },
            details: &format!("goes on at {}", self.sub.provider.place()),
            upstream: path::own_node(&**self.provider).await?,
        };
        match tx.commit_hop(&hop, &told).await {
            Ok(()) => Ok(TryEnd::Done),
            Err(trouble) => TryEnd::refused(followed.under_its_stored_name(trouble)),
        }
    }

    /// Logs the move, and the tables that it has parked.
    fn tell(&self) {
        let consumer = &self.sub.consumer;
        let to = self.way.to();
        info!(
            %consumer,
            from_epoch = self.stored.position.epoch.0,
            from_tick = self.stored.position.tick.id.0,
            epoch = to.position.epoch.0,
            tick = to.position.tick.id.0,
            provider = %self.sub.provider.address(),
            once_more = self.way.until.is_some(),
            "hopped"
        );
        for (was, is) in &self.tables {
            let why = is.stand.why().filter(|why| was.stand.why() != Some(why));
            if let Some(Why { error, advice, .. }) = why {
                let tick = is.stand.place().map(|place| place.tick.id.0);
                error!(table = %is.table, tick, %error, %advice, "table parked");
            }
        }
    }
}

/// How a try to move has ended.
enum TryEnd {
    /// The position is moved.
    Done,
    /// A table cannot take the events once more at all.
    Unmendable(Unmendable),
    /// A table could not take them now.
    Refused { table: TableName, why: Why },
}

impl TryEnd {
    /// The end of a try that one table's trouble has ended.
    fn refused(trouble: Trouble) -> Result<TryEnd, Trouble> {
        let Trouble::Table(of_table) = &trouble else {
            return Err(trouble);
        };
        let (table, error) = (of_table.table().clone(), trouble.log_line());
        let why = Why {
            detail: Some(trouble.chain()).filter(|chain| *chain != error),
            advice: trouble.advice().unwrap_or_default().to_owned(),
            error,
        };
        Ok(TryEnd::Refused { table, why })
    }
}
