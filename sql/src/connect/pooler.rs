//! Whether a connection goes to a server, or to a pooler that lends a server's session for one transaction at a time.
//!
//! Behind such a pooler no setting of a session holds: prepared statements, `session_replication_role`, the settings
//! that make text mean the same everywhere. Rows would be wrong, and our settings would stand in sessions of other
//! clients. So a connection is checked before any setting is made.
//!
//! Two transactions of one client may by chance meet the same session of the server, and in an idle pool they do. So
//! the check does not rely on chance:
//!
//! 1. A server gives a client the process id of the process that serves it, with the key that cancels. A pooler makes
//!    up a key of its own. If the id that was given is that of the process that answers, there is no pooler. This costs
//!    one round trip, and nearly always the check ends here.
//! 2. Else a second client holds a transaction open. If the first client's session of the server is lent to the second
//!    client, or the first client gets another session meanwhile, the pool lends by transaction. In an idle pool one of
//!    the two happens.
//! 3. Else the first client listens, and the second client notifies. A notification comes when no statement runs, so it
//!    comes only to a client that keeps its session between transactions, too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Ready, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Notification, SimpleQueryMessage};

use super::connect_error::Cause;

/// The code of a message that asks for TLS, and of one that cancels (PostgreSQL's manual, Message Formats).
const SSL_REQUEST: i32 = 80_877_103;
const CANCEL_REQUEST: i32 = 80_877_102;

/// How long a second session, or a notification, may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The server's process that runs a client's transaction, asked for by names that no search path changes.
pub(crate) async fn backend(client: &Client) -> Result<i32, Cause> {
    let answers = client
        .simple_query("select pg_catalog.pg_backend_pid()")
        .await
        .map_err(Cause::Server)?;
    number(&answers).ok_or(Cause::Pooler(
        "a pooler that answers a question with nothing",
    ))
}

fn number(answers: &[SimpleQueryMessage]) -> Option<i32> {
    answers.iter().find_map(|answer| {
        let SimpleQueryMessage::Row(row) = answer else {
            return None;
        };
        row.try_get(0).ok()??.parse().ok()
    })
}

/// The process id that the server gave the client at login; none if it cannot be read.
pub(crate) async fn promised(client: &Client) -> Option<i32> {
    let (ours, theirs) = tokio::io::duplex(64);
    // The driver keeps the process id to itself, but writes it into the stream that it is given.
    let token = client.cancel_token();
    let (_, read) = tokio::join!(token.cancel_query_raw(ours, InTheClear), process_of(theirs));
    read.ok()
}

/// The process id in a message that would cancel a statement.
async fn process_of(mut stream: DuplexStream) -> io::Result<i32> {
    loop {
        let _length = stream.read_i32().await?;
        match stream.read_i32().await? {
            SSL_REQUEST => stream.write_all(b"S").await?,
            CANCEL_REQUEST => return stream.read_i32().await,
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("message {other}"),
                ));
            }
        }
    }
}

/// Proves that a client behind a pooler keeps its session between transactions; `other` is a second client of the same
/// pool. Nothing is left behind in the pool's sessions.
///
/// # Errors
/// [`Cause::PooledByTransaction`] if the client does not keep its session.
pub(crate) async fn keeps_session(
    client: &Client,
    notifications: &mut mpsc::Receiver<Notification>,
    other: &Client,
) -> Result<(), Cause> {
    let proven = prove(client, notifications, other).await;
    // The transaction is ended, because an open transaction would cost the pool a session.
    let ended = other.simple_query("rollback").await;
    proven.and(ended.map(drop).map_err(Cause::Server))
}

async fn prove(
    client: &Client,
    notifications: &mut mpsc::Receiver<Notification>,
    other: &Client,
) -> Result<(), Cause> {
    let first = backend(client).await?;
    let held = other.simple_query("begin; select pg_catalog.pg_backend_pid()");
    let held = tokio::time::timeout(LIMIT, held)
        .await
        .map_err(|_| Cause::Pooler("a pooler that has no second session for us"))?
        .map_err(Cause::Server)?;
    // This is compared before anything else is asked: a pool of one session has no session left to answer.
    if number(&held) == Some(first) || backend(client).await? != first {
        return Err(Cause::PooledByTransaction);
    }
    let standby = client
        .simple_query("select 1 where pg_catalog.pg_is_in_recovery()")
        .await
        .map_err(Cause::Server)?;
    if number(&standby).is_some() {
        // A standby allows no LISTEN. It is read over one session, in one transaction at a time.
        return Ok(());
    }
    let channel = format!("trunkline_pooler_{first}");
    client
        .simple_query(&format!("listen {channel}"))
        .await
        .map_err(Cause::Server)?;
    other
        .simple_query(&format!("notify {channel}; commit"))
        .await
        .map_err(Cause::Server)?;
    let told = tokio::time::timeout(LIMIT, notifications.recv()).await;
    client
        .simple_query(&format!("unlisten {channel}"))
        .await
        .map_err(Cause::Server)?;
    match told {
        Ok(Some(_)) => Ok(()),
        Ok(None) | Err(_) => Err(Cause::PooledByTransaction),
    }
}

/// A TLS connector that adds no TLS: this module reads the message itself.
struct InTheClear;

impl TlsConnect<DuplexStream> for InTheClear {
    type Stream = Clear;
    type Error = io::Error;
    type Future = Ready<io::Result<Clear>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Clear(stream)))
    }
}

struct Clear(DuplexStream);

impl TlsStream for Clear {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Clear {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Clear {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
