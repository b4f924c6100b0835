//! Asks the queue for the batch that follows a position, over one session to the provider.

use sql::{
    connect::Session,
    provider::{self, Batch, BatchFinder, Want},
    queue::tick::{Tick, TickId},
    subscriber::position::Position,
};
use tokio_postgres::Client;

use super::{
    events::Events,
    track::{self, OffTrack, ProviderView},
};
use crate::{change::Decoder, trouble::Trouble};

/// A queue, read over a session that does nothing else while a batch is streamed.
pub(crate) struct Queue {
    session: Session,
    finder: BatchFinder,
    decoder: Decoder,
    name: String,
}

/// What the queue answers about a position.
pub(crate) enum Answer {
    /// The position lies on the provider's history.
    OnTrack(Next),
    /// The position does not lie on the provider's history: nothing can be read after it.
    Off(OffTrack),
}

/// What follows a position.
#[derive(Debug)]
pub(crate) struct Next {
    /// The batch; none if there is no newer tick.
    pub batch: Option<Batch>,
    /// The provider's newest tick.
    pub last_tick: TickId,
}

impl Answer {
    /// What follows the position; a position off the track is an error of the whole subscriber.
    pub(crate) fn on_track(self) -> Result<Next, Trouble> {
        match self {
            Answer::OnTrack(next) => Ok(next),
            Answer::Off(off) => Err(off.into()),
        }
    }
}

impl Queue {
    /// Prepares a session for reading a queue, with the stored shapes of all tables, or of the table with this oid on
    /// the provider. A later shape comes as an event before its first use.
    pub(crate) async fn open(
        session: Session,
        name: &str,
        table_oid: Option<u32>,
    ) -> Result<Queue, Trouble> {
        let finder = BatchFinder::prepare(&*session).await?;
        let decoder = decoder(&session, name, table_oid).await?;
        Ok(Queue {
            session,
            finder,
            decoder,
            name: name.to_owned(),
        })
    }

    /// Reads the stored shapes of all tables again: events that this reader has not read may have brought some.
    pub(crate) async fn learn_shapes(&mut self) -> Result<(), Trouble> {
        self.decoder = decoder(&self.session, &self.name, None).await?;
        Ok(())
    }

    /// The provider's session, for questions between two batches.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// What follows a position, limited to the events that are wanted.
    pub(crate) async fn after(&self, from: Position, want: &Want) -> Result<Answer, Trouble> {
        let next = self
            .finder
            .after(&*self.session, &self.name, from.tick.id, want)
            .await?;
        let seen = ProviderView {
            epoch: next.epoch,
            tag_at_position: next.tag_at_position,
            last_tick: next.last_tick,
        };
        Ok(match track::check(from, seen) {
            Ok(()) => Answer::OnTrack(Next {
                batch: next.batch,
                last_tick: next.last_tick,
            }),
            Err(off) => Answer::Off(off),
        })
    }

    /// The tick with a number, with its identity now; none if the queue does not have it.
    pub(crate) async fn tick(&self, id: TickId) -> Result<Option<Tick>, Trouble> {
        let tick = self.finder.tick(&*self.session, &self.name, id);
        Ok(tick.await?)
    }

    /// Streams a batch's events.
    pub(crate) async fn events(&mut self, batch: &Batch) -> Result<Events<'_>, Trouble> {
        Events::open(&self.session, batch, &mut self.decoder).await
    }
}

/// A decoder that knows the shapes that the provider has stored so far, of all tables or of one table.
pub(crate) async fn decoder(
    provider: &Client,
    queue: &str,
    table_oid: Option<u32>,
) -> Result<Decoder, Trouble> {
    let definitions = provider::shapes(provider, queue, table_oid).await?;
    Decoder::new(&definitions).map_err(|error| Trouble::Operator {
        doing: "could not read shapes on the provider".into(),
        advice: "capture on the provider and replay are of different versions".into(),
        source: anyhow::Error::new(error),
    })
}
