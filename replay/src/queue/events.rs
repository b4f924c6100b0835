//! The events of one batch as a stream of changes: COPY out of the provider, decoded as it comes. One event is in
//! memory at a time.

use std::pin::Pin;

use futures::StreamExt;
use sql::{
    event::{
        RawEvent,
        tuple::{BadTuple, Tuple, Tuples},
    },
    provider::Batch,
};
use tokio_postgres::{Client, CopyOutStream};

use crate::{
    change::{Change, Decoder, Later},
    files::stream::FileEvents,
    trouble::Trouble,
};

/// The columns of [`Batch::copy_events`].
const COLUMNS: usize = 7;

/// The rows of an open batch, in order. If they are dropped half read, the session is useless and must be dropped, too.
pub(crate) struct RawEvents<const N: usize> {
    stream: Pin<Box<CopyOutStream>>,
    tuples: Tuples<N>,
}

impl<const N: usize> RawEvents<N> {
    /// Begins a COPY of N columns on a session that does nothing else until all rows are read.
    pub(crate) async fn open(client: &Client, copy: &str) -> Result<RawEvents<N>, Trouble> {
        let stream = client
            .copy_out(copy)
            .await
            .map_err(Trouble::database("could not open a batch on the provider"))?;
        Ok(RawEvents {
            stream: Box::pin(stream),
            tuples: Tuples::default(),
        })
    }

    /// The next row; none at the batch's end.
    pub(crate) async fn next(&mut self) -> Result<Option<Tuple<N>>, Trouble> {
        loop {
            if let Some(tuple) = self.tuples.pop().map_err(unreadable)? {
                return Ok(Some(tuple));
            }
            match self.stream.next().await {
                Some(chunk) => self.tuples.push(
                    chunk.map_err(Trouble::database("could not read events of the provider"))?,
                ),
                None => return self.tuples.finish().map(|()| None).map_err(unreadable),
            }
        }
    }
}

/// The events of an open batch, decoded.
pub(crate) struct Events<'a> {
    rows: Rows,
    decoder: &'a mut Decoder,
}

/// Where events come from.
enum Rows {
    /// The provider's queue.
    Queue(RawEvents<COLUMNS>),
    /// The files of an archive.
    Files(FileEvents),
}

impl<'a> Events<'a> {
    /// Opens a batch's events on a session that does nothing else until they are read.
    pub(crate) async fn open(
        client: &Client,
        batch: &Batch,
        decoder: &'a mut Decoder,
    ) -> Result<Events<'a>, Trouble> {
        Ok(Events {
            rows: Rows::Queue(RawEvents::open(client, &batch.copy_events()).await?),
            decoder,
        })
    }

    /// The events of a batch of an archive.
    pub(crate) fn of_files(events: FileEvents, decoder: &'a mut Decoder) -> Events<'a> {
        Events {
            rows: Rows::Files(events),
            decoder,
        }
    }

    /// The next event's number and its change; none at the batch's end.
    pub(crate) async fn next(&mut self) -> Result<Option<(i64, Change)>, Trouble> {
        match &mut self.rows {
            Rows::Queue(rows) => {
                let Some(tuple) = rows.next().await? else {
                    return Ok(None);
                };
                let (event, later) = raw_event(&tuple).map_err(unreadable)?;
                decoded(self.decoder, event, later).map(Some)
            }
            Rows::Files(events) => match events.next(self.decoder).await? {
                None => Ok(None),
                Some(found) => {
                    let (event, later) = found.raw().map_err(unreadable)?;
                    decoded(self.decoder, event, later).map(Some)
                }
            },
        }
    }
}

fn decoded(
    decoder: &mut Decoder,
    event: RawEvent<'_>,
    later: Later<'_>,
) -> Result<(i64, Change), Trouble> {
    let event_id = event.ev_id;
    let change = decoder.decode(event, later);
    let change = change.map_err(|error| Trouble::Operator {
        doing: format!("could not decode event {event_id}"),
        advice: "capture on the provider and replay are of different versions, or the event \
                 was written by hand: see its row in the queue's event tables"
            .into(),
        source: anyhow::Error::new(error),
    })?;
    Ok((event_id, change))
}

/// The trouble of a COPY that has not the form that was asked for.
pub(crate) fn unreadable(error: BadTuple) -> Trouble {
    Trouble::Operator {
        doing: "could not read events of the provider".into(),
        advice: "what the provider sends is not what was asked for: see which server, or what before it, \
                 the config names"
            .into(),
        source: anyhow::Error::new(error),
    }
}

/// Texts are taken as bytes: a database in SQL_ASCII holds any bytes. The subscriber decides whether the bytes are
/// text, for the rows of that table alone.
fn raw_event(tuple: &Tuple<COLUMNS>) -> Result<(RawEvent<'_>, Later<'_>), BadTuple> {
    // The columns that capture writes beside the data are text; of another program's event no column is read.
    let text = |place| {
        let bytes: Option<&[u8]> = tuple.field(place);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
    };
    let event = RawEvent {
        ev_id: tuple.int8(0)?,
        ev_type: text(1),
        ev_data: tuple.field(2),
        ev_extra1: text(3),
        ev_extra2: text(4),
        ev_extra3: text(5),
    };
    Ok((event, Later(text(6))))
}
