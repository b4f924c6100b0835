//! The comparison of one table: its sessions, its plan, and the questions to both sides.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sql::{
    connect::Session,
    event::shape::Shape,
    provider,
    queue::tick::{self, SnapshotText, TickId},
    standing,
    subscriber::{
        foreign_keys,
        position::Position,
        session_role::SessionRole,
        table_state::{self, TableRow},
    },
};

use super::{
    judge::{self, Look},
    plan::{self, Plan},
    report::Sum,
    sides::{Provider, Question, Standing, Subscriber},
    since::Changes,
    statements::{Side, fields},
    stop::Stop,
    sums::{self, Between, Counts},
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// Rows of a stretch of keys. Each question takes a fraction of a second, and a stretch that differs is listed whole.
pub(super) const STRETCH: u32 = 50_000;

/// Time between two looks for a tick or a position.
const LOOK: Duration = Duration::from_millis(10);

/// Time between two requests for a tick.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What a comparison is to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The key after which it begins, as a record; none: at the beginning.
    pub(crate) after: Option<String>,
    /// How much of the table is compared, as a share of 1.
    pub(crate) share: f64,
    /// Rows that differ after which it ends.
    pub(crate) most: usize,
    /// How long changes in flight may take to arrive.
    pub(crate) patience: Duration,
}

/// The sessions of a comparison.
pub(crate) struct Sessions<'a> {
    /// To the provider.
    pub(crate) provider: &'a Session,
    /// To the provider, for what is asked meanwhile.
    pub(crate) beside: &'a Session,
    /// To the subscriber.
    pub(crate) subscriber: &'a Session,
    /// The subscriber has had time to apply what was in flight when the first comparison began.
    pub(crate) is_level: Cell<bool>,
}

/// The comparison of one table.
pub(crate) struct Comparison<'a> {
    queue: &'a str,
    pub(super) sessions: &'a Sessions<'a>,
    provider: Provider<'a>,
    beside: Provider<'a>,
    subscriber: Subscriber<'a>,
    pub(super) plan: Plan,
    pub(super) options: Options,
    /// Foreign keys that refer to the subscriber's table act when its rows are deleted.
    is_referred_to: bool,
}

