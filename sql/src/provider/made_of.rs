//! Of what the columns of captured tables are made: trunkline.shape.

use tokio_postgres::GenericClient;

use crate::{
    error::Error,
    event::shape::{ShapeId, since::MadeOf},
};

/// Of what the columns of a shape are made; empty if capture has not noted that.
///
/// # Errors
/// [`Error::Database`]; [`Error::Unexpected`] if it is noted in another form.
pub async fn made_of(client: &impl GenericClient, shape: ShapeId) -> Result<Vec<MadeOf>, Error> {
    let text: Option<String> = client
        .query_opt(
            "select s.made_of::text from trunkline.shape s where s.shape_id = $1",
            &[&shape.0],
        )
        .await
        .and_then(|row| row.map_or(Ok(None), |row| row.try_get(0)))
        .map_err(Error::database("read of what columns are made"))?;
    let made_of = text.as_deref().map(serde_json::from_str).transpose();
    Ok(made_of
        .map_err(|error| Error::Unexpected(format!("made_of: {error}")))?
        .unwrap_or_default())
}
