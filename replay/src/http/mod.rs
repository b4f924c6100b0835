//! The port for machines and browsers: `/metrics`, `/status`, `/health`, probes and a page. The port is off unless
//! `http_listen` is set. It is read-only: nothing can be changed through it, and it shows no connection string.

mod metrics;
mod page;
mod plot;
mod samples;
mod serve;
mod set;

use std::{sync::Arc, time::Duration};

use admin::{
    config::ReplayConfig,
    daemon::{self, Reports},
    status::{
        ReplayStatus,
        verdict::{Reason, Severity},
    },
};
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use maud::Markup;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::{
    samples::{Counted, Samples},
    serve::{Limits, serve},
};

/// Time between two tries to bind the port.
const PORT_RETRY: Duration = Duration::from_secs(5);

/// The headers of every answer: a browser may run and load nothing.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// What the status page is called in the start's report.
pub(crate) const TASK_NAME: &str = "http_listen";

/// Serves until stopped. If the port cannot be bound, that is logged at once and tried again for ever: replication does
/// not depend on the port.
pub(crate) async fn run(
    config: ReplayConfig,
    listen: String,
    counted: Counted,
    reports: Reports,
    stop: CancellationToken,
) {
    let copies = config.parallel_copies;
    let limits = Limits::of(daemon::open_files(), config.subscribers.len(), copies);
    let samples = Arc::new(Samples::new(config, counted));
    let serving = async {
        let listener = listener(&listen, &reports).await;
        info!(address = %listen, connections = limits.connections, "status page is there");
        serve(listener, routes(Arc::clone(&samples)), limits).await;
    };
    tokio::select! {
        () = serving => {}
        () = samples.take_for_ever() => {}
        () = stop.cancelled() => {}
    }
}

async fn listener(listen: &str, reports: &Reports) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => {
                reports.tell(TASK_NAME, None);
                return listener;
            }
            Err(error) => {
                if !told {
                    error!(address = %listen, %error, "no status page, its port cannot be had");
                    let problem = format!("cannot listen on {listen}: {error}");
                    reports.tell(TASK_NAME, Some(problem));
                    told = true;
                }
                tokio::time::sleep(PORT_RETRY).await;
            }
        }
    }
}

fn routes(samples: Arc<Samples>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/provider", get(provider))
        .route("/standby", get(standby))
        .route("/promotable", get(promotable))
        .with_state(samples)
}

async fn page(State(samples): State<Arc<Samples>>) -> Response {
    let now = samples.now().await;
    let body: Markup = page::draw(&now.status, &samples.history());
    (HEADERS, body).into_response()
}

async fn status(State(samples): State<Arc<Samples>>) -> Response {
    let now = samples.now().await;
    (HEADERS, Json(&now.status)).into_response()
}

async fn metrics(State(samples): State<Arc<Samples>>) -> Response {
    let now = samples.now().await;
    match metrics::text(&now.status, samples.counted()) {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
            (HEADERS, kind, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// 503 while something is critical, else 200; the text has a line for each reason why something is not healthy.
async fn health(State(samples): State<Arc<Samples>>) -> Response {
    let now = samples.now().await;
    let code = match now.status.severity() {
        Some(Severity::Critical) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Severity::Warning) | None => StatusCode::OK,
    };
    (code, HEADERS, health_text(&now.status)).into_response()
}

/// 200 while applications write the databases of this replay's subscribers: each is the provider of its set.
async fn provider(State(samples): State<Arc<Samples>>) -> Response {
    let now = samples.now().await;
    let answers = now.status.subscribers.iter().map(|one| match &one.role {
        Some(role) if role.serves() => Ok(format!("{}: {}", one.consumer, role.describe())),
        Some(role) => Err(format!("{}: {}", one.consumer, role.describe())),
        None => Err(format!("{}: no provider", one.consumer)),
    });
    probed(answers.collect())
}

/// 200 while all subscribers keep up; with `?lag=SECONDS` also none is further behind.
async fn standby(State(samples): State<Arc<Samples>>, RawQuery(query): RawQuery) -> Response {
    let Ok(max_lag) = max_lag(query.as_deref()) else {
        return wrong_query();
    };
    let now = samples.now().await;
    let answers = now.status.subscribers.iter();
    probed(answers.map(|one| one.keeps_up(max_lag)).collect())
}

/// 200 while the standby could become the provider; with `?lag=SECONDS` also it is no further behind.
async fn promotable(State(samples): State<Arc<Samples>>, RawQuery(query): RawQuery) -> Response {
    let Ok(max_lag) = max_lag(query.as_deref()) else {
        return wrong_query();
    };
    let (now, promotion) = (samples.now().await, samples.promotion().await);
    let answers = now.status.subscribers.iter().map(|one| match &*promotion {
        Ok(promotable) => promotable.answer(one, max_lag),
        Err(why) => Err(why.clone()),
    });
    probed(answers.collect())
}

/// The limit of a query; Err: the query has another form.
fn max_lag(query: Option<&str>) -> Result<Option<f64>, ()> {
    match query {
        None | Some("") => Ok(None),
        Some(query) => match query.strip_prefix("lag=").and_then(seconds_of) {
            Some(limit) => Ok(Some(limit)),
            None => Err(()),
        },
    }
}

fn wrong_query() -> Response {
    let text = "the query is lag=SECONDS, 0 or more\n";
    (StatusCode::BAD_REQUEST, HEADERS, text).into_response()
}

fn seconds_of(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok()?;
    Some(number).filter(|number| number.is_finite() && *number >= 0.0)
}

/// The answer of a probe: 200 or 503, with the reasons, a line each.
fn probed(answers: Result<Vec<String>, String>) -> Response {
    let (code, lines) = match answers {
        Ok(lines) => (StatusCode::OK, lines.join("\n")),
        Err(line) => (StatusCode::SERVICE_UNAVAILABLE, line),
    };
    (code, HEADERS, lines + "\n").into_response()
}

/// `ok`, `warning` or `critical`, then the reasons.
fn health_text(status: &ReplayStatus) -> String {
    let line = |of: &str, reason: &Reason| {
        let advice = reason.advice.iter().map(|text| format!(" ({text})"));
        let advice: String = advice.collect();
        let severity = reason.severity.as_str();
        format!("{severity}: {of}{}{advice}\n", reason.sentence())
    };
    let mut text = status.severity().map_or("ok", Severity::as_str).to_owned() + "\n";
    text.extend(
        status
            .provider
            .reasons
            .iter()
            .map(|reason| line("", reason)),
    );
    for one in &status.subscribers {
        let of = format!("{} ({}): ", one.consumer, one.state.as_str());
        text.extend(one.reasons.iter().map(|reason| line(&of, reason)));
    }
    text
}
