//! The server behind a session.

use tokio_postgres::GenericClient;

use crate::error::Error;

/// The server's major version, such as 15.
///
/// # Errors
/// [`Error::Database`] if the server does not say it.
pub async fn major(client: &impl GenericClient) -> Result<u32, Error> {
    client
        .query_one("select current_setting('server_version_num')::int4", &[])
        .await
        .and_then(|row| row.try_get::<_, i32>(0))
        .map(|number| number.unsigned_abs() / 10_000)
        .map_err(Error::database("ask a server for its version"))
}

/// The encoding of the session's database, such as `UTF8`.
///
/// # Errors
/// [`Error::Database`] if the server does not say it.
pub async fn encoding(client: &impl GenericClient) -> Result<String, Error> {
    client
        .query_one("select current_setting('server_encoding')", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask a server for its encoding"))
}
