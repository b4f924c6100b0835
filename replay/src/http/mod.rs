//! The port for machines and browsers: `/metrics`, `/status`, `/health`, probes and a page. The port is off unless
//! `http_listen` is set. It is read-only: nothing can be changed through it, and it shows no connection string.

mod metrics;
mod subject;

use std::sync::Arc;

use admin::{
    config::{PortConfig, ReplayConfig},
    daemon::Reports,
    http,
    page::{self, Span},
    status::{ReplayStatus, verdict::Reason},
};
use axum::{
    Router,
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use tokio_util::sync::CancellationToken;

use self::subject::{Counted, Job};

/// What the status page is called in the start's report.
pub(crate) const TASK_NAME: &str = http::TASK_NAME;

/// Descriptors that are kept for everything else: standard streams, log, runtime, sessions on the provider.
const KEPT: u64 = 64;

/// Descriptors that are kept for each subscriber beside its copies, which take two each.
const KEPT_PER_SUBSCRIBER: u64 = 8;

type Watched = Arc<http::Watched<Job>>;

/// Serves until stopped. Replication does not depend on the port.
pub(crate) async fn run(
    config: ReplayConfig,
    port: PortConfig,
    counted: Counted,
    reports: Reports,
    stop: CancellationToken,
) {
    let kept = kept(config.subscribers.len(), config.parallel_copies);
    let job = Arc::new(http::Watched::new(Job::new(config, counted)));
    let routes = routes(Arc::clone(&job));
    tokio::select! {
        () = http::run(&port, routes, kept, &reports) => {}
        () = job.take_for_ever() => {}
        () = stop.cancelled() => {}
    }
}

/// Descriptors that a job needs for its databases.
fn kept(subscribers: usize, copies: usize) -> u64 {
    let of_subscriber = KEPT_PER_SUBSCRIBER.saturating_add((copies as u64).saturating_mul(2));
    of_subscriber
        .saturating_mul(subscribers as u64)
        .saturating_add(KEPT)
}

fn routes(job: Watched) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/provider", get(provider))
        .route("/standby", get(standby))
        .route("/promotable", get(promotable))
        .with_state(job)
}

async fn page(State(job): State<Watched>, RawQuery(query): RawQuery) -> Response {
    let (now, span) = (job.now().await, Span::of_query(query.as_deref()));
    http::page(job.with_history(|history| page::replay::draw(&now, history, span)))
}

async fn status(State(job): State<Watched>) -> Response {
    http::json(&*job.now().await)
}

async fn metrics(State(job): State<Watched>) -> Response {
    let now = job.now().await;
    http::metrics(&metrics::registry(&now, job.subject().counted()))
}

/// 503 while something is critical, else 200; the text has a line for each reason why something is not healthy.
async fn health(State(job): State<Watched>) -> Response {
    let now = job.now().await;
    http::health(now.severity(), &reasons(&now))
}

/// 200 while applications write the databases of this replay's subscribers: each is the provider of its set.
async fn provider(State(job): State<Watched>) -> Response {
    let now = job.now().await;
    let answers = now.subscribers.iter().map(|one| match &one.role {
        Some(role) if role.serves() => Ok(format!("{}: {}", one.consumer, role.describe())),
        Some(role) => Err(format!("{}: {}", one.consumer, role.describe())),
        None => Err(format!("{}: no provider", one.consumer)),
    });
    probed(answers.collect())
}

/// 200 while all subscribers keep up; with `?lag=SECONDS` also none is further behind.
async fn standby(State(job): State<Watched>, RawQuery(query): RawQuery) -> Response {
    let Ok(max_lag) = max_lag(query.as_deref()) else {
        return wrong_query();
    };
    let now = job.now().await;
    let answers = now.subscribers.iter();
    probed(answers.map(|one| one.keeps_up(max_lag)).collect())
}

/// 200 while the standby could become the provider; with `?lag=SECONDS` also it is no further behind.
async fn promotable(State(job): State<Watched>, RawQuery(query): RawQuery) -> Response {
    let Ok(max_lag) = max_lag(query.as_deref()) else {
        return wrong_query();
    };
    let (now, promotion) = (job.now().await, job.subject().promotion().await);
    let answers = now.subscribers.iter().map(|one| match &*promotion {
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
    http::text(StatusCode::BAD_REQUEST, text.to_owned())
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
    http::text(code, lines + "\n")
}

/// The reasons why something is not healthy, a line each.
fn reasons(status: &ReplayStatus) -> String {
    let line = |of: &str, reason: &Reason| {
        let advice = reason.advice.iter().map(|text| format!(" ({text})"));
        let advice: String = advice.collect();
        let severity = reason.severity.as_str();
        format!("{severity}: {of}{}{advice}\n", reason.sentence())
    };
    let of_provider = status.provider.reasons.iter();
    let mut text: String = of_provider.map(|reason| line("", reason)).collect();
    for one in &status.subscribers {
        let of = format!("{} ({}): ", one.consumer, one.state.as_str());
        text.extend(one.reasons.iter().map(|reason| line(&of, reason)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a6_descriptors_are_kept_for_the_databases() {
        assert_eq!(kept(1, 4), 80);
        assert_eq!(kept(8, 4), 192);
    }
}
