//! A connection at work: its settings, the task that drives it, notifications and cancelling. Only `connect` makes a
//! session.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures::future::poll_fn;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, Notification, SimpleQueryMessage, Socket,
};

use super::connect_error::Cause;
use super::pooler;
use super::tls::Connector;

/// Makes the text of a value, and the meaning of a name, the same in every session, whatever the
/// role's and the database's own settings are. One message, so one round trip.
///
/// The search path comes first, because the names after it are looked up under it.
///
/// The client encoding of a database in SQL_ASCII stays SQL_ASCII. Such a database holds any bytes and converts none,
/// and another client encoding would make an error of bytes that are not valid in it.
///
/// `default_transaction_read_only` must not keep out the rows that a subscriber gets. What kind of server this is, is
/// read from `transaction_read_only`, whose transaction began before the setting. The last two statements switch off
/// time limits that older servers do not have, and ask what kind of server this is.
pub const SETUP: &str = "\
set search_path = pg_catalog, pg_temp;
select pg_catalog.set_config('client_encoding', case pg_catalog.current_setting('server_encoding')
         when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end, false);
set standard_conforming_strings = on;
set DateStyle = 'ISO, MDY';
set IntervalStyle = 'postgres';
set TimeZone = 'UTC';
set extra_float_digits = 3;
set bytea_output = 'hex';
set lc_monetary = 'C';
set quote_all_identifiers = off;
set array_nulls = on;
set transform_null_equals = off;
set xmloption = 'content';
set statement_timeout = 0;
set lock_timeout = 0;
set idle_in_transaction_session_timeout = 0;
set max_parallel_workers_per_gather = 0;
set default_tablespace = '';
set default_transaction_read_only = off;
set default_transaction_isolation = 'read committed';
set default_transaction_deferrable = off;
select pg_catalog.set_config(s.name, s.value, false)
  from (values ('idle_session_timeout', '0'), ('transaction_timeout', '0'), ('jit', 'off')) s (name, value)
 where pg_catalog.current_setting(s.name, true) <> s.value;
select pg_catalog.pg_is_in_recovery() as in_recovery, pg_catalog.pg_backend_pid() as backend,
       pg_catalog.current_setting('transaction_read_only') = 'on' as read_only";

/// Notifications kept for a session that does not read them. Further ones are dropped: a notification is a hint to
/// look, and a thousand of them say no more than one.
const KEPT_NOTIFICATIONS: usize = 1024;

/// How long a dropped session may take to say goodbye to the server.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whether TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Plain,
    TlsIfOffered,
    Tls,
}

/// What the server said of itself when the session was set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerState {
    pub(crate) in_recovery: bool,
    pub(crate) read_only: bool,
}

/// A connection that is set up and driven.
pub(crate) struct Wire {
    client: Client,
    notifications: mpsc::Receiver<Notification>,
    /// Dropped to tell the driver that no caller waits for answers any more.
    in_use: oneshot::Sender<()>,
    connector: Connector,
    pub(crate) state: ServerState,
}

/// A session: a [`tokio_postgres::Client`] and the task that drives its connection.
///
/// Every session has the settings of this module: ISO dates, UTC, exact floats, hex bytea,
/// `search_path = pg_catalog, pg_temp`, no time limits, READ COMMITTED. Dropping it closes the
/// connection; a statement that still runs is abandoned after a second (cancel it first, with
/// [`Session::cancel_token`], to have it end on the server at once).
pub struct Session {
    client: Client,
    notifications: mpsc::Receiver<Notification>,
    connector: Connector,
    _in_use: oneshot::Sender<()>,
}

impl Session {
    pub(crate) fn new(wire: Wire) -> Session {
        Session {
            client: wire.client,
            notifications: wire.notifications,
            connector: wire.connector,
            _in_use: wire.in_use,
        }
    }

    /// The next notification of a channel that this session listens to; None: the connection has ended. Cancel safe.
    /// Notifications are kept from LISTEN on, the last thousand or so; a notification is a hint to look, not a message.
    pub async fn notification(&mut self) -> Option<Notification> {
        self.notifications.recv().await
    }

    /// A handle that cancels the statement that this session runs when the handle is used.
    pub fn cancel_token(&self) -> CancelToken {
        CancelToken {
            token: self.client.cancel_token(),
            connector: self.connector.clone(),
        }
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("closed", &self.client.is_closed())
            .finish_non_exhaustive()
    }
}

/// Cancels a session's statement, over a connection of its own with the session's TLS settings.
#[derive(Clone)]
pub struct CancelToken {
    token: tokio_postgres::CancelToken,
    connector: Connector,
}

