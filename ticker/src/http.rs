//! The port for machines and browsers: `/metrics`, `/status`, `/health` and a page. Off unless `http_listen` is set. It
//! is read-only, and it shows no connection string.

use std::sync::Arc;

use admin::config::{PortConfig, TickerConfig};
use admin::daemon::Reports;
use admin::http::{self, PATIENCE, Subject};
use admin::page::{self, Reading, Span};
use admin::status::{Asking, TickerStatus, of_ticker};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;

use crate::metrics;
use crate::stats::Stats;

/// Descriptors that are kept for everything else: standard streams, log, runtime, and some sessions a database.
const KEPT: u64 = 256;

/// A ticker, as the port shows it.
struct Ticker {
    config: TickerConfig,
    stats: Arc<Stats>,
}

impl Subject for Ticker {
    type Status = TickerStatus;

    async fn ask(&self) -> TickerStatus {
        of_ticker(&self.config, &Asking::within(PATIENCE)).await
    }

    fn readings(&self, status: &TickerStatus) -> Vec<Reading> {
        page::ticker::readings(status)
    }
}

type Watched = Arc<http::Watched<Ticker>>;

/// Serves for ever. Ticks do not depend on the port.
pub(crate) async fn run(
    config: TickerConfig,
    port: PortConfig,
    stats: Arc<Stats>,
    reports: Reports,
) {
    let ticker = Arc::new(http::Watched::new(Ticker { config, stats }));
    let routes = Router::new()
        .route("/", get(page))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .with_state(Arc::clone(&ticker));
    tokio::select! {
        () = http::run(&port, routes, KEPT, &reports) => {}
        () = ticker.take_for_ever() => {}
    }
}

async fn page(State(ticker): State<Watched>, RawQuery(query): RawQuery) -> Response {
    let (now, span) = (ticker.now().await, Span::of_query(query.as_deref()));
    http::page(ticker.with_history(|history| page::ticker::draw(&now, history, span)))
}

async fn status(State(ticker): State<Watched>) -> Response {
    http::json(&*ticker.now().await)
}

async fn metrics(State(ticker): State<Watched>) -> Response {
    let now = ticker.now().await;
    http::metrics(&metrics::registry(&now, &ticker.subject().stats))
}

/// 503 while something is critical, else 200; the text has a line for each reason why something is not healthy.
async fn health(State(ticker): State<Watched>) -> Response {
    let now = ticker.now().await;
    let reasons = now.reasons();
    let lines = reasons.iter().map(|(of, reason)| {
        let advice = reason.advice.iter().map(|text| format!(" ({text})"));
        let advice: String = advice.collect();
        format!(
            "{}: {of}: {}{advice}\n",
            reason.severity.as_str(),
            reason.sentence()
        )
    });
    http::health(now.severity(), &lines.collect::<String>())
}
