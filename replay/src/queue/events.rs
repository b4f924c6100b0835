//! The events of one batch as a stream of changes: COPY out of the provider, decoded as it
//! comes. Memory is one event at a time.

use std::pin::Pin;

use futures::StreamExt;
use sql::{event::RawEvent, provider::Batch};
use tokio_postgres::{
    Client, CopyOutStream,
    binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream},
    types::Type,
};

use crate::{
    change::{Change, Decoder, Later},
    trouble::Trouble,
};

/// Texts are taken as bytes: a database in SQL_ASCII holds what it was given, and whether that is
/// text the subscriber says, for the table's rows alone.
const COLUMNS: [Type; 7] = [
    Type::INT8,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
];

/// The events of an open batch, in order. Dropping them half read makes the session useless: drop the
/// session, too.
pub(crate) struct Events<'a> {
    rows: Pin<Box<BinaryCopyOutStream>>,
    decoder: &'a mut Decoder,
}

impl<'a> Events<'a> {
    /// Opens a batch's events on a session that does nothing else until they are read.
    pub(super) async fn open(
        client: &Client,
        batch: &Batch,
        decoder: &'a mut Decoder,
    ) -> Result<Events<'a>, Trouble> {
        let stream: CopyOutStream = client
            .copy_out(&batch.copy_events())
            .await
            .map_err(Trouble::database("could not open a batch on the provider"))?;
        Ok(Events {
            rows: Box::pin(BinaryCopyOutStream::new(stream, &COLUMNS)),
            decoder,
        })
    }

    /// The next event's number and what it changes; none at the batch's end.
    pub(crate) async fn next(&mut self) -> Result<Option<(i64, Change)>, Trouble> {
        let Some(row) = self.rows.next().await else {
            return Ok(None);
        };
        let row = row.map_err(Trouble::database("could not read events of the provider"))?;
        let (event, later) =
            raw_event(&row).map_err(Trouble::database("could not read an event's columns"))?;
        let event_id = event.ev_id;
        let change = self.decoder.decode(event, later);
        let change = change.map_err(|error| Trouble::Operator {
            doing: format!("could not decode event {event_id}"),
            advice: "capture on the provider and replay are of different versions, or the event \
                     was written by hand: see its row in the queue's event tables"
                .into(),
            source: anyhow::Error::new(error),
        })?;
        Ok(Some((event_id, change)))
    }
}

fn raw_event(row: &BinaryCopyOutRow) -> Result<(RawEvent<'_>, Later<'_>), tokio_postgres::Error> {
    let bytes = |column| row.try_get::<Option<&[u8]>>(column);
    // What capture writes beside the data is text; of another program's event nothing is read.
    let text =
        |column| bytes(column).map(|found| found.and_then(|it| std::str::from_utf8(it).ok()));
    let event = RawEvent {
        ev_id: row.try_get(0)?,
        ev_type: text(1)?,
        ev_data: bytes(2)?,
        ev_extra1: text(3)?,
        ev_extra2: text(4)?,
        ev_extra3: text(5)?,
    };
    Ok((event, Later(text(6)?)))
}
