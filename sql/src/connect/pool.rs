//! Pools: sessions that are opened when first needed, and set up again before they are lent anew.

use super::connect_error::{Cause, ConnectError};
use super::session::{SETUP, Session};
use super::{ApplicationName, ConnectInfo, tls};
use crate::install::ownership::Schema;

/// A pool of sessions; see [`ConnectInfo::pool`].
pub type Pool = deadpool::managed::Pool<Pooling>;

/// A session on loan from a [`Pool`], given back when it is dropped.
pub type Pooled = deadpool::managed::Object<Pooling>;

/// The error of borrowing from a [`Pool`].
pub type NoSession = deadpool::managed::PoolError<PoolError>;

/// How a [`Pool`] opens its sessions, and sets one up again before it is lent anew.
#[derive(Debug)]
pub struct Pooling {
    info: ConnectInfo,
    name: ApplicationName,
    schemas: &'static [Schema],
}

/// Why a [`Pool`] has no session to lend.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No connection can be made.
    #[error("{0}")]
    Connect(#[source] ConnectError),
    /// A session that came back could not be set up again; the pool throws it away.
    #[error("could not set a session up again")]
    Reset(#[source] tokio_postgres::Error),
}

impl deadpool::managed::Manager for Pooling {
    type Type = Session;
    type Error = PoolError;

    async fn create(&self) -> Result<Session, PoolError> {
        let connecting = self.info.connect_for(&self.name, self.schemas);
        connecting.await.map_err(PoolError::Connect)
    }

    async fn recycle(
        &self,
        session: &mut Session,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<PoolError> {
        if session.is_closed() {
            return Err(deadpool::managed::RecycleError::message("closed"));
        }
        session
            .simple_query(SETUP)
            .await
            .map(|_| ())
            .map_err(|error| PoolError::Reset(error).into())
    }
}

impl ConnectInfo {
    /// A pool of at most `size` connections as [`ConnectInfo::connect_for`] makes them, opened when first needed.
    /// Errors: only those of TLS files, which are read now. [`Pool::get`](deadpool::managed::Pool::get) gives a
    /// connection's own errors, as a [`PoolError`]. A connection that comes back to the pool gets the session settings
    /// anew before its next use, or is thrown away if that fails.
    pub fn pool(
        &self,
        name: &ApplicationName,
        size: usize,
        schemas: &'static [Schema],
    ) -> Result<Pool, ConnectError> {
        if self
            .0
            .endpoints
            .iter()
            .any(|endpoint| !endpoint.is_socket())
        {
            tls::connector(&self.0.tls).map_err(|error| self.failed(Cause::Tls(error)))?;
        }
        let pooling = Pooling {
            info: self.clone(),
            name: name.clone(),
            schemas,
        };
        Pool::builder(pooling)
            .max_size(size)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| self.failed(Cause::Pool(error.to_string())))
    }
}
