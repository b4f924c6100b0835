//! The answers of the port, each with the headers that keep a browser from running or loading anything else.

use std::sync::LazyLock;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::Markup;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::page::{SCRIPT, STYLE};
use crate::status::verdict::Severity;

/// The format of metrics.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page's own style and script are known by their digests; nothing else is run, and nothing is loaded from
/// elsewhere.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    let pairs: [(HeaderName, HeaderValue); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    HeaderMap::from_iter(pairs)
});

fn digest(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}

/// A page.
pub fn page(body: Markup) -> Response {
    (HEADERS.clone(), body).into_response()
}

/// A value as JSON.
pub fn json<T: Serialize>(value: &T) -> Response {
    (HEADERS.clone(), Json(value)).into_response()
}

/// Lines of text.
pub fn text(code: StatusCode, lines: String) -> Response {
    (code, HEADERS.clone(), lines).into_response()
}

/// 503 while something is critical, else 200; the text is `ok`, `warning` or `critical`, then the reasons.
pub fn health(severity: Option<Severity>, reasons: &str) -> Response {
    let code = match severity {
        Some(Severity::Critical) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Severity::Warning) | None => StatusCode::OK,
    };
    let word = severity.map_or("ok", Severity::as_str);
    text(code, format!("{word}\n{reasons}"))
}

/// Metrics, as OpenMetrics text.
pub fn metrics(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => (HEADERS.clone(), [(header::CONTENT_TYPE, METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