impl<'a> Comparison<'a> {
    /// Prepares the comparison of a table that is `ok`.
    pub(crate) async fn open(
        queue: &'a str,
        consumer: &'a str,
        row: &'a TableRow,
        sessions: &'a Sessions<'a>,
        role: SessionRole,
        options: Options,
    ) -> Result<Comparison<'a>, Stop> {
        let (here, there) = (sessions.provider, sessions.subscriber);
        let (plan, target) = plan::plan(queue, row, here, there, role).await?;
        if options.after.is_some() && !plan.by_range {
            return Err(Stop::Trouble(Trouble::misfit(
                &row.table,
                "its rows do not lie in the order of its key, or two servers may order the key in two ways: it is \
                    compared as a whole"
                    .into(),
                "leave out --after",
            )));
        }
        let is_referred_to = match role {
            SessionRole::Replica => false,
            SessionRole::Origin => foreign_keys::refer_to(&**there, target.relation).await?,
        };
        let digits = plan.digits;
        let provider = |session| Provider {
            session,
            row,
            digits,
        };
        Ok(Comparison {
            queue,
            sessions,
            provider: provider(here),
            beside: provider(sessions.beside),
            subscriber: Subscriber {
                session: there,
                consumer,
                row,
                target,
                digits,
            },
            plan,
            options,
            is_referred_to,
        })
    }

    /// Whether rows are told apart by a key.
    pub(crate) fn has_key(&self) -> bool {
        !self.plan.here.key.is_empty()
    }

    /// The names of the key's columns.
    pub(crate) fn key_names(&self) -> Vec<&str> {
        let key = self.plan.here.key.iter();
        key.map(|column| column.name.as_str()).collect()
    }

    /// The names of the compared columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.plan.names
    }

    /// The subscriber's table, as SQL writes it.
    pub(crate) fn target(&self) -> String {
        self.subscriber.target.name.quoted()
    }

    /// The table's changes after a place, over a session of their own.
    ///
    /// # Errors
    /// Its rows have no key by which a change could name them.
    pub(super) async fn changes(
        &self,
        session: Session,
        from: Position,
    ) -> Result<Changes<'_>, Stop> {
        let row = self.subscriber.row;
        if !self.has_key() {
            let why = "its rows have no key, so no change names one of them";
            return Err(Stop::Trouble(Trouble::unfollowable(
                &row.table,
                why.into(),
                "compare it as a whole, without --since",
            )));
        }
        Changes::open(
            session,
            self.queue,
            row,
            from,
            self.plan.key_of_events.clone(),
        )
        .await
    }

    /// What the table and the way in which it is compared are, as a text: a comparison that has ended early goes on
    /// only where the text is the same. Another one after each copy of the table, and each repair.
    ///
    /// # Errors
    /// The subscriber cannot be asked.
    pub(crate) async fn identity(&self) -> Result<String, Stop> {
        let Subscriber {
            session,
            consumer,
            row,
            ..
        } = &self.subscriber;
        let changed = table_state::changed_at(&***session, consumer, &row.table).await?;
        // A database that was made of a dump of this one has all that the table's row says, and one that went back to
        // an earlier time too: its server has started since.
        let database = standing::identity(&***session).await?;
        let Plan {
            here,
            there,
            by_range,
            digits,
            ..
        } = &self.plan;
        Ok(format!(
            "{database:?} {} {changed:?} {by_range} {digits} {here:?} {there:?}",
            row.provider_oid
        ))
    }

    /// The subscriber's table for reading and deleting its rows, as SQL writes it.
    pub(crate) fn own_rows(&self) -> String {
        self.subscriber.target.own_rows()
    }

    /// The expression for the hash that a row without a key is known by, on the subscriber's table under the alias `t`.
    pub(crate) fn hash_there(&self) -> String {
        self.plan.there.key_text()
    }

    /// The changes that make rows without a key equal; none: they are not counted exactly.
    pub(crate) fn change_set(&self, sums: &BTreeMap<String, Sum>) -> Option<ChangeSet> {
        let shape = self.plan.sums.as_ref()?;
        let fields = &self.subscriber.target.fields;
        let row = |sum: &Sum| Bytes::from(sums::row_of(shape, fields, &sum.values));
        Some(ChangeSet {
            sums: sums.values().map(|sum| (row(sum), sum.more)).collect(),
            ..ChangeSet::new(Arc::clone(shape))
        })
    }

    /// Why rows cannot be repaired by their keys; none: they can.
    pub(crate) fn no_repair(&self) -> Option<&'static str> {
        let (here, there) = (&self.plan.here.key, &self.plan.there.key);
        let mut types = here.iter().zip(there);
        if here.is_empty() && self.plan.sums.is_none() {
            return Some(
                "its rows have no key, and what differs cannot be counted from events: its identity is not full, or it \
                 has a filter, a merge, or columns of other types on the subscriber",
            );
        }
        if !self.subscriber.target.shape.key_text_is_equality() {
            return Some("keys that are equal can have different texts");
        }
        if !here.is_empty() && self.subscriber.target.has_own_columns() {
            return Some(
                "it has columns that only the subscriber has, and a row that is fetched anew would lose their values",
            );
        }
        if self.is_referred_to {
            return Some(
                "foreign keys refer to it, and would act on its rows (session_role = \"origin\")",
            );
        }
        types
            .any(|(here, there)| here.type_name != there.type_name)
            .then_some("its key is of another type on the subscriber")
    }

    /// The values of the provider's rows with some keys, in the order of [`Comparison::names`], by the keys' numbers;
    /// without the rows that are gone by now.
    pub(crate) async fn values(
        &self,
        keys: &[&str],
    ) -> Result<HashMap<usize, Vec<Option<String>>>, Stop> {
        let question = Question {
            exact: true,
            ..of_keys(self.plan.here.values_of(&self.plan.names, keys))
        };
        let (lines, _) = self.provider.ask(&question).await?;
        lines
            .iter()
            .map(|line| serde_json::from_str(line).map_err(unreadable))
            .collect()
    }

    fn late(&self, what: &str) -> Stop {
        let seconds = self.options.patience.as_secs_f64();
        Stop::Late(format!("{what} within {seconds} s"))
    }

    /// The first tick that shows all that a snapshot of the provider shows; it is waited for.
    async fn tick_of(&self, snapshot: &SnapshotText, started: Instant) -> Result<TickId, Stop> {
        let session = &**self.sessions.provider;
        let mut asked: Option<Instant> = None;
        loop {
            if let Some(tick) = provider::tick_containing(session, self.queue, snapshot).await? {
                return Ok(tick);
            }
            if started.elapsed() > self.options.patience {
                return Err(self.late("there was no tick: does the ticker run?"));
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
                tick::force(session, self.queue).await?;
                asked = Some(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the subscriber has applied all that a snapshot of the provider shows.
    pub(super) async fn arrive(&self, snapshot: &SnapshotText) -> Result<(), Stop> {
        let started = Instant::now();
        let session = &**self.sessions.provider;
        let wanted = self.tick_of(snapshot, started).await?;
        let epoch = provider::queue_epoch(session, self.queue).await?;
        loop {
            let place = self.subscriber.place().await?;
            if epoch != Some(place.epoch) {
                return Err(Stop::Trouble(Trouble::passing(
                    "could not compare with this provider",
                    anyhow::anyhow!("the subscriber's position is one in another queue"),
                )));
            }
            if place.tick >= wanted {
                return Ok(());
            }
            if started.elapsed() > self.options.patience {
                let why = place.stands_still.unwrap_or("does replay run?");
                let what = format!(
                    "the subscriber stands at tick {} and did not come to tick {wanted} ({why})",
                    place.tick
                );
                return Err(self.late(&what));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn border(
        &self,
        after: Option<&[String]>,
    ) -> Result<Option<Vec<String>>, Trouble> {
        let question = of_keys(self.plan.here.border(after, STRETCH));
        let (lines, _) = self.beside.ask(&question).await?;
        Ok(lines.first().map(|line| fields(line)))
    }

    /// Asks both sides at once.
    pub(super) async fn both(
        &self,
        by_key: bool,
        statement: impl Fn(&Side) -> String,
    ) -> Result<(Vec<String>, Vec<String>), Trouble> {
        let of = |side| Question {
            statement: statement(side),
            by_key,
            exact: false,
        };
        let (here, there) = (of(&self.plan.here), of(&self.plan.there));
        // Both end, whatever the other one says: a question that is dropped leaves its transaction open.
        let (here, there) = futures::join!(self.provider.ask(&here), self.subscriber.ask(&there));
        Ok((here?.0, there?))
    }

    pub(super) async fn look_here(&self, keys: &[&str]) -> Result<(Look, SnapshotText), Stop> {
        let question = self.look_question(&self.plan.here, keys);
        let (lines, snapshot) = self.provider.ask(&question).await?;
        let look = judge::look(&lines, keys, self.has_key()).map_err(unreadable)?;
        Ok((look, snapshot))
    }

    pub(super) async fn look_there(&self, keys: &[&str]) -> Result<Look, Stop> {
        let question = self.look_question(&self.plan.there, keys);
        let lines = self.subscriber.ask(&question).await?;
        judge::look(&lines, keys, self.has_key()).map_err(unreadable)
    }

    /// The counts of rows without a key: on the subscriber, with where it stands, then on the provider, with the
    /// snapshot.
    pub(super) async fn counts(
        &self,
        hashes: &[&str],
    ) -> Result<((Counts, Standing), (Counts, SnapshotText)), Stop> {
        let names = &self.plan.names;
        let of = |side: &Side| Question {
            statement: side.count_rows(names, hashes),
            by_key: false,
            exact: true,
        };
        let (there, standing) = self.subscriber.ask_at(&of(&self.plan.there)).await?;
        let (here, snapshot) = self.provider.ask(&of(&self.plan.here)).await?;
        let read = |lines: &[String]| -> Result<Counts, Stop> {
            let lines = lines
                .iter()
                .map(|line| sums::counted(line).map_err(unreadable));
            lines.collect()
        };
        Ok(((read(&there)?, standing), (read(&here)?, snapshot)))
    }

    /// What the events say of rows between where the subscriber stands and a snapshot of the provider that was taken
    /// later; none: that is not known.
    pub(super) async fn between(
        &self,
        shape: &Arc<Shape>,
        from: Position,
        to: &SnapshotText,
        rows: &HashSet<sums::Values>,
    ) -> Result<Option<HashMap<sums::Values, i64>>, Stop> {
        let up_to = self.tick_of(to, Instant::now()).await?;
        self.events(shape, from, up_to).sums(to, rows).await
    }

    /// What the events say of rows between two places of the subscriber; none: that is not known.
    pub(super) async fn passed(
        &self,
        from: Position,
        to: Position,
        rows: &HashSet<sums::Values>,
    ) -> Result<Option<HashMap<sums::Values, i64>>, Trouble> {
        match &self.plan.sums {
            None => Ok(None),
            Some(_) if from == to => Ok(Some(HashMap::new())),
            Some(shape) => self.events(shape, from, to.tick.id).passed(rows).await,
        }
    }

    fn events<'b>(&'b self, shape: &'b Shape, from: Position, up_to: TickId) -> Between<'b> {
        Between {
            session: self.sessions.beside,
            queue: self.queue,
            row: self.subscriber.row,
            shape,
            fields: &self.subscriber.target.fields,
            from,
            up_to,
        }
    }

    fn look_question(&self, side: &Side, keys: &[&str]) -> Question {
        Question {
            statement: side.look(keys),
            by_key: self.has_key(),
            exact: false,
        }
    }
}

fn of_keys(statement: String) -> Question {
    Question {
        statement,
        by_key: true,
        exact: false,
    }
}

fn unreadable(error: serde_json::Error) -> Stop {
    let doing = "could not read the answer to a comparison's question";
    Stop::Trouble(Trouble::passing(doing, anyhow::Error::new(error)))
}
