//! Questions to the two sides. Each is a transaction of its own, so that no snapshot is held for longer than one
//! question, and each is in the snapshot of one moment.

use sql::{
    connect::Session,
    provider,
    queue::tick::{Epoch, SnapshotText, TickId},
    subscriber::{
        position::{self, Position},
        table_state::{self, Stand, TableRow},
    },
};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::{
    apply::{owner::Hold, table::Target},
    copy,
    trouble::Trouble,
};

/// Memory for grouping and sorting within one question, so that neither goes to the disk.
const WORK_MEM: &str = "set local work_mem = '64MB'";

/// How texts of floats are written, and what the planner may choose.
fn settings(digits: u8, by_key: bool) -> String {
    // The planner takes a stretch of a table that was never analyzed for a large part of it.
    let scan = if by_key {
        "; set local enable_seqscan = off"
    } else {
        ""
    };
    format!("{WORK_MEM}; set local extra_float_digits = {digits}{scan}")
}

/// A statement, and whether it is about few rows that an index finds.
pub(super) struct Question {
    pub(super) statement: String,
    pub(super) by_key: bool,
    /// Floats are written so that they come back exactly, whatever the other side would write.
    pub(super) exact: bool,
}

impl Question {
    /// How texts of floats are written, where both sides write them with so many digits.
    fn digits(&self, digits: u8) -> u8 {
        if self.exact { 3 } else { digits }
    }
}

/// The provider's side of a table.
pub(super) struct Provider<'a> {
    pub(super) session: &'a Session,
    pub(super) row: &'a TableRow,
    pub(super) digits: u8,
}

impl Provider<'_> {
    /// The lines of an answer, and the snapshot that they are of. The table is locked as for a copy: no writer feels
    /// it.
    pub(super) async fn ask(
        &self,
        question: &Question,
    ) -> Result<(Vec<String>, SnapshotText), Trouble> {
        copy::lock(self.session, self.row).await?;
        let answer = self.lines(question).await;
        let ended = self.session.batch_execute("rollback").await;
        let answer = answer?;
        ended.map_err(Trouble::at_table(
            &self.row.table,
            "could not end a snapshot on the provider",
        ))?;
        Ok(answer)
    }

    async fn lines(&self, question: &Question) -> Result<(Vec<String>, SnapshotText), Trouble> {
        let read = || Trouble::at_table(&self.row.table, "could not read it on the provider");
        let snapshot = provider::current_snapshot(&**self.session).await?;
        let settings = settings(question.digits(self.digits), question.by_key);
        self.session
            .batch_execute(&settings)
            .await
            .map_err(read())?;
        let messages = self.session.simple_query(&question.statement).await;
        let mut lines = Vec::new();
        for message in &messages.map_err(read())? {
            if let SimpleQueryMessage::Row(row) = message {
                let line = row.try_get(0).map_err(read())?;
                lines.extend(line.map(str::to_owned));
            }
        }
        Ok((lines, snapshot))
    }
}

/// The subscriber's side of a table.
pub(super) struct Subscriber<'a> {
    pub(super) session: &'a Session,
    pub(super) consumer: &'a str,
    pub(super) row: &'a TableRow,
    pub(super) target: Target,
    pub(super) digits: u8,
}

impl Subscriber<'_> {
    /// The lines of an answer. The table is in step with the position in the same snapshot.
    pub(super) async fn ask(&self, question: &Question) -> Result<Vec<String>, Trouble> {
        Ok(self.ask_and_stand(question, false).await?.0)
    }

    /// The same, with where the table stands in the same snapshot.
    pub(super) async fn ask_at(
        &self,
        question: &Question,
    ) -> Result<(Vec<String>, Standing), Trouble> {
        let (lines, standing) = self.ask_and_stand(question, true).await?;
        Ok((lines, standing.ok_or(Trouble::Stale)?))
    }

    async fn ask_and_stand(
        &self,
        question: &Question,
        stands: bool,
    ) -> Result<(Vec<String>, Option<Standing>), Trouble> {
        let failed = || Trouble::at_table(&self.row.table, "could not read it on the subscriber");
        let begin = format!(
            "begin isolation level repeatable read; set local row_security = off; {}",
            settings(question.digits(self.digits), question.by_key)
        );
        let answer = match self.session.batch_execute(&begin).await {
            Ok(()) => self.lines(question, stands).await,
            Err(error) => Err(failed()(error)),
        };
        let ended = self.session.batch_execute("rollback").await;
        let answer = answer?;
        ended.map_err(failed())?;
        Ok(answer)
    }

    async fn lines(
        &self,
        question: &Question,
        stands: bool,
    ) -> Result<(Vec<String>, Option<Standing>), Trouble> {
        let acting = &self.target.acting;
        acting
            .hold(self.session, &self.row.table, Hold::ToRead)
            .await?;
        let row = table_state::find(&**self.session, self.consumer, &self.row.table).await?;
        let state = row.as_ref().map(|row| &row.stand);
        if !matches!(state, Some(Stand::Ok)) {
            let state = state.map_or("no table of the job", |stand| stand.state().as_str());
            return Err(Trouble::misfit(
                &self.row.table,
                format!("it is {state} by now"),
                "compare it again when it is ok",
            ));
        }
        let lines = acting.lines(self.session, &question.statement).await;
        let lines = lines.map_err(Trouble::at_table(
            &self.row.table,
            "could not read it on the subscriber",
        ))?;
        let standing = match stands {
            true => Standing::read(self.session, self.consumer, self.row).await?,
            false => None,
        };
        Ok((lines, standing))
    }

    /// Where the subscriber stands.
    pub(super) async fn place(&self) -> Result<Place, Trouble> {
        let stored = position::find(&**self.session, self.consumer).await?;
        let stored = stored.ok_or(Trouble::Stale)?;
        Ok(Place {
            epoch: stored.position.epoch,
            tick: stored.position.tick.id,
            stands_still: if stored.paused {
                Some("the job is paused")
            } else if stored.is_held {
                Some("a failover keeps the job where it stands")
            } else {
                None
            },
        })
    }
}

/// Where a table that is `ok` stands, in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The consumer's position, which the table is in step with.
    pub(crate) at: Position,
}

impl Standing {
    /// Reads it; none: the table is not `ok`.
    pub(crate) async fn read(
        session: &Client,
        consumer: &str,
        row: &TableRow,
    ) -> Result<Option<Standing>, Trouble> {
        let found = table_state::find(session, consumer, &row.table).await?;
        let stored = position::find(session, consumer)
            .await?
            .ok_or(Trouble::Stale)?;
        let is_ok = found.is_some_and(|found| matches!(found.stand, Stand::Ok));
        Ok(is_ok.then_some(Standing {
            at: stored.position,
        }))
    }
}

/// Where a subscriber stands.
pub(super) struct Place {
    pub(super) epoch: Epoch,
    pub(super) tick: TickId,
    /// Why nothing is applied at all; none: something may be.
    pub(super) stands_still: Option<&'static str>,
}
