//! The shapes that the provider has stored.

use sql::provider;
use tokio_postgres::Client;

use crate::{change::Decoder, trouble::Trouble};

/// A decoder that knows the shapes so far, of all tables or of one. A shape that comes later
/// comes as an event before its first use.
pub(crate) async fn decoder(
    session: &Client,
    queue: &str,
    table_oid: Option<u32>,
) -> Result<Decoder, Trouble> {
    let definitions = provider::shapes(session, queue, table_oid)
        .await
        .map_err(Trouble::database("could not read shapes on the provider"))?;
    Decoder::new(&definitions).map_err(|error| Trouble::Operator {
        doing: "could not read shapes on the provider".into(),
        advice: "capture on the provider and replay are of different versions".into(),
        source: anyhow::Error::new(error),
    })
}
