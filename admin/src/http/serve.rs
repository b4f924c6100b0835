//! Connections to the port, each for one answer, within limits of number and time. Clients of the port must not be able
//! to use up what the databases need.
//!
//! `axum::serve` alone accepts without limit and waits for ever for the rest of a request. A thousand half requests
//! then leave no descriptor for the next connection to a database.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::{error, warn};

/// The most connections at a time, if there are many descriptors: enough for a few scrapers and browsers.
const MOST_CONNECTIONS: u64 = 64;

/// The most bytes of a request's head, which needs only a line and a few headers.
const HEAD_BYTES: usize = 16 << 10;

/// The rest after an error of the listener, such as that no descriptor is left.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; further connections wait in the listener's queue, where they take no descriptor of ours.
    pub(super) connections: usize,
    /// Time until the head of the request has come.
    pub(super) head: Duration,
    /// Time until the answer is sent, from the connection's first moment.
    pub(super) whole: Duration,
}

impl Limits {
    /// The limits of a process that may open `open_files` descriptors, and keeps so many of them for other things.
    pub(super) fn of(open_files: u64, kept: u64) -> Limits {
        let left = open_files.saturating_sub(kept).clamp(1, MOST_CONNECTIONS);
        Limits {
            connections: usize::try_from(left).unwrap_or(1),
            head: Duration::from_secs(10),
            whole: Duration::from_secs(60),
        }
    }
}

/// Answers connections for ever. When the future is dropped, its connections are closed.
pub(super) async fn serve(listener: TcpListener, routes: Router, limits: Limits) {
    let seats = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let (mut told, mut failing) = (false, false);
    loop {
        let seat = seat(&seats, limits.connections, &mut told).await;
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                connections.spawn(answer(stream, routes.clone(), limits, seat));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !failing {
                    error!(%error, "status page cannot accept connections, trying again");
                }
                failing = true;
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Waits for a free seat. That all seats were taken is logged once, until all are free again.
async fn seat(seats: &Arc<Semaphore>, all: usize, told: &mut bool) -> Option<OwnedSemaphorePermit> {
    if seats.available_permits() == all {
        *told = false;
    }
    if let Ok(seat) = Arc::clone(seats).try_acquire_owned() {
        return Some(seat);
    }
    if !*told {
        warn!(
            connections = all,
            "status page has all connections that it takes, further ones wait"
        );
        *told = true;
    }
    // The semaphore is never closed, so there is no error.
    Arc::clone(seats).acquire_owned().await.ok()
}

/// Reads one request and answers it. A failure concerns only the client, so it is not reported.
async fn answer(
    stream: TcpStream,
    routes: Router,
    limits: Limits,
    _seat: Option<OwnedSemaphorePermit>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        // Without this a client that has its answer would hold a connection that others wait for.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let _ = tokio::time::timeout(limits.whole, connection).await;
}

/// Whether an error concerns only the connection that was to be accepted, and not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Limits = Limits {
        connections: 2,
        head: Duration::from_millis(200),
        whole: Duration::from_millis(600),
    };

    /// More bytes than the buffers of both sockets hold.
    const BIG: usize = 64 << 20;

    async fn served() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/big", get(|| async { "x".repeat(BIG) }));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(serve(listener, routes, SHORT));
        address
    }

    async fn connected(address: std::net::SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// What the server sends until it closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset ends the answer, too.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test]
    async fn a6_half_requests_and_silence_are_ended() {
        let address = served().await;
        for text in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let mut stream = connected(address, text).await;
            assert!(!rest(&mut stream).await.contains("200"), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a6_a_request_that_drips_is_ended() {
        let address = served().await;
        let mut stream = connected(address, "GET / HTTP/1.1\r\n").await;
        let dripped = async {
            loop {
                if stream.write_all(b"x: y\r\n").await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), dripped)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a6_a_client_that_reads_nothing_is_ended() {
        let address = served().await;
        let mut stream = connected(address, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        tokio::time::sleep(SHORT.whole * 2).await;
        assert!(rest(&mut stream).await.len() < BIG);
    }

    #[tokio::test]
    async fn a6_who_comes_when_all_seats_are_taken_is_answered_later() {
        let address = served().await;
        let _silent = (connected(address, "").await, connected(address, "").await);
        let mut stream = connected(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let text = rest(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }

    #[test]
    fn a6_descriptors_are_kept_for_the_databases() {
        assert_eq!(Limits::of(1 << 20, 80).connections, 64);
        assert_eq!(Limits::of(100, 80).connections, 20);
        assert_eq!(Limits::of(50, 80).connections, 1);
    }
}
