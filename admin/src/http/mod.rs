//! The port of a daemon for machines and browsers. It is off unless `http_listen` is set, it is read-only, and it shows
//! no connection string and no row. `serve` bounds its connections, `token` asks who may read, `answer` has the headers
//! of every answer, `gauges` writes metrics, `watched` asks the databases and keeps what they said.

mod answer;
mod gauges;
mod serve;
mod token;
mod watched;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

pub use answer::{health, json, metrics, page, text};
pub use gauges::Gauges;
pub use watched::{PATIENCE, Subject, Watched};

use self::serve::{Limits, serve};
use self::token::Guard;
use crate::config::PortConfig;
use crate::daemon::{self, Reports};

/// Time between two tries to have the port.
const PORT_RETRY: Duration = Duration::from_secs(5);

/// What the port is called in the start's report.
pub const TASK_NAME: &str = "http_listen";

/// Answers for ever. If the port or its token cannot be had, that is logged at once and tried again for ever: a
/// daemon's work does not depend on the port. `kept` is how many descriptors the daemon needs for other things.
pub async fn run(config: &PortConfig, routes: Router, kept: u64, reports: &Reports) {
    let limits = Limits::of(daemon::open_files(), kept);
    let listener = listener(config, reports).await;
    let address = &config.listen;
    info!(%address, connections = limits.connections, "status page is there");
    if config.token_file.is_none() && !is_local(address) {
        warn!(
            %address,
            advice = "set http_token_file, or listen on 127.0.0.1",
            "status page is open to other hosts without a token"
        );
    }
    let routes = match &config.token_file {
        None => routes,
        Some(file) => routes.layer(from_fn_with_state(Guard::new(file.clone()), token::ask)),
    };
    serve(listener, routes, limits).await;
}

async fn listener(config: &PortConfig, reports: &Reports) -> TcpListener {
    let mut told = false;
    loop {
        let problem = match had(config).await {
            Ok(listener) => {
                reports.tell(TASK_NAME, None);
                return listener;
            }
            Err(problem) => problem,
        };
        if !told {
            error!(address = %config.listen, error = %problem, "no status page, its port cannot be had");
            reports.tell(TASK_NAME, Some(problem));
            told = true;
        }
        tokio::time::sleep(PORT_RETRY).await;
    }
}

/// The port, with a token that can be read.
async fn had(config: &PortConfig) -> Result<TcpListener, String> {
    if let Some(file) = &config.token_file {
        token::read(file)
            .map_err(|error| format!("http_token_file {}: {error}", file.display()))?;
    }
    let listen = &config.listen;
    let bound = TcpListener::bind(listen).await;
    bound.map_err(|error| format!("cannot listen on {listen}: {error}"))
}

/// Whether only this host reaches an address.
fn is_local(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => (host, 0)
            .to_socket_addrs()
            .is_ok_and(|mut all| all.all(|one| one.ip().is_loopback())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_not_taken_for_a_local_one() {
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"] {
            assert!(is_local(local), "{local}");
        }
        for open in [
            "0.0.0.0:1",
            "[::]:1",
            "192.0.2.7:1",
            "no-such-host.invalid:1",
        ] {
            assert!(!is_local(open), "{open}");
        }
    }
}