impl CancelToken {
    /// Asks the server to cancel. The server does not say whether there was anything to cancel;
    /// an error means only that the request could not be delivered. Takes at most [`CANCEL_LIMIT`].
    pub async fn cancel(&self) -> Result<(), NotCancelled> {
        let request = async {
            match &self.connector {
                Connector::None => self.token.cancel_query(NoTls).await,
                Connector::Rustls(tls) => self.token.cancel_query(tls.clone()).await,
            }
        };
        match tokio::time::timeout(CANCEL_LIMIT, request).await {
            Ok(delivered) => delivered.map_err(NotCancelled::Refused),
            Err(_) => Err(NotCancelled::NoAnswer),
        }
    }
}

/// How long a request to cancel may take.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// Why a request to cancel could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum NotCancelled {
    /// The server, or the connection to it, refused.
    #[error("the server does not take the request")]
    Refused(#[source] tokio_postgres::Error),
    /// The server has not answered in time.
    #[error("no answer within {} s", CANCEL_LIMIT.as_secs())]
    NoAnswer,
}

/// Opens one connection, drives it and sets it up.
pub(crate) async fn open(
    config: &Config,
    connector: &Connector,
    channel: Channel,
) -> Result<Wire, Cause> {
    match (channel, connector) {
        (Channel::Plain, _) | (_, Connector::None) => {
            open_with(config, NoTls, Connector::None).await
        }
        (Channel::TlsIfOffered | Channel::Tls, Connector::Rustls(tls)) => {
            open_with(config, tls.clone(), connector.clone()).await
        }
    }
}

async fn open_with<T>(config: &Config, tls: T, connector: Connector) -> Result<Wire, Cause>
where
    T: MakeTlsConnect<Socket> + Clone,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let mut driven = driven(config, tls.clone()).await?;
    let backend = pooler::backend(&driven.client).await?;
    if pooler::promised(&driven.client).await != Some(backend) {
        let other = self::driven(config, tls).await?;
        pooler::keeps_session(&driven.client, &mut driven.notifications, &other.client).await?;
    }
    let answers = driven.client.simple_query(SETUP).await;
    let answers = answers.map_err(Cause::Server)?;
    if said(&answers, "backend") != Some(&backend.to_string()) {
        return Err(Cause::PooledByTransaction);
    }
    Ok(Wire {
        state: server_state(&answers),
        client: driven.client,
        notifications: driven.notifications,
        in_use: driven.in_use,
        connector,
    })
}

/// A connection with the task that drives it, as the server has opened it.
struct Driven {
    client: Client,
    notifications: mpsc::Receiver<Notification>,
    in_use: oneshot::Sender<()>,
}

async fn driven<T>(config: &Config, tls: T) -> Result<Driven, Cause>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await.map_err(Cause::Server)?;
    let (sender, notifications) = mpsc::channel(KEPT_NOTIFICATIONS);
    let (in_use, gone) = oneshot::channel();
    #[expect(
        clippy::disallowed_methods,
        reason = "the session owns it: it ends when the session drops `in_use`, after a goodbye that nobody waits for"
    )]
    tokio::spawn(drive(connection, sender, gone));
    Ok(Driven {
        client,
        notifications,
        in_use,
    })
}

/// The value of a column in the first of the answers that has it.
fn said<'a>(answers: &'a [SimpleQueryMessage], column: &str) -> Option<&'a str> {
    answers.iter().find_map(|answer| {
        let SimpleQueryMessage::Row(row) = answer else {
            return None;
        };
        row.try_get(column).ok().flatten()
    })
}

fn server_state(answers: &[SimpleQueryMessage]) -> ServerState {
    let yes = |name: &str| said(answers, name) == Some("t");
    ServerState {
        in_recovery: yes("in_recovery"),
        read_only: yes("read_only"),
    }
}

/// Moves bytes until the connection ends. When the session is dropped, the driver says goodbye to the server; if a
/// statement is still running, the driver closes the connection, since no caller waits for the statement's answer.
async fn drive<T>(
    mut connection: Connection<Socket, T>,
    notifications: mpsc::Sender<Notification>,
    gone: oneshot::Receiver<()>,
) where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut running = Box::pin(async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notification(notification)) => {
                    // The error is ignored: the queue is full or not read (see KEPT_NOTIFICATIONS).
                    let _ = notifications.try_send(notification);
                }
                Ok(AsyncMessage::Notice(notice)) => tracing::debug!(
                    severity = notice.severity(),
                    code = notice.code().code(),
                    text = notice.message(),
                    "notice from the server"
                ),
                Ok(_) => {}
                // The session's next statement fails with this error too, and reports it.
                Err(error) => {
                    tracing::debug!(%error, "connection ended");
                    break;
                }
            }
        }
    });
    tokio::select! {
        () = &mut running => return,
        _ = gone => {}
    }
    let _ = tokio::time::timeout(GOODBYE, running).await;
}
