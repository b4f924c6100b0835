//! COPY from the provider to COPY into the subscriber, without a pause in between, and with no more in memory than the
//! buffers of the two sockets.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use sql::name::TableName;
use tokio_postgres::Client;

use crate::trouble::Trouble;

/// The size of the pieces in which rows are sent on, about.
const PIECE_BYTES: usize = 64 * 1024;

/// The rows and bytes of a copy, over all its streams.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    rows: AtomicI64,
    bytes: AtomicI64,
}

impl Gauge {
    /// Rows and bytes so far.
    pub(super) fn read(&self) -> (i64, i64) {
        (
            self.rows.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

/// The rows and bytes of one stream; they are subtracted from the copy's if the stream does not finish.
struct Share<'a> {
    of: &'a Gauge,
    rows: i64,
    bytes: i64,
}

impl Share<'_> {
    fn add(&mut self, rows: i64, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or_default();
        self.rows += rows;
        self.bytes += bytes;
        self.of.rows.fetch_add(rows, Ordering::Relaxed);
        self.of.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn keep(&mut self) {
        self.rows = 0;
        self.bytes = 0;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.of.rows.fetch_sub(self.rows, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A COPY on either side, and the table to name in errors.
pub(super) struct Pipe<'a> {
    /// `copy ... to stdout`.
    pub(super) from: &'a str,
    /// `copy ... from stdin`.
    pub(super) into: &'a str,
    /// Rows travel in binary form: a trailer follows the last row.
    pub(super) binary: bool,
    /// The table, by its name on the provider.
    pub(super) table: &'a TableName,
}

/// Moves the rows that the reading transaction sees; gives their number.
pub(super) async fn copy(
    pipe: &Pipe<'_>,
    reading: &Client,
    writing: &Client,
    gauge: &Gauge,
) -> Result<i64, Trouble> {
    let cannot_read = || Trouble::at_table(pipe.table, "could not read it on the provider");
    let cannot_write = || Trouble::at_table(pipe.table, "could not write it on the subscriber");
    let out = reading.copy_out(pipe.from).await.map_err(cannot_read())?;
    let into = writing
        .copy_in::<_, Bytes>(pipe.into)
        .await
        .map_err(cannot_write())?;
    futures::pin_mut!(out, into);
    let mut share = Share {
        of: gauge,
        rows: 0,
        bytes: 0,
    };
    // Each row comes as a message of its own. Sent on one by one, messages would cost more than rows.
    let mut piece = BytesMut::with_capacity(2 * PIECE_BYTES);
    let mut messages = 0;
    let mut rows = 0;
    while let Some(row) = out.next().await {
        let row = row.map_err(cannot_read())?;
        rows += 1;
        if row.len() >= PIECE_BYTES {
            // A long row is not gathered into a piece, so that a row of 100 MB is in memory once.
            share.add(0, row.len());
            into.feed(piece.split().freeze())
                .await
                .map_err(cannot_write())?;
            into.feed(row).await.map_err(cannot_write())?;
        } else {
            piece.extend_from_slice(&row);
        }
        if piece.len() >= PIECE_BYTES {
            share.add(rows, piece.len());
            messages += std::mem::take(&mut rows);
            into.feed(piece.split().freeze())
                .await
                .map_err(cannot_write())?;
        }
    }
    messages += rows;
    let sent = if pipe.binary { messages - 1 } else { messages };
    share.add(sent - share.rows, piece.len());
    into.feed(piece.freeze()).await.map_err(cannot_write())?;
    let kept = into.finish().await.map_err(cannot_write())?;
    check_kept(pipe.table, sent, kept)?;
    share.keep();
    Ok(sent)
}

/// Refuses a table that did not take all rows.
pub(super) fn check_kept(table: &TableName, sent: i64, kept: u64) -> Result<(), Trouble> {
    if i64::try_from(kept).ok() == Some(sent) {
        return Ok(());
    }
    Err(Trouble::misfit(
        table,
        format!("of {sent} rows {kept} stayed"),
        "look for triggers (ENABLE ALWAYS or REPLICA) of the subscriber's table that take \
         rows away",
    ))
}
