//! COPY from the provider to COPY into the subscriber, without a stop in between and without
//! holding more than what the two sockets do.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio_postgres::Client;

use super::progress::Progress;
use crate::{apply::target::Target, trouble::Trouble};

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
    let mut copied = Copied::default();
    while let Some(line) = out.next().await {
        let line = line.map_err(Trouble::at_table(
            table,
            "could not read it on the provider",
        ))?;
        copied.rows += 1;
        copied.bytes += i64::try_from(line.len()).unwrap_or_default();
        // The sink gathers lines into pieces before it sends them.
        into.feed(line).await.map_err(Trouble::at_table(
            table,
            "could not write it on the subscriber",
        ))?;
        if copied.rows % 1024 == 0 {
            progress.show_if_due(admin, copied).await;
        }
    }
    into.finish().await.map_err(Trouble::at_table(
        table,
        "could not write it on the subscriber",
    ))?;
    Ok(copied)
}
