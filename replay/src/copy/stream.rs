//! COPY from the provider to COPY into the subscriber, without a stop in between and without
//! holding more than what the two sockets do.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio_postgres::Client;

use super::progress::Progress;
use crate::{apply::target::Target, trouble::Trouble};

/// Rows are sent on in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// What a copy has moved.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    /// Rows.
    pub rows: i64,
    /// Bytes of COPY text.
    pub bytes: i64,
}

/// Copies a table's rows as its reading transaction sees them. `admin` shows the progress.
pub(super) async fn copy(
    target: &Target,
    reading: &Client,
    writing: &Client,
    admin: &Client,
    mut progress: Progress<'_>,
) -> Result<Copied, Trouble> {
    let table = &target.shape.table_name();
    let from = format!(
        "copy (select {} from only {}) to stdout",
        target.copied_columns(),
        table.quoted()
    );
    let out = reading.copy_out(&from).await.map_err(Trouble::at_table(
        table,
        "could not read it on the provider",
    ))?;
    let into = writing
        .copy_in::<_, Bytes>(&target.copy_in())
        .await
        .map_err(Trouble::at_table(
            table,
            "could not write it on the subscriber",
        ))?;
    futures::pin_mut!(out, into);
    let cannot_write = || Trouble::at_table(table, "could not write it on the subscriber");
    let mut copied = Copied::default();
    // A row comes as a message of its own; sent on one by one, messages would cost more than
    // rows.
    let mut piece = BytesMut::with_capacity(2 * PIECE_BYTES);
    while let Some(row) = out.next().await {
        let row = row.map_err(Trouble::at_table(
            table,
            "could not read it on the provider",
        ))?;
        copied.rows += 1;
        copied.bytes += i64::try_from(row.len()).unwrap_or_default();
        if row.len() >= PIECE_BYTES {
            // Not gathered: a row of 100 MB is in memory once.
            into.feed(piece.split().freeze())
                .await
                .map_err(cannot_write())?;
            into.feed(row).await.map_err(cannot_write())?;
        } else {
            piece.extend_from_slice(&row);
        }
        if piece.len() >= PIECE_BYTES {
            into.feed(piece.split().freeze())
                .await
                .map_err(cannot_write())?;
            progress.show_if_due(admin, copied).await;
        }
    }
    into.feed(piece.freeze()).await.map_err(cannot_write())?;
    let kept = into.finish().await.map_err(cannot_write())?;
    if i64::try_from(kept).ok() != Some(copied.rows) {
        return Err(Trouble::misfit(
            table,
            format!("of {} rows {kept} stayed", copied.rows),
            "look for triggers (ENABLE ALWAYS or REPLICA) of the subscriber's table that take \
             rows away",
        ));
    }
    Ok(copied)
}
