//! Whether a connection goes to a server, or to a pooler that lends a server's session for one transaction at a time.
//!
//! Behind such a pooler nothing of a session holds: prepared statements, `session_replication_role`, the settings that make
//! text mean the same everywhere. Rows would be wrong, and our settings would stand in sessions of other clients. So it is
//! found out before anything is set.
//!
//! Two transactions of one client may by chance meet the same session of the server, and in an idle pool they do. So
//! chance decides nothing here:
//!
//! 1. A server tells a client, with the key that cancels, the process that serves it. A pooler makes up a key of its
//!    own. Where the two are one process there is no pooler, which costs one round trip, and nearly always this is all.
//! 2. Else a second client holds a transaction open. If the first one's session of the server is lent to it, or the
//!    first one has another session beside it, the pool lends by transaction. In an idle pool one of the two comes true.
//! 3. Else the first one listens, and the second one notifies. A notification comes when no statement runs, so it comes
//!    only to a client that has its session between transactions, too.

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

/// The process that the server has said to serve a client, if it could be read.
pub(crate) async fn promised(client: &Client) -> Option<i32> {
    let (ours, theirs) = tokio::io::duplex(64);
    // The driver keeps the number to itself, but writes it where it is told to.
    let token = client.cancel_token();
    let (_, read) = tokio::join!(token.cancel_query_raw(ours, InTheClear), process_of(theirs));
    read.ok()
}

/// The process that a message names which would cancel its statement.
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
/// [`Cause::PooledByTransaction`] if it does not.
pub(crate) async fn keeps_session(
    client: &Client,
    notifications: &mut mpsc::Receiver<Notification>,
    other: &Client,
) -> Result<(), Cause> {
    let proven = prove(client, notifications, other).await;
    // A transaction that its client leaves open costs the pool a session.
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
    // Before anything else is asked: a pool of one session has none left for it.
    if number(&held) == Some(first) || backend(client).await? != first {
        return Err(Cause::PooledByTransaction);
    }
    let standby = client
        .simple_query("select 1 where pg_catalog.pg_is_in_recovery()")
        .await
        .map_err(Cause::Server)?;
    if number(&standby).is_some() {
        // Nobody can listen to a standby. It is read over one session, in one transaction at a time.
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

/// TLS that is none: the message is for us.
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
